"""Changes the environment of a trained agent in mid-episode: how soon is it detected, by which signal, and how often falsely?

python benchmarks/comprehension/change_detection.py runs/cheetah runs/hopper
python benchmarks/comprehension/change_detection.py runs/cheetah --worlds gravity=2 latency=1
python benchmarks/comprehension/change_detection.py runs/cheetah --policy      acts by the policy alone: in a tenth of the time
python benchmarks/comprehension/change_detection.py --summary                  only writes the summary of the CSV

-> runs/comprehension/change_detection.csv and change_detection.json; --published: in benchmarks/results/

The signals are calibrated on --home decisions in the known world, and watch --test more there: every alarm is a false
one. In each of ten worlds (`worlds.py`) they watch --sequences sequences, which change after 60, 80, 100, ... decisions
of an episode (earlier where episodes are short) and go on, over ends of episodes, for --after decisions. The agent does
not learn, so that what is detected is the same change throughout. A world counts as detected after the median of its
sequences.

What is in the CSV is not repeated.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import joule
from agent.agent import WorldModelAgent
from agent.configurator.dotted_names import replace
from agent.configurator.kinds import NO_PLANNER
from agent.world_model.adaptation import DECISIONS_PER_ALARM
from agent.world_model.home_episodes import HomeEpisodes, play_home_episodes
from agent.world_model.observed_steps import observed_steps
from agent.world_model.signals import Signals
from benchmarks import raw_rows
from benchmarks.comprehension import outputs
from benchmarks.comprehension.change_detection_summary import COLUMNS, HOME, Row, write_summary
from benchmarks.comprehension.worlds import worlds_for
from benchmarks.refusals import exit_code
from joule.environment import make_env
from joule.storage.provenance import version
from joule_errors import Refused

TEST_SEED, WORLD_SEED = 2_000_000, 4_000_000
"""Seeds of the first episodes of sequences; those that calibrate have others (`FIRST_HOME_SEED`)."""
SEEDS_PER_EPISODE = 1_000
"""Between two episodes of a sequence: so many sequences share no seed."""
SIDE_BY_SIDE = 20
"""Environments whose actions are computed at once."""
FIRST_CHANGE, BETWEEN = 60, 20
"""Decisions before the change in the first sequence, and how many more in each further one."""


class Recorder:
    """Plays sequences of an agent, and computes what the signals read.

    Args:
        agent: the agent.
    """

    def __init__(self, agent: WorldModelAgent) -> None:
        self.agent, self.modules = agent, agent.modules

    def env(self, *perturb: str) -> Any:
        """An environment with these perturbations."""
        return make_env(replace(self.agent.config, {"perturb": perturb}))

    def play(self, perturbations: Sequence[tuple[str, ...]], decisions: int, seed: int) -> list[HomeEpisodes]:
        """A sequence of so many decisions for each of the perturbations, side by side.

        A perturbation with an onset holds in the first episode; from the second on it holds from the start.
        """
        envs = [self.env(*texts) for texts in perturbations]
        obs = np.stack([env.reset(seed=seed + k)[0] for k, env in enumerate(envs)])
        state, starts, episodes = None, np.ones(len(envs), bool), np.zeros(len(envs), int)
        rows: list[list[tuple[Any, ...]]] = [[] for _ in envs]
        for _ in range(decisions):
            actions, state = self.modules.predict(obs, state, starts.copy(), True)
            starts[:] = False
            for k, env in enumerate(envs):
                after, reward, terminated, truncated, _ = env.step(actions[k])
                rows[k].append((obs[k].copy(), actions[k], -reward, terminated, after, episodes[k]))
                if terminated or truncated:
                    episodes[k] += 1
                    if episodes[k] == 1 and perturbations[k]:
                        envs[k] = env = self.env(*(text.partition("@")[0] for text in perturbations[k]))
                    after, _ = env.reset(seed=seed + k + SEEDS_PER_EPISODE * int(episodes[k]))
                    starts[k] = True
                obs[k] = after
        model = self.modules.networks.world_model
        found = []
        for own in rows:
            *parts, numbers = (np.array(column) for column in zip(*own, strict=True))
            found.append(HomeEpisodes(observed_steps(self.modules, model, *parts), numbers))
        return found


def alarms_of(signals: Signals, sequence: HomeEpisodes) -> list[tuple[int, str]]:
    """Decision, counted from 0, and signal of each alarm; after an alarm the tests start again."""
    signals.reset()
    found = []
    for row in range(len(sequence.steps)):
        alarm = signals.update(sequence.steps.at(np.array([row])))
        if alarm is not None:
            found.append((row, alarm.signal))
            signals.watch_anew()
    return found


def rows_of(agent: WorldModelAgent, acts: str, options: argparse.Namespace) -> Iterator[Row]:
    """The rows of one agent."""
    config, spec = agent.config, agent.env_spec
    recorder = Recorder(agent)
    limit = spec.episode_limit or 1_000
    shared = {
        "env": config.env, "seed": config.seed, "run_frames": agent.frames, "acts": acts, "commit": version()
    }  # fmt: skip

    def at_home(decisions: int, seed: int) -> list[HomeEpisodes]:
        count = max(2, min(SIDE_BY_SIDE, decisions // limit))
        return recorder.play([()] * count, -(-decisions // count), seed)

    home = play_home_episodes(agent.modules, recorder.env(), options.home)
    signals = Signals(home, DECISIONS_PER_ALARM)
    print(config.env, "thresholds", signals.thresholds, flush=True)
    for number, sequence in enumerate(at_home(options.test, TEST_SEED)):
        found = alarms_of(signals, sequence)
        by = " ".join(signal for _, signal in found)
        yield shared | {
            "world": HOME, "sequence": number, "first_seed": TEST_SEED + number, "decisions": len(sequence.steps),
            "changed_at": "", "detected_after": "", "signal": by, "episode_of_change": "",
            "false_alarms": len(found),
        }  # fmt: skip
    env = recorder.env()
    worlds = worlds_for(env, options.worlds)
    onsets = onsets_of(options.sequences, limit)
    for place, world in enumerate(worlds):
        texts = [(f"{world}@{onset * spec.action_repeat}",) for onset in onsets]
        seed = WORLD_SEED + place * len(onsets)
        sequences = recorder.play(texts, onsets[-1] + (options.after or limit), seed)
        for number, (onset, sequence) in enumerate(zip(onsets, sequences, strict=True)):
            row = world_row(world, number, onset, sequence, alarms_of(signals, sequence))
            yield shared | {"first_seed": seed + number} | row


def onsets_of(sequences: int, limit: int) -> list[int]:
    """Decisions before the change in each sequence; fewer where the last is in the second half of an episode."""
    onsets = [FIRST_CHANGE + BETWEEN * k for k in range(sequences)]
    share = min(1.0, limit / (2 * onsets[-1]))
    return [max(1, round(share * onset)) for onset in onsets]


def world_row(
    world: str, number: int, onset: int, sequence: HomeEpisodes, alarms: list[tuple[int, str]]
) -> Row:
    """The row of one sequence. One whose first episode ended before the change has changed at its second."""
    ended = int((sequence.episode == 0).sum())
    changed = min(onset, ended)
    after = [(row - changed + 1, signal) for row, signal in alarms if row >= changed]
    early = len(alarms) - len(after)
    first = after[0] if after else ("", "")
    within = "" if not after else int(alarms[early][0] < ended if changed < ended else 1)
    return {
        "world": world, "sequence": number, "decisions": len(sequence.steps), "changed_at": changed,
        "detected_after": first[0], "signal": first[1], "episode_of_change": within, "false_alarms": early,
    }  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """The options."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("runs", type=Path, nargs="*", help="trained in the unchanged environment")
    p.add_argument("--worlds", nargs="+", metavar="PERTURB", help="in the place of the ten default worlds")
    p.add_argument("--sequences", type=int, default=3, help="of each world (default: 3)")
    p.add_argument("--after", type=int, help="decisions after the change (default: those of an episode)")
    p.add_argument("--home", type=int, default=10_000, help="decisions that calibrate (default: 10000)")
    p.add_argument("--test", type=int, default=50_000, help="decisions at home that test (default: 50000)")
    p.add_argument("--policy", action="store_true", help="act by the policy alone")
    p.add_argument("--summary", action="store_true", help="only write the summary")
    outputs.add_options(p)
    return p


def loaded(folder: Path, policy: bool) -> WorldModelAgent:
    """The agent of a run.

    Args:
        folder: the run folder.
        policy: whether it acts by its policy alone; else as it was trained.

    Raises:
        Refused: for an agent without a world model.
    """
    agent = joule.load(folder, settings={"planner.kind": NO_PLANNER} if policy else {})
    if not isinstance(agent, WorldModelAgent):
        raise Refused(
            f"{folder}: {agent.config.agent} has no world model that a change could surprise; joule has"
        )
    return agent


def main() -> int:
    """Measures the runs, and writes table and summary."""
    p = parser()
    options = p.parse_args()
    if not options.runs and not options.summary:
        p.error("give runs, or --summary")
    options.out = outputs.table(options, "change_detection.csv")
    torch.set_num_threads(1)
    for folder in options.runs:
        agent = loaded(folder, options.policy)
        acts = "policy" if agent.config.planner.kind == NO_PLANNER else "plan"
        key = (agent.config.env, str(agent.config.seed), str(agent.frames), acts)
        done = {(r["env"], r["seed"], r["run_frames"], r["acts"]) for r in raw_rows.read(options.out)}
        if key in done:
            print(f"{folder}: is in {options.out} already", flush=True)
            continue
        rows = []
        for row in rows_of(agent, acts, options):
            print(row, flush=True)
            rows.append(row)
        raw_rows.add(options.out, COLUMNS, rows)  # together: an agent that is interrupted is measured again
    write_summary(outputs.rows_to_show(options.out), options.out.with_suffix(".json"))
    return 0


if __name__ == "__main__":
    raise SystemExit(exit_code(main))

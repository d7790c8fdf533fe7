"""Does the world model know physics? Violation of expectation: pairs of episodes, one of them impossible.

    python benchmarks/intuition.py                                  trains its agents, into runs/intuition/
    python benchmarks/intuition.py --runs runs/A runs/B             watches with agents that are trained
    python benchmarks/intuition.py --films runs/intuition/films     and films one pair of each kind

-> benchmarks/results/intuition.csv, and its summary intuition.json

Real episodes are of mixed behaviour: the exploring agent (policy and planner), actions held for a while, and
actions drawn anew at each step. One set calibrates the watchers, another, of other seeds, tests them. A pair is a
stretch of a real test episode and the same stretch, from the same state and under the same actions, with physics
broken at one step (envs/violations.py). A watcher does not know that step: a clip's score is its largest
surprise over BEFORE steps before and AFTER steps after it. Latency counts from the step that breaks physics,
1 being its own observation; a violation that is not noticed within AFTER steps counts as infinitely late.
Watchers: the trained world model, the same untrained, and constant velocity, all calibrated in the same way.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from benchmarks.comprehension.watchers import (
    TOGETHER,
    Calibrated,
    Clip,
    ConstantVelocity,
    Watcher,
    WorldModel,
    untrained,
)

import envs
import joule
from agent.agent import WorldModelAgent
from benchmarks import tables, training
from benchmarks.comprehension.detection import (
    Floats,
    auroc,
    false_alarms_per_thousand,
    latency,
    pairwise_accuracy,
)
from benchmarks.comprehension.violations import GROSS, MEANINGS, STAGES, Violation, opportunities
from benchmarks.training import ROOT
from joule.storage.provenance import version

if TYPE_CHECKING:
    from envs import SafeEnv

RESULT = ROOT / "benchmarks" / "results" / "intuition.csv"
SUMMARY = RESULT.with_suffix(".json")
ALARM_RATE = 1.0 / 1500.0
"""Share of real steps that may raise an alarm, by calibration; the aim is at most one in a thousand."""
ALARM = -math.log10(ALARM_RATE)
BEFORE, AFTER, LONGEST = 20, 20, 200
LEAD = 8
"""Steps before a clip that are watched but not scored: a watcher needs a past."""
CALIBRATION_SEED, TEST_SEED = 50_000, 60_000
BEHAVIOURS = ("policy", "held", "policy", "random", "planner")
COLUMNS = (
    "env", "agent_frames", "watcher", "term", "violation", "pairs", "pairwise_accuracy", "auroc",
    "latency_median", "detected", "false_alarms_per_1000", "real_steps", "calibration_steps", "seed", "commit",
)  # fmt: skip


@dataclass(frozen=True)
class Episode:
    """A real episode, and at which of its steps which kinds of violation would be seen."""

    seed: int
    clip: Clip
    seen: list[frozenset[str]]


@dataclass(frozen=True)
class Pair:
    """A real clip and its impossible twin; physics breaks at step `onset` of both."""

    episode: Episode
    at: int
    """The step of the episode that breaks physics."""
    real: Clip
    edited: Clip
    onset: int


def actions(behaviour: str, learner: WorldModelAgent, policy: WorldModelAgent, seed: int) -> Iterator[Any]:
    """A behaviour as a generator: send an observation, get an action."""
    rng = np.random.default_rng([seed, 2])
    size = learner.env_spec.action_size
    acting = {"policy": policy, "planner": learner}.get(behaviour)
    state = None
    obs: Any = yield None
    while acting is not None:
        action, state = acting.predict(obs, state, np.array([state is None]), deterministic=False)
        obs = yield action
    while True:
        action = rng.uniform(-1.0, 1.0, size).astype(np.float32)
        for _ in range(int(rng.integers(2, 20)) if behaviour == "held" else 1):
            obs = yield action


def live(body: SafeEnv, behaviour: Any, seed: int) -> Episode:
    """A real episode of at most LONGEST steps."""
    obs, _ = body.reset(seed=seed)
    next(behaviour)
    rows: list[tuple[Any, ...]] = []
    all_obs, readouts, seen = [obs], [body.readouts()], []
    for _ in range(LONGEST):
        seen.append(opportunities(body))
        action = behaviour.send(obs)
        obs, reward, terminated, truncated, _ = body.step(action)
        rows.append((action, -reward))
        all_obs.append(obs)
        readouts.append(body.readouts())
        if terminated or truncated:
            break
    moves, costs = zip(*rows, strict=True)
    clip = Clip(np.stack(all_obs), np.stack(moves), np.array(costs, np.float32), np.stack(readouts))
    return Episode(seed, clip, seen)


def mixed_life(body: SafeEnv, run: Path, steps: int, first: int) -> list[Episode]:
    """Real episodes of all behaviours in turn, of `steps` steps or a few more; seeds from `first` on."""
    learner, policy = loaded(run), loaded(run, {"planner.kind": "policy"})
    episodes: list[Episode] = []
    for seed, behaviour in zip(itertools.count(first), itertools.cycle(BEHAVIOURS), strict=False):
        if sum(len(episode.clip.action) for episode in episodes) >= steps:
            break
        episodes.append(live(body, actions(behaviour, learner, policy, seed), seed))
    return episodes


def broken(body: SafeEnv, episode: Episode, kind: str, at: int) -> tuple[Clip, list[Any]]:
    """The episode again with physics broken from step `at` on, until AFTER steps later or its end.

    Also the frames from BEFORE steps before, where the body renders. Raises RuntimeError when the episode
    does not repeat itself up to that step.
    """
    real = episode.clip
    obs, _ = body.reset(seed=episode.seed)
    violation = Violation(body, kind, np.random.default_rng([episode.seed, at]))
    all_obs, costs, readouts, frames = [obs], [], [body.readouts()], []
    films = body.env.render_mode is not None
    for step in range(min(at + AFTER, len(real.action))):
        if step == at:
            violation.begin()
        obs, reward, terminated, truncated, _ = body.step(real.action[step])
        if step < at and not np.array_equal(obs, real.obs[step + 1]):
            raise RuntimeError(
                f"{body.env_spec.env}: seed {episode.seed} does not repeat itself at step {step}"
            )
        all_obs.append(obs)
        costs.append(-reward)
        readouts.append(body.readouts())
        if films and step >= at - BEFORE:
            frames.append(body.render())
        if terminated or truncated:
            break
    violation.end()
    steps = len(costs)
    clip = Clip(np.stack(all_obs), real.action[:steps], np.array(costs, np.float32), np.stack(readouts))
    return clip, frames


def pairs_of(body: SafeEnv, episodes: Sequence[Episode], kind: str, count: int, seed: int) -> list[Pair]:
    """Up to `count` pairs at steps drawn from those at which the violation is seen."""
    places = [
        (episode, at)
        for episode in episodes
        for at in range(BEFORE + LEAD, len(episode.clip.action) - AFTER + 1)
        if kind in episode.seen[at]
    ]
    rng = np.random.default_rng([seed, list(MEANINGS).index(kind)])
    found = []
    for index in rng.permutation(len(places))[:count]:
        episode, at = places[index]
        first = at - BEFORE - LEAD
        edited, _ = broken(body, episode, kind, at)
        real = episode.clip.part(first, at + AFTER)
        found.append(Pair(episode, at, real, edited.part(first, at + AFTER), BEFORE + LEAD))
    return found


@dataclass(frozen=True)
class Watched:
    """What one watcher saw of pairs: largest surprises, and delays, by term."""

    real: dict[str, Floats]
    edited: dict[str, Floats]
    delay: dict[str, Floats]


def watch(calibrated: Calibrated, pairs: Sequence[Pair]) -> Watched:
    """Every pair through one watcher's eyes."""
    real: dict[str, list[float]] = {}
    edited: dict[str, list[float]] = {}
    delay: dict[str, list[float]] = {}
    for pair in pairs:
        twins = calibrated.surprise(pair.real), calibrated.surprise(pair.edited)
        for term in twins[0]:
            real.setdefault(term, []).append(float(twins[0][term][LEAD:].max()))
            edited.setdefault(term, []).append(float(twins[1][term][LEAD:].max()))
            delay.setdefault(term, []).append(latency(twins[1][term], pair.onset, ALARM))
    return Watched(*({term: np.array(v) for term, v in side.items()} for side in (real, edited, delay)))


def together(parts: Sequence[Watched], terms: Sequence[str]) -> Watched:
    """The pairs of several kinds as one."""
    sides = [
        {term: np.concatenate([getattr(part, side)[term] for part in parts]) for term in terms}
        for side in ("real", "edited", "delay")
    ]
    return Watched(*sides)


def lines_of(
    watcher: Watcher,
    env_spec: dict[str, Any],
    calibration: Sequence[Episode],
    test: Sequence[Episode],
    pairs: dict[str, list[Pair]],
) -> list[dict[str, Any]]:
    """One watcher's lines of the table: a term and a kind of violation each, and all gross kinds as one."""
    calibrated = Calibrated(watcher, [episode.clip for episode in calibration])
    lived: dict[str, list[Floats]] = {}
    for episode in test:
        for term, surprise in calibrated.surprise(episode.clip).items():
            lived.setdefault(term, []).append(surprise)
    watched = {kind: watch(calibrated, found) for kind, found in pairs.items() if found}
    watched["all gross"] = together([watched[k] for k in GROSS if k in watched], list(lived))
    lines = []
    for term, kind in itertools.product(lived, watched):
        seen = watched[kind]
        real, edited, delay = seen.real[term], seen.edited[term], seen.delay[term]
        lines.append(
            {
                **env_spec,
                "watcher": watcher.name,
                "term": term,
                "violation": kind,
                "pairs": len(real),
                "pairwise_accuracy": f"{pairwise_accuracy(real, edited):.4f}",
                "auroc": f"{auroc(real, edited):.4f}",
                "latency_median": f"{np.median(delay):g}",
                "detected": f"{np.isfinite(delay).mean():.4f}",
                "false_alarms_per_1000": f"{false_alarms_per_thousand(np.concatenate(lived[term]), ALARM):.3f}",
                "real_steps": sum(len(part) for part in lived[term]),
                "calibration_steps": sum(len(episode.clip.action) for episode in calibration),
            }
        )
    return lines


def loaded(run: Path, changes: dict[str, Any] | None = None) -> WorldModelAgent:
    """The agent of a run folder, which must have a world model."""
    learner = joule.load(run, settings=changes)
    if not isinstance(learner, WorldModelAgent):
        raise SystemExit(f"{run}: {learner.kind} has no world model to watch with; joule has")
    return learner


def trained(env: str, steps: int) -> Path:
    """The folder of this benchmark's own agent for `env`, trained or trained on to `steps` frames."""
    folder = ROOT / "runs" / "intuition" / env.replace("/", "-")
    # One evaluation at the end: what is asked here is what the model knows, not what the agent earns.
    quiet = ("--eval-every-frames", str(steps), "--eval-episodes", "3")
    return training.all_trained([training.Training(folder, steps, ("--env", env, "--seed", "1"), quiet)])[0]


def examine(run: Path, options: argparse.Namespace) -> None:
    """All watchers on the environment of one run: its lines go into the table; films if they are wanted."""
    learner = loaded(run)
    env = learner.config.env
    if env not in STAGES:
        raise SystemExit(f"{run}: violations are staged in {', '.join(STAGES)}, not in {env}")
    body = envs.make(env)
    calibration = mixed_life(body, run, options.real_steps, CALIBRATION_SEED)
    test = mixed_life(body, run, options.real_steps, TEST_SEED)
    kinds = [kind for kind in MEANINGS if kind not in STAGES[env].without]
    pairs = {kind: pairs_of(body, test, kind, options.pairs, TEST_SEED) for kind in kinds}
    env_spec = {
        "env": env, "agent_frames": learner.frames, "seed": learner.config.seed, "commit": version(),
    }  # fmt: skip
    print(f"{env}: " + ", ".join(f"{len(found)} {kind}" for kind, found in pairs.items()), flush=True)
    model = WorldModel("world model", learner.modules.networks, learner.env_spec.readout_sizes)
    watchers: list[Watcher] = [
        model,
        untrained(learner),
        ConstantVelocity("constant velocity", scaled=True),
        ConstantVelocity("constant velocity, errors unscaled", scaled=False),
    ]
    lines = []
    for watcher in watchers:
        found = lines_of(watcher, env_spec, calibration, test, pairs)
        lines += found
        for line in found:
            if line["term"] == TOGETHER:
                shown = (
                    "watcher", "violation", "pairs", "pairwise_accuracy", "auroc", "latency_median", "detected",
                    "false_alarms_per_1000",
                )  # fmt: skip
                print("  ".join(str(line[name]) for name in shown), flush=True)
    write(lines)
    if options.films is not None:
        calibrated = Calibrated(model, [episode.clip for episode in calibration])
        for kind, found_pairs in pairs.items():
            if found_pairs:
                print(film(env, kind, found_pairs[0], calibrated, options.films), flush=True)


def film(env: str, kind: str, pair: Pair, calibrated: Calibrated, folder: Path) -> Path:
    """A pair as an mp4, twins side by side over their surprise, and as stills in a PNG."""
    from benchmarks.comprehension.stills import stills
    from envs.rendering.video import write_mp4
    from joule.report.film import Story, annotate, side_by_side

    stage = envs.make(env, render_mode="rgb_array", width=480, height=360)
    edited, strange = broken(stage, pair.episode, kind, pair.at)
    plain = unbroken(stage, Episode(pair.episode.seed, pair.episode.clip.part(0, pair.at + AFTER), []))
    stage.close()
    first = pair.at - BEFORE - LEAD
    surprises = [
        calibrated.surprise(clip.part(first, pair.at + AFTER))[TOGETHER][LEAD:]
        for clip in (pair.episode.clip, edited)
    ]
    seconds = stage.env_spec.seconds_per_decision or 1 / 30
    stories = [Story(env, name, seconds, surprise=True) for name in ("untouched", kind)]
    pictures = []
    for index, frame in enumerate(strange):
        both = []
        for story, shown, surprise, costs in zip(
            stories, (plain[index], frame), surprises, (pair.episode.clip.cost, edited.cost), strict=True
        ):
            # On the film's scale 2 is an alarm.
            panel = story.tell(
                -float(costs[pair.at - BEFORE + index]), surprise=2.0 * float(surprise[index]) / ALARM
            )
            both.append(annotate(shown, panel=panel))
        pictures.append(side_by_side(both, ["what is possible", MEANINGS[kind]]))
    name = f"{env.replace('/', '-')}-{kind}"
    path = folder / f"{name}.mp4"
    write_mp4(path, pictures, 0.5 / seconds)
    shown = [step for step in (-4, 1, 3, 6, 12) if BEFORE + step - 1 < len(strange)]
    stills(
        folder / f"{name}.png", [strange[BEFORE + step - 1] for step in shown], shown,
        *(surprise[BEFORE + shown[0] :] for surprise in surprises), alarm=ALARM, title=MEANINGS[kind].split(":")[0],
    )  # fmt: skip
    return path


def unbroken(body: SafeEnv, episode: Episode) -> list[Any]:
    """Frames of the episode as it was, from BEFORE + AFTER steps before its end."""
    body.reset(seed=episode.seed)
    frames = []
    for step, action in enumerate(episode.clip.action):
        body.step(action)
        if step >= len(episode.clip.action) - BEFORE - AFTER:
            frames.append(body.render())
    return frames


def write(lines: Sequence[dict[str, Any]]) -> None:
    """Puts the lines into the table; those of environments and seeds that were not tried again stay."""
    tried = {(line["env"], str(line["seed"])) for line in lines}
    kept = [line for line in tables.read(RESULT) if (line["env"], line["seed"]) not in tried]
    order = list(STAGES)
    tables.write(RESULT, COLUMNS, sorted([*kept, *lines], key=lambda line: order.index(line["env"])))


def summary(lines: Sequence[dict[str, str]]) -> dict[str, Any]:
    """What the trained model saw of all gross kinds, by all its terms: for each body, the mean of its seeds, and
    the bodies' mean.

    Latency is the bodies' largest median, in steps; null when a body's median violation goes unnoticed.
    """
    figures = ("pairwise_accuracy", "auroc", "latency_median", "false_alarms_per_1000")
    wanted = ("world model", TOGETHER, "all gross")
    lines = [line for line in lines if (line["watcher"], line["term"], line["violation"]) == wanted]
    bodies = {
        env: {name: float(np.mean([float(x[name]) for x in lines if x["env"] == env])) for name in figures}
        for env in dict.fromkeys(line["env"] for line in lines)
    }
    mean = {name: float(np.mean([body[name] for body in bodies.values()])) for name in figures}
    slowest = max(body["latency_median"] for body in bodies.values())
    del mean["latency_median"]
    seen: dict[str, Any] = {
        env: {name: value if math.isfinite(value) else None for name, value in body.items()}
        for env, body in bodies.items()
    }
    return mean | {"latency_steps": slowest if math.isfinite(slowest) else None, "bodies": seen}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", nargs="+", type=Path, default=[], metavar="FOLDER", help="trained agents")
    parser.add_argument("--envs", nargs="+", choices=list(STAGES), default=list(STAGES), metavar="ENV",
                        help="without --runs: train in these (default: %(default)s)")  # fmt: skip
    parser.add_argument("--steps", type=int, default=15_000, help="frames of that training (default: 15000)")
    parser.add_argument("--pairs", type=int, default=100, help="pairs of each kind at most (default: 100)")
    parser.add_argument("--real-steps", type=int, default=12_000, metavar="N",
                        help="real steps to calibrate on, and as many to test on (default: 12000)")  # fmt: skip
    parser.add_argument("--films", type=Path, metavar="FOLDER", help="film one pair of each kind into it")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for run in options.runs or (trained(env, options.steps) for env in options.envs):
        examine(run, options)
    found = summary(tables.read(RESULT))
    SUMMARY.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")
    print(RESULT, SUMMARY)
    return 0


if __name__ == "__main__":
    sys.exit(main())

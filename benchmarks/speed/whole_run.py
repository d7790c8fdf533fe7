"""Measures the CPU time of whole runs relative to SAC's, in one process, for every agent of the frontier.

    python benchmarks/speed/whole_run.py                           # table; -> benchmarks/results/whole_run.json
    python benchmarks/speed/whole_run.py --only strong --dry       # one agent beside SAC; the table alone
    python benchmarks/speed/whole_run.py --only default-compiled   # with compiled gradient steps, without the compiling

Rows of results were made on different processors at different hours, so that their CPU times are not comparable. Here the
agents take turns in one process, and the figure is a ratio of medians. A run of 100,000 frames is summed up decision by
decision: random actions in warm-up, pre-training, the update-to-data ratio at each decision, and planned episodes.
Evaluations are not in it. Each agent is divided by SAC in the same process, so that agents can be measured one by one.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from agent.configurator.dotted_names import replace
from agent.configurator.settings import Config
from agent.learning.schedule import updates_due
from benchmarks.contenders import BY_NAME, CONTENDERS, GYMNASIUM, Contender
from benchmarks.refusals import exit_code
from benchmarks.speed.agent_calls import decision_call, policy_call, settled_agent, update_call
from benchmarks.speed.speed import default_env, machine
from benchmarks.speed.stopwatch import Call, medians, take_turns
from benchmarks.training import RESULTS
from joule.baselines.settings import settings_for

RESULT = RESULTS / "whole_run.json"
SAC = "sac"
TIMED_ALONE = Contender("default-compiled", "Joule, compiled", "joule", settings={"learning.compiled": True})
"""Its returns are those of the default settings but for rounding, so that it has no rows of its own."""
EVERY_FRAMES = 10_000
"""Frames between two points of a run's CPU time."""
ROUNDS, DECISIONS, TURN_SECONDS = 9, 10, 0.05
"""Turns, and decisions of training in one turn."""


@dataclass(frozen=True)
class Parts:
    """CPU milliseconds of the parts of a run, of which `whole_run_ms` is the sum."""

    random: float
    """A decision in warm-up."""
    decision: float
    """A decision after warm-up whose action the policy chooses, with its updates."""
    update: float = 0.0
    """A gradient step with its sample; only for an agent whose update-to-data ratio changes."""
    planning: float = 0.0
    """What a planned decision adds."""


def measure(configs: dict[str, Config], rounds: int, decisions: int) -> dict[str, Parts]:
    """The parts of several agents' runs, measured in turns.

    Args:
        configs: of every agent by name, all in one environment.
        rounds: turns of each call.
        decisions: of training in one turn.
    """
    first = next(iter(configs.values()))
    random = replace(Config(), {"env": first.env, "agent": "random"})
    agents = {name: settled_agent(config) for name, config in {**configs, "random": random}.items()}

    def training(agent: Any) -> Call:
        return lambda: agent.learn(decisions * agent.env_spec.action_repeat)

    calls: dict[str, Call] = {name: training(agent) for name, agent in agents.items()}
    for name, config in configs.items():
        if config.agent == "joule":
            agent = agents[name]
            calls |= {
                f"{name} update": update_call(agent),
                f"{name} plan": decision_call(agent),
                f"{name} policy": policy_call(agent),
            }
    ms = medians(take_turns(calls, rounds, TURN_SECONDS))
    found = {}
    for name, config in configs.items():
        own = (0.0, 0.0)
        if config.agent == "joule":
            own = ms[f"{name} update"], ms[f"{name} plan"] - ms[f"{name} policy"]
        found[name] = Parts(ms["random"] / decisions, ms[name] / decisions, *own)
    return found


def whole_run_ms(config: Config, action_repeat: int, parts: Parts) -> NDArray[np.float64]:
    """CPU milliseconds [decisions] from the start of a run to the end of every decision.

    Args:
        config: the settings; `steps` is the length of the run.
        action_repeat: frames per decision.
        parts: what was measured.
    """
    explore, learning = config.explore, config.learning
    count = config.steps // action_repeat
    if config.agent != "joule":
        warmup = settings_for(config.agent, config.env, count)["learning_starts"]
        return np.cumsum(np.where(np.arange(count) < warmup, parts.random, parts.decision))
    number = np.arange(1, count + 1)
    warmup = explore.warmup_decisions
    ms = np.where(number < warmup, parts.random, parts.decision)
    due = np.array([updates_due(n, 1, explore, learning) for n in range(warmup, count + 1)])
    ms[warmup - 1 :] += (due - learning.utd) * parts.update
    if explore.plan_from_decisions is not None:
        ms += np.where(number > explore.plan_from_decisions, parts.planning / explore.plan_every_episodes, 0)
    return np.cumsum(ms)


def relative_to_sac(
    configs: dict[str, Config], action_repeat: int, parts: dict[str, Parts]
) -> dict[str, dict[int, float]]:
    """Name -> frames -> CPU time from the start of the run, in units of SAC's whole run."""
    sums = {name: whole_run_ms(config, action_repeat, parts[name]) for name, config in configs.items()}
    unit = float(sums[SAC][-1])
    points = range(EVERY_FRAMES, configs[SAC].steps + 1, EVERY_FRAMES)
    return {
        name: {n: float(total[n // action_repeat - 1]) / unit for n in points} for name, total in sums.items()
    }


def measure_env(env: str, names: list[str], rounds: int, decisions: int) -> dict[str, Any]:
    """What is known of an environment: name -> machine, parts, and CPU time relative to SAC's by frames."""
    import envs

    known = {**BY_NAME, TIMED_ALONE.name: TIMED_ALONE}
    configs = {name: known[name].config(env) for name in dict.fromkeys([SAC, *names])}
    repeat = envs.make(env).env_spec.action_repeat
    where = machine()
    parts = measure(configs, rounds, decisions)
    relative = relative_to_sac(configs, repeat, parts)
    minutes = float(whole_run_ms(configs[SAC], repeat, parts[SAC])[-1]) / 60e3
    return {
        name: {
            "machine": where,
            "milliseconds": asdict(parts[name]),
            "sac_minutes": minutes,
            "relative_to_sac": relative[name],
        }
        for name in configs
    }


def read(path: Path = RESULT) -> dict[str, Any]:
    """Environment -> name -> what `measure_env` found; empty before the first measurement."""
    return json.loads(path.read_text()) if path.exists() else {}


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [contender.name for contender in CONTENDERS]
    p.add_argument("--only", nargs="+", choices=[*names, TIMED_ALONE.name], default=names, metavar="AGENT")
    p.add_argument("--envs", nargs="+", default=[default_env(), GYMNASIUM[0]])
    p.add_argument("--rounds", type=int, default=ROUNDS, help="turns of each call")
    p.add_argument("--decisions", type=int, default=DECISIONS, help="decisions of training in one turn")
    p.add_argument("--dry", action="store_true", help="write no file")
    options = p.parse_args()
    torch.set_num_threads(1)
    for env in options.envs:
        found = measure_env(env, options.only, options.rounds, options.decisions)
        print(f"{env}: SAC's run takes {found[SAC]['sac_minutes']:.1f} CPU-minutes here")
        for name, record in found.items():
            ms, total = record["milliseconds"], list(record["relative_to_sac"].values())[-1]
            parts = "  ".join(f"{part} {value:.2f}" for part, value in ms.items())
            print(f"  {name:16s}{total:7.2f} of SAC's whole run     ms: {parts}", flush=True)
        if not options.dry:
            record = read()
            record[env] = {**record.get(env, {}), **found}
            RESULT.write_text(json.dumps(record, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main))

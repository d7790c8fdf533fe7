"""Stops a run at five kinds of moments in every body, resumes it, and compares it with the run left alone.

    python benchmarks/resume.py                        -> benchmarks/results/resume.csv
    python benchmarks/resume.py --agents sac td3       some of it; the other rows of the file stay

exact is yes when the last checkpoint (weights, optimisers, replay, generators, counters), the metrics and the
evaluations are the same to the last bit. Each stopped run is resumed in a new process. Joule is tried in all
bodies; the baselines, which go through the same doors, in three.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.reliability.arena import Arena, fingerprint, steps_of, warm_up

from benchmarks import tables

RESULT = Path(__file__).parents[1] / "results" / "resume.csv"
COLUMNS = ("body", "agent", "moment", "stopped_at", "exact", "differs", "hash")
GYMNASIUM = (
    "Ant-v5",
    "HalfCheetah-v5",
    "Hopper-v5",
    "Humanoid-v5",
    "HumanoidStandup-v5",
    "InvertedDoublePendulum-v5",
    "InvertedPendulum-v5",
    "Pusher-v5",
    "Reacher-v5",
    "Swimmer-v5",
    "Walker2d-v5",
)
OWN = ("joule/Reach-v0", "joule/Push-v0", "joule/Cup-v0", "joule/Maze-v0")
FEW = ("HalfCheetah-v5", "Hopper-v5", "joule/Reach-v0")
BASELINES = ("sac", "td3", "tqc", "crossq", "ppo")
SETTINGS = {
    "steps": 120,
    "max-episode-frames": 40,
    "eval-every-frames": 70,
    "checkpoint-every-frames": 500,
    "learning.replay-capacity-transitions": 60,
    "explore.warmup-decisions": 30,
    "explore.plan_from_decisions": 0,
    "explore.plan-every-episodes": 1,
}
"""The ring of 60 rows wraps at about the sixtieth decision."""

BASELINE_SETTINGS: dict[str, Any] = {"buffer_size": 60, "learning_starts": 30, "batch_size": 16}
PPO_SETTINGS: dict[str, Any] = {"n_steps": 48, "batch_size": 16}
"""What replaces the published settings, so that a baseline too comes to all of the moments in 120 steps."""

MOMENTS: dict[str, Callable[[Any], bool]] = {
    "warm-up": lambda agent: agent.decisions == 20,
    "mid-episode": lambda agent: agent.decisions >= 50 and agent.interaction.obs is not None,
    "episode end": lambda agent: agent.decisions >= 55 and agent.interaction.obs is None,
    "wrapped replay": lambda agent: agent.memory.rows > agent.memory.capacity + 30,
}
BASELINE_MOMENTS: dict[str, Callable[[Any], bool]] = {
    "warm-up": lambda agent: agent.decisions == 20,
    "mid-episode": lambda agent: agent.decisions >= 50 and agent.run_script.episode_length > 0,
    "episode end": lambda agent: agent.decisions >= 55 and agent.run_script.episode_length == 0,
    "wrapped replay": lambda agent: agent.replay.total > agent.replay.capacity + 30,
}


def make_small() -> None:
    """Gives baselines of this process small replays, rollouts and critics."""
    from joule.baselines import stable_baselines as baselines

    published = baselines.settings_for

    def settings_for(kind: str, env: str, decisions: int) -> dict[str, Any]:
        settings = {
            **published(kind, env, decisions),
            **(PPO_SETTINGS if kind == "ppo" else BASELINE_SETTINGS),
        }
        if kind == "crossq":  # its published critics are so wide that one gradient step takes a second
            settings["policy_kwargs"] = {"net_arch": {"pi": [64, 64], "qf": [128, 128]}}
        return settings

    baselines.settings_for = settings_for


def stop_when(reached: Callable[[Any], bool]) -> Callable[[], None]:
    """The run sends itself SIGTERM after the first decision for which `reached`."""

    def tamper() -> None:
        from joule.training.trainer import Trainer

        real = Trainer.on_step

        def on_step(self: Trainer, agent: Any) -> bool:
            if reached(agent):
                os.kill(os.getpid(), signal.SIGTERM)
            return real(self, agent)

        Trainer.on_step = on_step  # type: ignore[method-assign]

    return tamper


def stop_after_evaluation() -> None:
    """The run sends itself SIGTERM when its first evaluation is done and logged."""
    from joule.training.trainer import Scores, Trainer

    real = Trainer.score

    def score(self: Trainer, scores: Scores) -> None:
        real(self, scores)
        os.kill(os.getpid(), signal.SIGTERM)

    Trainer.score = score  # type: ignore[method-assign]


def tried(arena: Arena, body: str, agent: str) -> list[dict[str, str]]:
    """A line for each moment of one agent in one body."""
    changes = {**SETTINGS, "env": body, "agent": agent}
    moments, small = MOMENTS, None if agent == "joule" else make_small
    if agent != "joule":
        moments = {k: v for k, v in BASELINE_MOMENTS.items() if agent != "ppo" or k != "wrapped replay"}
    alone = arena.train(changes=changes, tamper=small)
    if alone.code != 0:
        line = (body, agent, "uninterrupted", "", "no", alone.told(), "")
        return [dict(zip(COLUMNS, line, strict=True))]
    whole, lines = fingerprint(alone.folder), []
    stops = {name: stop_when(reached) for name, reached in moments.items()}
    for moment, stop in (stops | {"after evaluation": stop_after_evaluation}).items():

        def tamper(stop: Callable[[], None] = stop) -> None:
            if small is not None:
                small()
            stop()

        stopped = arena.train(changes=changes, tamper=tamper)
        at = steps_of(stopped.folder)
        again = arena.resume(stopped.folder, tamper=small)
        if stopped.code == 143 and again.code == 0:
            found = fingerprint(again.folder)
            differs = " ".join(name for name in whole if found[name] != whole[name])
        else:
            differs = f"{stopped.told()}; {again.told()}"
        exact = "no" if differs else "yes"
        line = (body, agent, moment, " ".join(map(str, at)), exact, differs, whole["arrays"])
        lines.append(dict(zip(COLUMNS, line, strict=True)))
    exact_ones = sum(line["exact"] == "yes" for line in lines)
    print(f"{agent} in {body}: {exact_ones} of {len(lines)} exact", flush=True)
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    agents = ("joule", *BASELINES)
    parser.add_argument("--agents", nargs="+", default=agents, choices=agents, metavar="NAME")
    parser.add_argument("--bodies", nargs="+", metavar="ID", help="instead of an agent's own list")
    given = parser.parse_args()
    warm_up()
    lines = tables.read(RESULT)
    for agent in given.agents:
        for body in given.bodies or ([*GYMNASIUM, *OWN] if agent == "joule" else FEW):
            arena = Arena()
            try:
                fresh = tried(arena, body, agent)
            finally:
                arena.close()
            lines = [line for line in lines if (line["body"], line["agent"]) != (body, agent)] + fresh
            tables.write(RESULT, COLUMNS, lines)
    exact = sum(line["exact"] == "yes" for line in lines)
    print(f"{exact} of {len(lines)} exact")
    return int(exact != len(lines))


if __name__ == "__main__":
    sys.exit(main())

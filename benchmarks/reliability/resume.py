"""Stops a run at five kinds of moments, resumes it, and compares it with the uninterrupted run.

    python benchmarks/reliability/resume.py                        -> benchmarks/results/resume.csv
    python benchmarks/reliability/resume.py --agents sac td3       some of it; the other rows of the file stay

`exact` is "yes" where the last checkpoint (weights, optimisers, replay, random generators, counters), the metrics
and the evaluations are equal to the last bit. Each stopped run is resumed in a new process. The world-model agent
is tried in all environments, the baselines in three.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import raw_rows
from benchmarks.reliability.run_fingerprint import checkpoint_frames, fingerprint
from benchmarks.reliability.sandbox import ROOT, Patch, Sandbox, preload

RESULT = ROOT / "benchmarks" / "results" / "resume.csv"
COLUMNS = ("env", "agent", "moment", "stopped_at", "exact", "differs", "hash")
GYMNASIUM = (
    "Ant-v5", "HalfCheetah-v5", "Hopper-v5", "Humanoid-v5", "HumanoidStandup-v5", "InvertedDoublePendulum-v5",
    "InvertedPendulum-v5", "Pusher-v5", "Reacher-v5", "Swimmer-v5", "Walker2d-v5",
)  # fmt: skip
OWN = ("joule/Reach-v0", "joule/Push-v0", "joule/Cup-v0", "joule/Maze-v0")
BASELINE_ENVS = ("HalfCheetah-v5", "Hopper-v5", "joule/Reach-v0")
BASELINES = ("sac", "td3", "tqc", "crossq", "ppo")
SETTINGS = {
    "steps": 120,
    "max_episode_frames": 40,
    "eval_every_frames": 70,
    "checkpoint_every_frames": 500,
    "learning.replay_capacity_transitions": 60,
    "explore.warmup_decisions": 30,
    "explore.plan_from_decisions": 0,
    "explore.plan_every_episodes": 1,
}
"""The replay buffer of 60 rows overwrites its oldest row from about the sixtieth decision on."""
BASELINE_SETTINGS: dict[str, Any] = {"buffer_size": 60, "learning_starts": 30, "batch_size": 16}
PPO_SETTINGS: dict[str, Any] = {"n_steps": 48, "batch_size": 16}
"""In place of the published settings, so that a baseline reaches every moment within 120 steps."""

Reached = Callable[[Any], bool]
MOMENTS: dict[str, Reached] = {
    "warm-up": lambda agent: agent.decisions == 20,
    "mid-episode": lambda agent: agent.decisions >= 50 and agent.interaction.obs[0] is not None,
    "episode end": lambda agent: agent.decisions >= 55 and agent.interaction.obs[0] is None,
    "wrapped replay": lambda agent: agent.replay[0].total > agent.replay[0].capacity + 30,
}
"""Moment of the world-model agent -> whether it is reached."""
BASELINE_MOMENTS: dict[str, Reached] = {
    "warm-up": lambda agent: agent.decisions == 20,
    "mid-episode": lambda agent: agent.decisions >= 50 and agent.bridge.episode_length > 0,
    "episode end": lambda agent: agent.decisions >= 55 and agent.bridge.episode_length == 0,
    "wrapped replay": MOMENTS["wrapped replay"],
}


def small_baselines() -> None:
    """Gives baselines of this process small replay buffers, rollouts and critics."""
    from joule.baselines import stable_baselines as baselines

    published = baselines.settings_for

    def settings_for(kind: str, *given: Any, **named: Any) -> dict[str, Any]:
        changes = PPO_SETTINGS if kind == "ppo" else BASELINE_SETTINGS
        settings = {**published(kind, *given, **named), **changes}
        if kind == "crossq":  # with its published critics one gradient step takes a second
            settings["policy_kwargs"] = {"net_arch": {"pi": [64, 64], "qf": [128, 128]}}
        return settings

    baselines.settings_for = settings_for  # type: ignore[assignment]


def stop_when(reached: Reached) -> Patch:
    """The run sends itself SIGTERM after the first decision at which a moment is reached."""

    def patch() -> None:
        from joule.training.trainer import Trainer

        real = Trainer.on_step

        def on_step(self: Trainer, agent: Any) -> bool:
            if reached(agent):
                os.kill(os.getpid(), signal.SIGTERM)
            return real(self, agent)

        Trainer.on_step = on_step  # type: ignore[method-assign]

    return patch


def stop_after_evaluation() -> None:
    """The run sends itself SIGTERM when its first evaluation is logged."""
    from joule.training.evaluation_rows import Moment, Recorded
    from joule.training.run_evaluations import RunEvaluations

    real = RunEvaluations.record

    def record(self: RunEvaluations, evaluation: Recorded, at: Moment) -> None:
        real(self, evaluation, at)
        os.kill(os.getpid(), signal.SIGTERM)

    RunEvaluations.record = record  # type: ignore[method-assign]


def moments_of(agent: str) -> dict[str, Reached]:
    """The moments at which an agent is stopped. PPO has no replay buffer."""
    if agent == "joule":
        return MOMENTS
    return {k: v for k, v in BASELINE_MOMENTS.items() if agent != "ppo" or k != "wrapped replay"}


def tried(sandbox: Sandbox, env: str, agent: str) -> list[dict[str, str]]:
    """A row for each moment of one agent in one environment."""
    changes = {**SETTINGS, "env": env, "agent": agent}
    small = None if agent == "joule" else small_baselines
    uninterrupted = sandbox.train(changes=changes, patch=small)
    if uninterrupted.code != 0:
        values = (env, agent, "uninterrupted", "", "no", uninterrupted.describe(), "")
        return [dict(zip(COLUMNS, values, strict=True))]
    expected, rows = fingerprint(uninterrupted.folder), []
    stops: dict[str, Patch] = {name: stop_when(reached) for name, reached in moments_of(agent).items()}
    for moment, stop in (stops | {"after evaluation": stop_after_evaluation}).items():

        def patch(stop: Patch = stop) -> None:
            if small is not None:
                small()
            stop()

        stopped = sandbox.train(changes=changes, patch=patch)
        frames = checkpoint_frames(stopped.folder)
        again = sandbox.resume(stopped.folder, patch=small)
        if stopped.code == 143 and again.code == 0:
            found = fingerprint(again.folder)
            differs = " ".join(name for name in expected if found[name] != expected[name])
        else:
            differs = f"{stopped.describe()}; {again.describe()}"
        exact, stopped_at = "no" if differs else "yes", " ".join(map(str, frames))
        values = (env, agent, moment, stopped_at, exact, differs, expected["arrays"])
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    count = sum(row["exact"] == "yes" for row in rows)
    print(f"{agent} in {env}: {count} of {len(rows)} exact", flush=True)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    agents = ("joule", *BASELINES)
    parser.add_argument("--agents", nargs="+", default=agents, choices=agents, metavar="NAME")
    parser.add_argument("--envs", nargs="+", metavar="ID", help="in place of the agent's own list")
    parser.add_argument("--out", type=Path, default=RESULT, help="the table (default: the committed one)")
    given = parser.parse_args()
    preload()
    rows = raw_rows.read(given.out)
    for agent in given.agents:
        for env in given.envs or ([*GYMNASIUM, *OWN] if agent == "joule" else BASELINE_ENVS):
            sandbox = Sandbox()
            try:
                new = tried(sandbox, env, agent)
            finally:
                sandbox.close()
            rows = [row for row in rows if (row["env"], row["agent"]) != (env, agent)] + new
            raw_rows.write(given.out, COLUMNS, rows)
    exact = sum(row["exact"] == "yes" for row in rows)
    print(f"{exact} of {len(rows)} exact")
    return int(exact != len(rows))


if __name__ == "__main__":
    sys.exit(main())

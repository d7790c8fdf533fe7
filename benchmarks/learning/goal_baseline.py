"""The baseline of goal reaching, SAC with hindsight: runs of as many frames, or as much CPU time, as those of Joule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joule
from benchmarks.training import RUNS, TrainingRun, train_all

AGENT = "sac_her"
MOST_FRAMES = 20
"""A run of equal CPU time ends at the latest after so many times the frames of Joule's run."""


class CpuBudget(joule.Callback):
    """Ends a run when it has learned for so long.

    Args:
        seconds: of the process's CPU time, over all processes of the run; evaluations are not counted.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def on_step(self, agent: Any) -> bool:
        """See `joule.Callback`."""
        return bool(agent.clock.seconds()["cpu"] < self.seconds)


def equal_frames(env: str, seed: int, frames: int, name: str) -> Path:
    """The folder of a run of `frames`; it is trained, or resumed, where it has fewer."""
    new = ("--agent", AGENT, "--env", env, "--seed", str(seed), "--eval-every-frames", str(frames))
    (folder,) = train_all([TrainingRun(_folder(name, seed), frames, new)], 1)
    return folder


def equal_cpu(env: str, seed: int, frames: int, name: str, seconds: float) -> Path:
    """The folder of a run that has learned for `seconds` of CPU time; it is trained, or resumed, where it has not.

    Args:
        env: the id.
        seed: of the run.
        frames: of Joule's run.
        name: of the subject.
        seconds: that Joule's run took, learning to reach goals included.
    """
    folder, budget = _folder(name, seed), [CpuBudget(seconds)]
    most = MOST_FRAMES * frames
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        joule.train(
            agent=AGENT, env=env, seed=seed, steps=most, eval_every_frames=most, video=False, out=folder,
            callbacks=budget,
        )  # fmt: skip
    elif budget[0].on_step(agent := joule.load(folder)) and agent.frames < most:
        joule.train(resume=folder, callbacks=budget)
    return folder


def _folder(name: str, seed: int) -> Path:
    return RUNS / "goals" / name / f"seed{seed}"

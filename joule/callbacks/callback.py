"""The callback of a training run, and the events that it is told.

A callback of your own is a subclass that overrides what it wants to know:

    class Log(joule.Callback):
        def on_evaluation(self, evaluation):
            print(evaluation.frames, evaluation.returns.mean())

    joule.train(env="Hopper-v5", callbacks=[Log()])

The same numbers may be told twice: a resumed run repeats what came after its last checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

Outcome = Literal["finished", "interrupted", "failed"]
"""How a session ends: the budget is used up; a signal or a callback ends it; an error ends it."""


@dataclass(frozen=True)
class Episode:
    """A training episode that has ended; its actions include exploration."""

    frames: int
    """Environment frames of the run at its end."""
    total_return: float
    """The sum of its rewards."""
    decisions: int
    """Its length."""
    drawn: Mapping[str, float] = field(default_factory=dict)
    """The values that perturbations drew in it, by name, such as `mass.torso`; those of `RunStart.episodes` are not
    known."""


@dataclass(frozen=True)
class RunStart:
    """A run that begins or is resumed."""

    folder: Path
    """The run folder."""
    run_id: str
    """32 hexadecimal digits, the same after a resume."""
    settings: Mapping[str, Any]
    """Every setting by dotted name, such as `env`, `agent`, `steps` and `planner.kind`."""
    device: str
    """Where the agent learns, such as `cpu` or `cuda:0`."""
    frames: int
    """Frames that the run already has; 0 for a new one."""
    seconds: float
    """Seconds of training that it already has."""
    resumed: bool
    """Whether the run existed before."""
    episodes: Sequence[Episode] = ()
    """The training episodes that it already has."""


@dataclass(frozen=True)
class Measurement:
    """The newest value of everything that is measured in training."""

    frames: int
    values: Mapping[str, float]
    """By the names of `metrics.csv`, such as `surprise` and `loss/prediction`."""
    seconds: float
    """Seconds of training so far, without evaluations, over all processes of the run."""


@dataclass(frozen=True, eq=False)
class EvaluationResult:
    """An evaluation on held-out seeds, without exploration."""

    frames: int
    """Frames of training."""
    returns: np.ndarray
    """[episodes], the sum of rewards of each episode"""
    lengths: np.ndarray
    """[episodes], decisions"""
    row: Mapping[str, Any]
    """The row of `evaluations.csv`; it has `success_rate` where the environment says which episodes succeeded."""


@dataclass(frozen=True)
class Activity:
    """What a run does beside training: it evaluates or films, which takes a while."""

    name: Literal["evaluating", "filming"]
    done: float
    """Share that is done, from 0 to 1."""
    episodes_ended: int
    episodes: int


@dataclass(frozen=True)
class RunEnd:
    """The end of a session: the budget is used up, or something stopped the run."""

    frames: int
    outcome: Outcome
    """An interrupted run can be resumed; so can a failed one, where its cause is removed."""
    reason: str = ""
    """The error, as a sentence."""
    scores: Mapping[str, float] | None = None
    """The last evaluation: `return_mean`, `return_std` and, where known, `success_rate`; None before the first."""


class Callback:
    """Is told how a training run goes. Every method does nothing: override those that you need.

    They are called in the process and the thread that trains, which waits for them. A method that raises stops
    the run: a checkpoint is written, and the message names the callback. A new run that cannot start leaves no
    folder.
    """

    def on_start(self, start: RunStart) -> None:
        """The run begins or is resumed."""

    def on_step(self, agent: Any) -> bool | None:
        """A decision was taken, and learned from. Keep it short: it is called many thousand times.

        Args:
            agent: the agent that trains, an `agent.interface.Agent`. Read from it: an agent that is changed
                here learns something else. Only `agent.metrics` takes numbers of yours, which are logged.
                Where one environment trains in this process, `agent.env.info` is the info of its newest step,
                empty where a resume repeats this call.

        Returns:
            False ends the run: it is evaluated, saved, and can be resumed.
        """

    def on_episode(self, episode: Episode) -> None:
        """A training episode has ended."""

    def on_metrics(self, measurement: Measurement) -> None:
        """A row of `metrics.csv` was written."""

    def on_evaluation(self, evaluation: EvaluationResult) -> None:
        """An evaluation on held-out seeds has ended."""

    def on_checkpoint(self, frames: int) -> None:
        """The checkpoint of these frames is complete."""

    def on_video(self, path: Path, frames: int) -> None:
        """The video of the trained agent is complete."""

    def on_activity(self, activity: Activity) -> None:
        """An evaluation or a film goes on; called often."""

    def on_note(self, sentence: str) -> None:
        """A sentence for the user, such as a warning or the path of a file."""

    def on_end(self, end: RunEnd) -> None:
        """The session ends, also after an error."""

"""What a run records of an evaluation: rows of its tables."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from agent.interface import Agent, Legible
from joule.storage.log_files import SUCCESS_COLUMN
from joule.storage.provenance import version
from joule.training.evaluation import ReadSteps
from joule.training.forecast_log import ForecastLog

SCORES = ("return_mean", "return_std", SUCCESS_COLUMN)
"""Columns of evaluations.csv that sum up an evaluation; the last one where the environment says it."""


class Scores(Protocol):
    """The results of an evaluation that a run records."""

    @property
    def returns(self) -> np.ndarray:
        """[episodes]"""
        ...

    @property
    def lengths(self) -> np.ndarray:
        """[episodes], decisions"""
        ...

    @property
    def diverged(self) -> int:
        """Episodes that ended because the physics diverged."""
        ...

    @property
    def success_rate(self) -> float | None:
        """Share of the episodes that succeeded; None where the environment does not say."""
        ...

    @property
    def forecast_log(self) -> ForecastLog | None: ...
    @property
    def read_steps(self) -> ReadSteps | None: ...


@dataclass(frozen=True, eq=False)
class Recorded:
    """An evaluation as a run records it."""

    returns: np.ndarray
    """[episodes], the sum of rewards"""
    lengths: np.ndarray
    """[episodes], decisions"""
    diverged: int
    """Episodes that ended because the physics diverged."""
    forecasts: list[dict[str, Any]]
    """Rows of forecasts.csv."""
    readouts: list[dict[str, Any]]
    """Rows of readouts.csv."""
    success_rate: float | None = None
    """Share of the episodes that succeeded; None where the environment does not say."""


def recorded(agent: Agent, scores: Scores, frames: int) -> Recorded:
    """The results of an evaluation of an agent that has trained for `frames`."""
    log, steps = scores.forecast_log, scores.read_steps
    readouts: list[dict[str, Any]] = []
    if steps is not None and isinstance(agent, Legible):
        readouts = [
            {"frames": frames, "readout": name, "r_squared": "" if math.isnan(value) else f"{value:.6g}"}
            for name, value in agent.legibility(*steps).items()
        ]
    forecasts = [] if log is None else log.rows(frames)
    return Recorded(scores.returns, scores.lengths, scores.diverged, forecasts, readouts, scores.success_rate)


@dataclass(frozen=True)
class Moment:
    """When an evaluation was due."""

    frames: int
    decisions: int
    spent: dict[str, float]
    """Seconds of training, `cpu` and `wall`."""

    @classmethod
    def now(cls, agent: Agent) -> Moment:
        """The present of a run."""
        return cls(agent.frames, agent.decisions, agent.clock.seconds())


def protocol_row(agent: Agent, evaluation: Recorded, at: Moment) -> dict[str, Any]:
    """The row of evaluations.csv."""
    config, returns = agent.config, evaluation.returns
    # Significant digits, not decimals: an environment's rewards may be of any size.
    mean, std = (float(f"{figure:.8g}") for figure in (np.mean(returns), np.std(returns)))
    rate = evaluation.success_rate
    success = {} if rate is None else {SUCCESS_COLUMN: float(f"{rate:.8g}")}
    return {
        "agent": config.agent,
        "env": config.env,
        "seed": config.seed,
        "frames": at.frames,
        "decisions": at.decisions,
        "return_mean": mean,
        "return_std": std,
        "episodes": len(returns),
        "cpu_seconds": round(at.spent["cpu"], 2),
        "wall_seconds": round(at.spent["wall"], 2),
        "threads": config.threads,
        "device": config.device,
        "version": version(),
        **success,
    }

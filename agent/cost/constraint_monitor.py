"""Counts the steps that overstep constraints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from agent.cost.constraint import Constraint
from agent.cost.readouts import Readouts
from agent.cost.task import cost_per_row
from agent.interface import TrainingEnv
from agent.observed_env import ObservedEnv


class ConstraintMonitor:
    """Counts the steps of bodies that overstep guards, on their true readouts; `cost` is what a body charged.

    Raises TaskError where a guard does not fit a body that it counts in.
    """

    def __init__(self, constraints: Sequence[Constraint]):
        self.constraints = tuple(constraints)
        self.over: list[float] = []
        """How far each step that was taken is over its worst limit; 0 within all."""
        self._layout: Readouts | None = None

    def observe(self, body: TrainingEnv) -> ObservedEnv:
        """The same body, whose every step is counted from now on. All must be of one kind."""
        if self._layout is None:
            self._layout = Readouts(body.env_spec.readout_sizes, body.env_spec.derived_readouts or {})
        return ObservedEnv(body, self)

    def begin(self, obs: np.ndarray, readouts: np.ndarray) -> None:
        """An episode begins, which is no step."""

    def observe_step(
        self, action: np.ndarray, reward: float, terminated: bool, obs: np.ndarray, readouts: np.ndarray
    ) -> None:
        """Takes in a step."""
        assert self._layout is not None
        rows, acted = (torch.from_numpy(np.asarray(x, np.float32))[None] for x in (readouts, action))
        named = self._layout.of(rows, acted, lambda: rows.new_tensor([-float(reward)]))
        self.over.append(
            max(0.0, *(float(cost_per_row(constraint, named)[0]) for constraint in self.constraints))
        )

    @property
    def per_thousand(self) -> float:
        """Violations in 1,000 decisions; 0 before the first."""
        return 1000.0 * float(np.mean(np.array(self.over) > 0.0)) if self.over else 0.0

    @property
    def worst(self) -> float:
        """The furthest that a limit was overstepped, in its own unit."""
        return max(self.over, default=0.0)

"""Counts the environment steps that violate constraints."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from agent.cost.constraint import Constraint
from agent.cost.readouts import Readouts
from agent.cost.task import cost_per_row
from agent.interface import TrainingEnv
from agent.observed_env import ObservedEnv


class ConstraintMonitor:
    """Counts the steps of environments that violate constraints, by their true readouts.

    The readout `cost` is minus the reward of the step. All environments must have the same readouts.
    """

    def __init__(self, constraints: Sequence[Constraint]):
        self.constraints = tuple(constraints)
        self.violations: list[float] = []
        """The largest violation of each step, in the unit of its limit; 0 within all limits."""
        self.of_each: list[list[float]] = [[] for _ in self.constraints]
        """Those of each constraint alone."""
        self._layout: Readouts | None = None

    def observe(self, env: TrainingEnv) -> ObservedEnv:
        """The same environment, every step of which is counted from now on."""
        if self._layout is None:
            self._layout = Readouts(env.env_spec.readout_sizes, env.env_spec.derived_readouts or {})
        return ObservedEnv(env, self)

    def begin(self, obs: np.ndarray, readouts: np.ndarray) -> None:
        """An episode begins, which is no step."""

    def before_step(self) -> None:
        """Every step may be made: it counts by itself."""

    def observe_step(
        self, action: np.ndarray, reward: float, terminated: bool, obs: np.ndarray, readouts: np.ndarray
    ) -> None:
        """Counts a step.

        Raises:
            TaskError: for a constraint that does not fit the environment's readouts.
        """
        assert self._layout is not None
        rows, taken = (torch.from_numpy(np.asarray(x, np.float32))[None] for x in (readouts, action))
        named = self._layout.of(rows, taken, lambda: rows.new_tensor([-float(reward)]))
        largest = 0.0
        for constraint, violations in zip(self.constraints, self.of_each, strict=True):
            cost = float(cost_per_row(constraint, named)[0])
            # A cost that is no number keeps nothing, as in plans.
            violations.append(math.inf if math.isnan(cost) else max(0.0, cost))
            largest = max(largest, violations[-1])
        self.violations.append(largest)

    def ended(self) -> None:
        """An episode is over, which is no step."""

    @property
    def per_thousand(self) -> float:
        """Steps that violate a constraint, per 1,000 decisions; 0 before the first."""
        return _per_thousand(self.violations)

    @property
    def worst(self) -> float:
        """The largest violation, in the unit of its limit. Those of several limits have several units."""
        return max(self.violations, default=0.0)

    def summaries(self) -> list[dict[str, float]]:
        """Of each constraint, in their order, as JSON values: `per_1000` and `worst`, as of the properties."""
        return [{"per_1000": _per_thousand(one), "worst": max(one, default=0.0)} for one in self.of_each]


def _per_thousand(violations: Sequence[float]) -> float:
    return 1000.0 * float(np.mean(np.array(violations) > 0.0)) if violations else 0.0

"""Counts the steps that overstep constraints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from agent.cost.constraint import Guard
from agent.cost.readouts import Readouts
from agent.cost.task import priced
from agent.interface import TrainingEnv
from agent.observed_env import Attended


class Violations:
    """Counts the steps of bodies that overstep guards, on their true readouts; `cost` is what a body charged.

    Raises TaskError where a guard does not fit a body that it counts in.
    """

    def __init__(self, guards: Sequence[Guard]):
        self.guards = tuple(guards)
        self.over: list[float] = []
        """How far each step that was taken is over its worst limit; 0 within all."""
        self._layout: Readouts | None = None

    def attend(self, body: TrainingEnv) -> Attended:
        """The same body, whose every step is counted from now on. All must be of one kind."""
        if self._layout is None:
            self._layout = Readouts(body.facts.readout_sizes, body.facts.readout_views or {})
        return Attended(body, self)

    def begin(self, obs: np.ndarray, readouts: np.ndarray) -> None:
        """An episode begins, which is no step."""

    def notice(
        self, action: np.ndarray, reward: float, terminated: bool, obs: np.ndarray, readouts: np.ndarray
    ) -> None:
        """Takes in a step."""
        assert self._layout is not None
        rows, acted = (torch.from_numpy(np.asarray(x, np.float32))[None] for x in (readouts, action))
        named = self._layout.of(rows, acted, lambda: rows.new_tensor([-float(reward)]))
        self.over.append(max(0.0, *(float(priced(guard, named)[0]) for guard in self.guards)))

    @property
    def per_thousand(self) -> float:
        """Violations in 1,000 decisions; 0 before the first."""
        return 1000.0 * float(np.mean(np.array(self.over) > 0.0)) if self.over else 0.0

    @property
    def worst(self) -> float:
        """The furthest that a limit was overstepped, in its own unit."""
        return max(self.over, default=0.0)

"""The tiny environment as one that can show its goal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import gymnasium
import numpy as np
import tiny_env

ID = "joule-tests/PointGoal-v0"


class PointGoal(tiny_env.Point):
    """A point on a line whose goal is reached within 0.1."""

    goal_within: ClassVar[dict[str, float]] = {"position": 0.1}

    @contextmanager
    def at_goal(self) -> Iterator[np.ndarray]:
        """At rest at the goal."""
        before = self.x, self.v
        self.x, self.v = self.goal, 0.0
        try:
            yield self._observation()
        finally:
            self.x, self.v = before


gymnasium.register(id=ID, entry_point="tiny_goal_env:PointGoal", max_episode_steps=25)

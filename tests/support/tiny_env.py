"""An environment so small that an agent learns it within seconds: a point on a line, and a goal."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

ID = "joule-tests/Point-v0"
RECORDED = f"tiny_env:{ID}"
"""The id in what a run leaves: with the module that registers it."""


class Point(gymnasium.Env[np.ndarray, np.ndarray]):
    """Observation [3] = position, velocity, goal; action [1] = force; reward in [0, 1], 1 at the goal."""

    observation_space = spaces.Box(-2.0, 2.0, (3,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def _observation(self) -> np.ndarray:
        return np.array([self.x, self.v, self.goal], np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """A random position and goal; the velocity is 0."""
        super().reset(seed=seed)
        self.v = 0.0
        self.x, self.goal = self.np_random.uniform(-1.0, 1.0, 2)
        return self._observation(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Damped velocity, position between walls at -1.5 and 1.5."""
        self.v = 0.5 * self.v + 0.2 * float(action[0])
        self.x = float(np.clip(self.x + self.v, -1.5, 1.5))
        return self._observation(), max(0.0, 1.0 - abs(self.x - self.goal)), False, False, {}

    def readouts(self) -> dict[str, np.ndarray]:
        """Position, and signed distance to the goal."""
        return {"position": np.array([self.x]), "distance": np.array([self.goal - self.x])}


gymnasium.register(id=ID, entry_point="tiny_env:Point", max_episode_steps=25)

"""An environment of the user's own around dm_control, without shimmy."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

ID = "OwnCartpole-v0"


class OwnCartpole(gymnasium.Env[Any, Any]):
    """dm_control's cart and pole; a counter of its own is part of what is observed."""

    def __init__(self) -> None:
        from dm_control import suite

        self._inside = suite.load("cartpole", "swingup", task_kwargs={"random": 0})
        self._count = 0
        self.observation_space = spaces.Box(-np.inf, np.inf, (6,), np.float64)
        self.action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._count = 0
        if seed is not None:
            self._inside.task._random = np.random.RandomState(seed)
        return self._observe(self._inside.reset()), {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._count += 1
        moment = self._inside.step(action)
        return self._observe(moment), float(moment.reward or 0.0), False, False, {}

    def _observe(self, moment: Any) -> np.ndarray:
        return np.concatenate([*map(np.ravel, moment.observation.values()), [self._count / 100]])


if ID not in gymnasium.registry:
    gymnasium.register(ID, entry_point="control_env:OwnCartpole", max_episode_steps=100)

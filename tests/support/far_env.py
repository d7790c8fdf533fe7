"""A vehicle that observes its place by large coordinates, and the time by seconds since 1970."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict

ID = "joule-tests/FarFromZero-v0"


class Far(gymnasium.Env[Any, np.ndarray]):
    """Observes the time, unless the place is float32, and the place.

    The place has four numbers: north, the speed, north of something that is fixed, and the height of what rests.

    Args:
        north: where it begins, in m.
        dtype: of the place.
    """

    action_space = Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self, north: float = 5.5e6, dtype: str = "float64") -> None:
        self.north, self.dtype = north, np.dtype(dtype)
        spaces: dict[str, Any] = {"place": Box(-np.inf, np.inf, (4,), self.dtype.type)}
        if self.dtype == np.float64:
            spaces["clock"] = Box(-np.inf, np.inf, (1,), np.float64)
        self.observation_space = Dict(spaces)
        self.steps, self.moved = 0, 0.0

    def _observed(self, speed: float) -> dict[str, np.ndarray]:
        place = [self.north + self.moved, speed, self.north + 100.0, 0.8 + 1e-9 * speed]
        seen = {"place": np.array(place, self.dtype)}
        if self.dtype == np.float64:
            seen["clock"] = np.array([1.7e9 + 0.05 * self.steps])
        return seen

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.steps, self.moved = 0, 0.0
        return self._observed(0.0), {}

    def step(self, action: np.ndarray) -> Any:
        self.steps += 1
        self.moved += 0.05 * (1.0 + float(action[0]))
        return self._observed(float(action[0])), 0.0, False, False, {}


gymnasium.register(ID, "far_env:Far", max_episode_steps=50)

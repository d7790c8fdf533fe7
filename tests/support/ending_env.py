"""The tiny environment with episodes of random length, so that several of them do not end together."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from tiny_env import Point

ID = "ending_env:joule-tests/EndingPoint-v0"


class EndingPoint(Point):
    """Terminates with a probability of 0.08 a step."""

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        obs, reward, _, truncated, info = super().step(action)
        return obs, reward, bool(self.np_random.random() < 0.08), truncated, info


if "joule-tests/EndingPoint-v0" not in gymnasium.registry:
    gymnasium.register(
        "joule-tests/EndingPoint-v0", entry_point="ending_env:EndingPoint", max_episode_steps=25
    )

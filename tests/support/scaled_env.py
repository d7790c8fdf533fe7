"""The point of `tiny_env` with an action of three numbers in units of its own, one of them constant."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from tiny_env import Point

ID = "joule-tests/Scaled-v0"


class Scaled(Point):
    """Action [1, 3] = force in [-4, 4], a constant 0.5, and a brake in [0, 10]."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 50}  # noqa: RUF012
    action_space = spaces.Box(
        np.array([[-4.0, 0.5, 0.0]], np.float32), np.array([[4.0, 0.5, 10.0]], np.float32), dtype=np.float32
    )

    def step(self, action: np.ndarray) -> Any:
        """The force moves the point less, the stronger the brake is."""
        assert action.shape == (1, 3)
        force, constant, brake = action[0]
        assert constant == np.float32(0.5)
        return super().step(np.array([force / 4.0 * (1.0 - brake / 10.0)]))


class Half(Point):
    """Actions of float16, coarser than those of the agent."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 50}  # noqa: RUF012
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float16)  # type: ignore[arg-type]


class Far(Point):
    """Actions that float32 does not resolve; it holds neither the bounds nor the middle."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 50}  # noqa: RUF012
    action_space = spaces.Box(1e6 + 0.01, 1e6 + 0.97, (1,), np.float64)  # type: ignore[arg-type]

    def step(self, action: np.ndarray) -> Any:
        """The force is the distance from the middle of the range."""
        return super().step((action - 1e6 - 0.5).astype(np.float32))


HALF, FAR = "joule-tests/Half-v0", "joule-tests/Far-v0"
for name, of in ((ID, "Scaled"), (HALF, "Half"), (FAR, "Far")):
    if name not in gymnasium.registry:
        gymnasium.register(id=name, entry_point=f"scaled_env:{of}", max_episode_steps=25)

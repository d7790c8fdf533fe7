"""The point of `tiny_env` as a picture whose brightness is the step."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from tiny_env import Point

import envs

ID = "joule-tests/Drawn-v0"


class Drawn(Point):
    """Renders 120 x 90 pixels. Step `breaks_at` raises RuntimeError, step `ends_at` ends the episode."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012

    def __init__(
        self, render_mode: str | None = None, breaks_at: int = 1_000, ends_at: int | None = None
    ) -> None:
        self.render_mode, self.breaks_at, self.ends_at = render_mode, breaks_at, ends_at

    def reset(self, **options: Any) -> Any:
        """Step 0."""
        self.t = 0
        return super().reset(**options)

    def step(self, action: np.ndarray) -> Any:
        """As the point."""
        self.t += 1
        if self.t == self.breaks_at:
            raise RuntimeError("a joint came off")
        obs, reward, terminated, truncated, info = super().step(action)
        return obs, reward, terminated or self.t == self.ends_at, truncated, info

    def render(self) -> np.ndarray:  # type: ignore[override]
        """Every pixel is 8 times the step."""
        return np.full((90, 120, 3), 8 * self.t, np.uint8)


if ID not in gymnasium.registry:
    gymnasium.register(id=ID, entry_point="drawn_env:Drawn", max_episode_steps=25)


def drawn(**kwargs: Any) -> Any:
    """An environment that renders."""
    return envs.make(ID, render_mode="rgb_array", kwargs=kwargs)

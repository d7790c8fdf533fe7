"""Environments whose own observation is a picture: a bright column that actions push to the left and right."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

ID = "Picture-v0"
EPISODE = 25
KINDS = ("hwc", "chw", "dict")
TWO = "two"


class PictureEnv(gymnasium.Env[Any, Any]):
    """The reward is highest where the column is in the middle.

    Args:
        kind: of the observation, one of KINDS: channels last, channels first, or a Dict of a picture and a vector;
            or TWO, a Dict of a vector and a Dict of two pictures: `front` shows the column and `back` is black.
        side: pixels of a side.
        channels: 1 for grey, 3 for red, green and blue.
        render_mode: rgb_array for films.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012  Gymnasium's form

    def __init__(
        self, kind: str = "hwc", side: int = 16, channels: int = 1, render_mode: str | None = None
    ) -> None:
        self.render_mode = render_mode
        self.kind, self.side, self.channels = kind, side, channels
        shape = (channels, side, side) if kind == "chw" else (side, side, channels)
        picture = spaces.Box(0, 255, shape, np.uint8)
        beside = spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.observation_space: spaces.Space[Any] = picture
        if kind == "dict":
            self.observation_space = spaces.Dict({"eye": picture, "arm": beside})
        if kind == TWO:
            eyes = spaces.Dict({"front": picture, "back": picture})
            self.observation_space = spaces.Dict({"eyes": eyes, "arm": beside})
        self.action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.place, self.speed = 0.0, 0.0
        self.canvas = np.zeros((side, side, channels), np.uint8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.place, self.speed = float(self.np_random.uniform(-0.9, 0.9)), 0.0
        return self._observe(), {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.speed = 0.8 * self.speed + 0.1 * float(action[0])
        self.place = float(np.clip(self.place + self.speed, -1.0, 1.0))
        return self._observe(), -abs(self.place), False, False, {}

    def render(self) -> np.ndarray:  # type: ignore[override]
        large = self.canvas[..., :1].repeat(480 // self.side, 0).repeat(480 // self.side, 1)
        return large.repeat(3, 2)

    def _observe(self) -> Any:
        self.canvas[:] = 20  # the same array is returned at every step
        self.canvas[:, round((self.place + 1.0) / 2.0 * (self.side - 1))] = 230
        picture = self.canvas.transpose(2, 0, 1) if self.kind == "chw" else self.canvas
        beside = np.array([self.place, self.speed])
        if self.kind == TWO:
            return {"eyes": {"front": picture, "back": np.zeros_like(picture)}, "arm": beside}
        return {"eye": picture, "arm": beside} if self.kind == "dict" else picture


if ID not in gymnasium.registry:
    gymnasium.register(ID, entry_point="picture_env:PictureEnv", max_episode_steps=EPISODE)

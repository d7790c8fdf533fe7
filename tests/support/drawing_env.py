"""An environment that draws what it observes: by a renderer of MuJoCo's of its own, or by Gymnasium's."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.mujoco.inverted_pendulum_v5 import InvertedPendulumEnv

ID = "Drawing-v0"
SIDE = 32


class DrawingEnv(InvertedPendulumEnv):
    """A pendulum on a cart, seen.

    Args:
        kind: whose renderer draws, "mujoco" or "gymnasium".
        render_mode: has no effect.
    """

    def __init__(self, kind: str = "mujoco", render_mode: str | None = None) -> None:
        self.kind = kind
        self.renderer: Any = None
        super().__init__(render_mode="rgb_array", width=SIDE, height=SIDE)
        self.observation_space = spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8)

    def reset_model(self) -> np.ndarray:
        super().reset_model()
        return self._picture()

    def step(self, action: np.ndarray) -> Any:
        _, *rest = super().step(action)
        return self._picture(), *rest

    def _picture(self) -> np.ndarray:
        if self.kind == "gymnasium":
            return np.array(self.render())
        import mujoco

        if self.renderer is None:
            self.renderer = mujoco.Renderer(self.model, SIDE, SIDE)
        self.renderer.update_scene(self.data)
        return np.array(self.renderer.render())

    def close(self) -> None:
        if self.renderer is not None:
            self.renderer.close()
        super().close()


gymnasium.register(ID, "drawing_env:DrawingEnv", max_episode_steps=50)

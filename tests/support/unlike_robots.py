"""Robots of Gymnasium's whose masses are drawn, and one with a large number beside what it observes."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv
from gymnasium.envs.mujoco.inverted_pendulum_v5 import InvertedPendulumEnv
from gymnasium.spaces import Box


class DrawnAtReset(InvertedPendulumEnv):
    """Its masses are others in each episode."""

    def draw(self) -> None:
        self.model.body_mass[1:] *= np.random.default_rng().uniform(0.5, 2.0)

    def reset(self, **options: Any) -> tuple[np.ndarray, dict[str, Any]]:
        self.draw()
        return super().reset(**options)


class DrawnWhereMade(DrawnAtReset):
    """Its masses are others each time that it is made, too."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.draw()


class UnderPressure(HalfCheetahEnv):
    """A cheetah that also observes the pressure of the air, in Pa."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.observation_space = Box(-np.inf, np.inf, self._get_obs().shape, np.float64)

    def _get_obs(self) -> np.ndarray:
        return np.append(super()._get_obs(), 101_325.0)


for maker in (DrawnAtReset, DrawnWhereMade, UnderPressure):
    gymnasium.register(
        f"joule-tests/{maker.__name__}-v0", f"unlike_robots:{maker.__name__}", max_episode_steps=20
    )

"""An environment of one's own around a MuJoCo model that is given as text, as a user writes it."""

from __future__ import annotations

from typing import Any

import gymnasium
import mujoco
import numpy as np
from gymnasium import spaces


class MjcfEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """Observes `qpos` and `qvel`; the reward is the first of them, and nothing ends an episode."""

    def __init__(self, xml: str) -> None:
        self.model: Any = mujoco.MjModel.from_xml_string(xml)
        self.data: Any = mujoco.MjData(self.model)
        size = self.model.nq + self.model.nv
        self.observation_space = spaces.Box(-np.inf, np.inf, (size,), np.float64)
        self.action_space = spaces.Box(-1.0, 1.0, (self.model.nu,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        mujoco.mj_resetData(self.model, self.data)
        self.data.qvel[:] = 0.1 * self.np_random.standard_normal(self.model.nv)
        mujoco.mj_forward(self.model, self.data)
        return self.observed(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.data.ctrl[:] = action
        mujoco.mj_step(self.model, self.data)
        return self.observed(), float(self.data.qpos[0]), False, False, {}

    def observed(self) -> np.ndarray:
        """What is observed now."""
        return np.concatenate([self.data.qpos, self.data.qvel])

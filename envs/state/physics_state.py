"""The state of MuJoCo between two steps, from which the second one can be taken again to the last bit.

`qpos` and `qvel` are not enough: MuJoCo's derived quantities lag by a step, and its solver starts from its last
solution.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from envs.physics import Physics, dm_control_env

DERIVED = (
    "xpos",
    "xipos",
    "xquat",
    "site_xpos",
    "geom_xpos",
    "subtree_com",
    "sensordata",
    "cvel",
    "cfrc_ext",
)
"""Fields of MuJoCo's data that lag behind its state by one substep, and that a reward may read before a step."""


class PhysicsState:
    """Reads and sets the state of one environment's physics, until a reset makes other physics.

    Args:
        env: the environment.
        physics: its model and data.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], physics: Physics) -> None:
        import mujoco

        self._physics = physics
        self._half_steps = dm_control_env(env) is not None
        self._get_state = mujoco.mj_getState
        self._signature = int(mujoco.mjtState.mjSTATE_INTEGRATION)
        self._state = np.zeros(mujoco.mj_stateSize(physics.model, self._signature))
        self._derived = [getattr(physics.data, name) for name in DERIVED]

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers of the state, and numbers that are derived from it."""
        return self._state.size, sum(field.size for field in self._derived)

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """The state [state] and what is derived from it [derived], in memory of their own."""
        # This runs at every step.
        self._get_state(self._physics.model, self._physics.data, self._state, self._signature)
        return self._state.copy(), np.concatenate([field.ravel() for field in self._derived])

    def set(self, state: np.ndarray, derived: np.ndarray) -> None:
        """Sets what `read` gave."""
        import mujoco

        model, data = self._physics.model, self._physics.data
        mujoco.mj_setState(model, data, np.array(state), self._signature)
        ends = np.cumsum([field.size for field in self._derived])[:-1]
        for field, value in zip(self._derived, np.split(np.array(derived), ends), strict=True):
            field[...] = value.reshape(field.shape)
        if self._half_steps:
            # dm_control begins a step with its second half and relies on the first one having been done.
            mujoco.mj_step1(model, data)

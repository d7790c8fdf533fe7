"""Environments of Joule's own that can say what it is to have done the task of an episode."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv
from numpy.typing import NDArray


class GoalEnv(MujocoEnv):
    """A MuJoCo environment whose task is to bring about a state.

    An agent can be shown that state as a goal: what is observed there, by `at_goal`.
    """

    goal_within: ClassVar[dict[str, float]]
    """Readout -> how far from its value at the goal is near enough, in the readout's unit."""

    @abstractmethod
    def goal_state(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Positions and velocities in which the task of this episode is done."""

    @abstractmethod
    def observe(self) -> NDArray[np.float64]:
        """The observation of the present state."""

    @contextmanager
    def at_goal(self) -> Iterator[NDArray[np.float64]]:
        """In the block, the physics is in the goal's state; afterwards it is as before. Gives what is observed."""
        # The whole data: derived positions may be those of one physics step before the joints'.
        before = mujoco.MjData(self.model)
        mujoco.mj_copyData(before, self.model, self.data)
        self.data.qpos[:], self.data.qvel[:] = self.goal_state()
        mujoco.mj_forward(self.model, self.data)
        try:
            yield self.observe()
        finally:
            mujoco.mj_copyData(self.data, self.model, before)

"""Environments of Joule's own that can say what it is to have done the task of an episode."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv
from gymnasium.spaces import Box
from numpy.typing import ArrayLike, NDArray

GOAL_GROUP = 2
"""Of the geoms that show the goal of an episode, in the MJCF files. MuJoCo draws it by default."""


class GoalEnv(MujocoEnv):
    """A MuJoCo environment whose task is to bring about a state.

    An agent can be shown that state as a goal: what is observed there, by `at_goal`.

    Args:
        model: an MJCF file.
        frame_skip: physics steps of one step.
        goal_in_observation: whether the goal of the episode is observed, as numbers and in pictures.
        kwargs: keyword arguments of `MujocoEnv`.
    """

    own_numbers: ClassVar[int]
    """Numbers that are observed without those of the goal."""
    goal_numbers: ClassVar[int]
    """Numbers of the observation that depend on the goal."""
    goal_within: ClassVar[dict[str, float]]
    """Readout -> how far from its value at the goal is near enough, in the readout's unit."""

    def __init__(self, model: Path, frame_skip: int, goal_in_observation: bool, **kwargs: Any) -> None:
        self.goal_in_observation = goal_in_observation
        numbers = self.own_numbers + (self.goal_numbers if goal_in_observation else 0)
        kwargs.setdefault("camera_name", "view")
        super().__init__(str(model), frame_skip, Box(-np.inf, np.inf, (numbers,), np.float64), **kwargs)
        self.metadata = {**self.metadata, "render_fps": round(1 / self.dt)}

    @property
    def unseen_groups(self) -> tuple[int, ...]:
        """Groups of geoms that an agent's pictures leave out; films show them."""
        return () if self.goal_in_observation else (GOAL_GROUP,)

    @abstractmethod
    def set_goal(self, goal: ArrayLike) -> None:
        """Moves the goal of this episode. Raises ValueError for a bad one."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Starts an episode; `options={"goal": ...}` sets the goal, see `set_goal`. Raises as it."""
        observation, info = super().reset(seed=seed)
        if options and "goal" in options:
            self.set_goal(options["goal"])
            observation, info = self.observe(), self._get_reset_info()
        return observation, info

    @abstractmethod
    def goal_state(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Positions and velocities in which the task of this episode is done."""

    @abstractmethod
    def observe_self(self) -> NDArray[np.float64]:
        """What is observed of the present state without the goal [own_numbers]."""

    @abstractmethod
    def observe_goal(self) -> NDArray[np.float64]:
        """What is observed of the goal, from the present state [goal_numbers]."""

    def observe(self) -> NDArray[np.float64]:
        """The observation of the present state."""
        own = self.observe_self()
        return np.concatenate([own, self.observe_goal()]) if self.goal_in_observation else own

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

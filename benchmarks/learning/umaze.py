"""PointMaze_UMaze-v3 of gymnasium-robotics, which here can say what it is to be at its goal.

This is what docs/guide/goals.md asks of an environment of one's own: `at_goal` and `goal_within`. The goal of an
episode is not observed: who acts is told it beside the observation, and moments of two episodes would look different
where the ball is at the same place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import gymnasium
import mujoco
from gymnasium.wrappers import FilterObservation
from gymnasium_robotics.envs.maze.point_maze import PointMazeEnv

ID = "benchmarks/UMaze-v0"


class UMaze(PointMazeEnv):  # type: ignore[misc]  # its package has no types
    """A ball in a U-shaped maze; starts and goals are drawn by the environment."""

    goal_within: ClassVar[dict[str, float]] = {"ball": 0.45}
    """The environment's own distance of success (m)."""

    def readouts(self) -> dict[str, Any]:
        """Place and velocity of the ball (m, m/s)."""
        return {"ball": self.data.qpos.copy(), "ball_velocity": self.data.qvel.copy()}

    @contextmanager
    def at_goal(self) -> Iterator[dict[str, Any]]:
        """In the block the ball is at rest at the goal; afterwards it is where it was. Gives what is observed."""
        before = mujoco.MjData(self.model)
        mujoco.mj_copyData(before, self.model, self.data)
        self.data.qpos[:], self.data.qvel[:] = self.goal, 0.0
        mujoco.mj_forward(self.model, self.data)
        try:
            observed, _ = self.point_env._get_obs()
            yield without_goal(self._get_obs(observed))
        finally:
            mujoco.mj_copyData(self.data, self.model, before)


def without_goal(observed: dict[str, Any]) -> dict[str, Any]:
    """What is observed but for the goal of the episode."""
    return {key: value for key, value in observed.items() if key != "desired_goal"}


def make(**kwargs: Any) -> gymnasium.Env[Any, Any]:
    """The environment; `kwargs` are those of `PointMazeEnv`."""
    env = UMaze(**kwargs)
    return FilterObservation(env, tuple(without_goal(dict(env.observation_space))))


if ID not in gymnasium.registry:
    gymnasium.register(ID, entry_point=make, max_episode_steps=300)

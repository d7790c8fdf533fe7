"""The ghost of a plan: the pose in which the agent expects its robot to be some decisions ahead."""

from __future__ import annotations

import numpy as np

from agent.actor.actor import ActingState
from agent.agent import WorldModelAgent
from agent.configurator.readout_checks import learned_readouts
from envs.rendering.poses import RobotPoses, are_predictable
from envs.safe_env import SafeEnv
from joule.filming.predicted_poses import PredictedPoses

USUAL_SECONDS_AHEAD, MOST_SECONDS_AHEAD = 0.2, 2.0
"""Simulated time that a ghost is ahead of the robot, at first and at most; at first at least as far as the plan."""


class PlanGhost:
    """Where the plan behind each decision leads.

    After the plan's own horizon it continues under the policy, as the critic's cost-to-go assumes.

    Args:
        agent: the agent.
        env: its environment.
        seconds: simulated time of a decision.
    """

    def __init__(self, agent: WorldModelAgent, env: SafeEnv, seconds: float) -> None:
        self.agent, self.seconds = agent, seconds
        self.ahead = max(agent.modules.actor.horizon, round(USUAL_SECONDS_AHEAD / seconds))
        """Decisions that the ghost is ahead."""
        self.robot = RobotPoses(env)
        self.predicted = PredictedPoses(agent, self.robot, seconds, self.ahead)

    @property
    def most_ahead(self) -> int:
        """The largest number of decisions that a ghost may be ahead."""
        return max(self.ahead + 1, round(MOST_SECONDS_AHEAD / self.seconds))

    def pose(self, state: ActingState) -> np.ndarray:
        """The expected pose [nq].

        Args:
            state: of a decision whose step is not taken yet.
        """
        start = self.robot.present()
        return self.predicted.pose(start, self.agent.imagine_plan(state, self.ahead))

    def placement(self, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions [links, 3] and orientations [links, 4] of all links in a pose [nq]."""
        self.robot.set(pose)
        return np.array(self.robot.data.xpos), np.array(self.robot.data.xquat)


def plan_ghost(agent: WorldModelAgent | None, env: SafeEnv, seconds: float) -> PlanGhost | None:
    """The ghost; None for an agent without a world model, and where no pose follows from what it reads."""
    if agent is None or not are_predictable(env) or not learned_readouts(agent.modules):
        return None
    return PlanGhost(agent, env, seconds)

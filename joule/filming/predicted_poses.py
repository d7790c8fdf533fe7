"""Poses of a robot that predicted readouts stand for."""

from __future__ import annotations

import numpy as np
import torch

from agent.agent import WorldModelAgent
from agent.world_model.adaptation import AdaptiveAgent
from envs.rendering.poses import RobotPoses
from joule.filming.imagined_rollouts import readout_changes


class PredictedPoses:
    """Turns the readouts that an agent predicts into poses.

    Args:
        agent: has the readout heads, and the experience that shows how well they predict.
        poses: of the environment's robot.
        seconds: simulated time of a decision.
        ahead: decisions over which the heads are judged.
    """

    def __init__(
        self, agent: WorldModelAgent | AdaptiveAgent, poses: RobotPoses, seconds: float, ahead: int
    ) -> None:
        self.poses, self.seconds, self.layout = poses, seconds, agent.modules.layout()

        def change(after: np.ndarray, before: np.ndarray) -> np.ndarray:
            return poses.change(self.state("qpos", after), self.state("qpos", before))

        read, true = readout_changes(agent, agent.modules.replay_buffer, ahead, change)
        self.readable = poses.readable(read, true)
        """Which positions the readout heads can predict, [nq]."""

    def state(self, name: str, readouts: np.ndarray) -> np.ndarray:
        """`qpos` [rows, nq] or `qvel` [rows, nv], as derived from readouts [rows, readouts]."""
        found = self.layout.value(name, torch.from_numpy(np.asarray(readouts, np.float32)))
        assert found is not None, "a ghost appears where the state is derived from readouts"
        return found.numpy()

    def pose(self, start: np.ndarray, readouts: np.ndarray) -> np.ndarray:
        """The predicted pose [nq] after readouts [steps + 1, readouts] that begin at the pose `start` [nq]."""
        qpos, qvel = self.state("qpos", readouts), self.state("qvel", readouts)
        return self.poses.predicted(start, qpos, qvel, self.seconds, self.readable)

"""Poses of a robot: the present one, and those that predicted readouts stand for.

A prediction says how the robot moves from where it is. What no observation shows, such as how far a cheetah has
run, is integrated from the predicted velocity.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from envs.faults.errors import RenderError
from envs.physics import Physics, find_physics
from envs.readouts.joints import kind_of
from envs.safe_env import SafeEnv


def are_predictable(env: SafeEnv) -> bool:
    """Whether poses follow from readouts: in a MuJoCo environment with `qpos` and `qvel` derived from them."""
    return find_physics(env) is not None and env.env_spec.derived_readouts.keys() >= {"qpos", "qvel"}


class RobotPoses:
    """Poses of the robot of a MuJoCo environment. The environment itself is not changed.

    Axes: `nq` and `nv` are the sizes of MuJoCo's `qpos` and `qvel`.

    Raises:
        RenderError: for an environment without a MuJoCo model.
    """

    def __init__(self, env: SafeEnv) -> None:
        self._env = env
        if find_physics(env) is None:
            raise RenderError(f"{env.env_spec.env} has no MuJoCo model")
        self.model: Any = None
        """The environment's `mujoco.MjModel`."""
        self.physics()

    def physics(self) -> Physics:
        """The environment's physics; dm_control may have made a new model at a reset."""
        import mujoco

        physics = find_physics(self._env)
        assert physics is not None
        if physics.model is self.model:
            return physics
        self.model, self.data = physics.model, mujoco.MjData(physics.model)
        """Data of its own, in which poses are set."""
        self.geoms = self._visible("geom", mujoco.MjvOption().geomgroup)
        """Geoms that are drawn and that a joint moves."""
        # Sites too: gymnasium-robotics draws the ball of its mazes as one.
        self.sites = self._visible("site", mujoco.MjvOption().sitegroup)
        """Such sites."""
        turning = [joint for joint in range(self.model.njnt) if kind_of(self.model, joint) == "turn"]
        self._turning = self.model.jnt_qposadr[turning]
        """Where in `qpos` the angles of hinges without limits are."""
        return physics

    def _visible(self, kind: str, groups: np.ndarray) -> list[int]:
        """Geoms or sites that are drawn and that a joint moves."""
        model = self.model
        body = getattr(model, f"{kind}_bodyid")
        # Bodies that are welded together move as one; a mocap body is moved, but by no joint.
        moves = model.body_dofnum[model.body_weldid[body]] > 0
        shown = groups[getattr(model, f"{kind}_group")].astype(bool) & (
            getattr(model, f"{kind}_rgba")[:, 3] > 0.0
        )
        return [int(index) for index in np.flatnonzero(moves & shown)]

    def present(self) -> np.ndarray:
        """The robot's pose now, `qpos` [nq]."""
        return np.array(self.physics().data.qpos)

    def change(self, after: np.ndarray, before: np.ndarray) -> np.ndarray:
        """How `qpos` changed, [rows, nq]: `after` minus `before`, the short way round where a joint turns.

        A quaternion and its negative are one orientation, and so are angles a whole turn apart of a hinge without
        limits.
        """
        change = np.asarray(after - before, np.float64)
        change[:, self._turning] = (change[:, self._turning] + np.pi) % (2 * np.pi) - np.pi
        for part in self._orientations():
            sign = np.where((after[:, part] * before[:, part]).sum(-1, keepdims=True) < 0.0, -1.0, 1.0)
            change[:, part] = sign * after[:, part] - before[:, part]
        return change

    def _orientations(self) -> list[slice]:
        """Where in `qpos` quaternions are."""
        import mujoco

        offset = {int(mujoco.mjtJoint.mjJNT_FREE): 3, int(mujoco.mjtJoint.mjJNT_BALL): 0}
        first = [
            int(address) + offset[int(kind)]
            for kind, address in zip(self.model.jnt_type, self.model.jnt_qposadr, strict=True)
            if int(kind) in offset
        ]
        return [slice(k, k + 4) for k in first]

    def readable(self, read: np.ndarray, true: np.ndarray, least: float = 0.5) -> np.ndarray:
        """Which positions [nq] the readout heads can predict.

        Those of whose changes the prediction explains at least the share `least`. The four numbers of an
        orientation are judged together, because only together they are an orientation.

        Args:
            read: changes of `qpos` as predicted, [pairs, nq], by `change`.
            true: the same changes in the simulator, [pairs, nq].
            least: the share explained, from 0 to 1.
        """
        error = np.square(read - true).sum(0, dtype=np.float64)
        size = np.square(true).sum(0, dtype=np.float64)
        for orientation in self._orientations():
            error[orientation], size[orientation] = error[orientation].sum(), size[orientation].sum()
        return np.asarray(error < (1.0 - least) * size)

    def predicted(
        self, start: np.ndarray, qpos: np.ndarray, qvel: np.ndarray, seconds: float, readable: np.ndarray
    ) -> np.ndarray:
        """The predicted pose [nq] of now, from predictions that begin in the past.

        A position that is `readable` has moved by as much as its prediction did. Any other position is one
        that no observation shows (how far a cheetah has run); its predicted velocity is integrated by the
        trapezoid rule.

        Args:
            start: the pose [nq] at the first prediction.
            qpos: predictions of `qpos` [steps, nq]; the first is of the start, the last of now.
            qvel: predictions of `qvel` [steps, nv].
            seconds: time between two predictions.
            readable: which positions are readable, [nq].
        """
        import mujoco

        integrated = np.array(start, np.float64)
        for before, after in itertools.pairwise(qvel):
            mujoco.mj_integratePos(self.model, integrated, (before + after).astype(np.float64) / 2, seconds)
        moved = np.array(start, np.float64)
        for before, after in itertools.pairwise(qpos):
            moved += self.change(after[None], before[None])[0]
        for part in self._orientations():
            if start[part] @ qpos[0, part] < 0.0:
                moved[part] = 2 * start[part] - moved[part]
        return self.normalised(np.where(readable, moved, integrated))

    def normalised(self, qpos: np.ndarray) -> np.ndarray:
        """A pose [nq] whose orientations are unit quaternions."""
        import mujoco

        pose = np.array(qpos, np.float64)
        mujoco.mj_normalizeQuat(self.model, pose)
        return pose

    def distance(self, qpos: np.ndarray) -> float:
        """Mean distance (m) between the robot's moving parts now and at `qpos` [nq]."""
        # In the environment, derived positions lag behind qpos by a physics step: both are derived here.
        self.set(self.present())
        true = self._part_positions()
        self.set(qpos)
        distances = np.linalg.norm(self._part_positions() - true, axis=-1)
        return float(distances.mean()) if distances.size else 0.0

    def _part_positions(self) -> np.ndarray:
        """Positions of the moving parts, [parts, 3]."""
        return np.concatenate([self.data.geom_xpos[self.geoms], self.data.site_xpos[self.sites]])

    def set(self, qpos: np.ndarray) -> None:
        """Sets the pose of `data` to `qpos` [nq], in the environment's model as it is now.

        What hangs on a mocap body, such as the fingers of a hand that is led, is where that body is now.
        """
        import mujoco

        now = self.physics().data
        self.data.qpos[:] = qpos
        self.data.mocap_pos[:], self.data.mocap_quat[:] = now.mocap_pos, now.mocap_quat
        mujoco.mj_kinematics(self.model, self.data)

"""A translucent ghost of a robot in its own scene: the predicted pose beside the true one.

The scene is drawn twice: as it is, and with an opaque, tinted copy of the moving parts. The two pictures are
blended. So depth is right, the ghost is evenly translucent where its parts overlap, and it disappears where
the two poses agree.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from envs.faults.errors import RenderError
from envs.physics import Physics, dm_control_env, find_physics, parts
from envs.safe_env import SafeEnv

TINT = (0.95, 0.20, 0.75, 1.0)
"""Colour of the ghost, RGBA."""
OPACITY = 0.5
"""Share of the ghost in the colour of a pixel that shows it."""
SCALE = 1.04
"""The ghost's parts are larger than the robot's by this factor, so that no two surfaces coincide."""


def can_appear(env: SafeEnv) -> bool:
    """Whether a ghost can be drawn: in a MuJoCo scene, with `qpos` and `qvel` derived from the readouts."""
    if find_physics(env) is None or _scene_renderer(env) is None:
        return False
    return env.env_spec.derived_readouts.keys() >= {"qpos", "qvel"}


class Ghost:
    """Draws a MuJoCo environment with a ghost of its robot. The environment itself is not changed.

    Axes: `nq` and `nv` are the sizes of MuJoCo's `qpos` and `qvel`.

    Raises:
        RenderError: for an environment whose scene cannot be reached.
    """

    def __init__(self, env: SafeEnv) -> None:
        self._env = env
        renderer = _scene_renderer(env)
        if find_physics(env) is None or renderer is None:
            raise RenderError(f"{env.env_spec.env} has no MuJoCo scene that a ghost could be drawn in")
        self._render = renderer
        self._model: Any = None
        self._current_physics()

    def _current_physics(self) -> Physics:
        """The environment's physics; dm_control may have made a new model at a reset."""
        import mujoco

        physics = find_physics(self._env)
        assert physics is not None
        if physics.model is self._model:
            return physics
        self._model, self._data = physics.model, mujoco.MjData(physics.model)
        self._geoms = self._visible("geom", mujoco.MjvOption().geomgroup)
        # Sites too: gymnasium-robotics draws the ball of its mazes as one.
        self._sites = self._visible("site", mujoco.MjvOption().sitegroup)
        return physics

    def _visible(self, kind: str, groups: np.ndarray) -> list[int]:
        """Geoms or sites that are drawn and that a joint moves."""
        model = self._model
        body = getattr(model, f"{kind}_bodyid")
        # Bodies that are welded together move as one; a mocap body is moved, but by no joint.
        moves = model.body_dofnum[model.body_weldid[body]] > 0
        shown = groups[getattr(model, f"{kind}_group")].astype(bool) & (
            getattr(model, f"{kind}_rgba")[:, 3] > 0.0
        )
        return [int(index) for index in np.flatnonzero(moves & shown)]

    def present(self) -> np.ndarray:
        """The robot's pose now, `qpos` [nq]."""
        return np.array(self._current_physics().data.qpos)

    def change(self, after: np.ndarray, before: np.ndarray) -> np.ndarray:
        """How `qpos` changed, [rows, nq]: `after` minus `before`, the short way round where a joint turns.

        A quaternion and its negative are one orientation, and so are angles a whole turn apart.
        """
        import mujoco

        model, change = self._model, np.asarray(after - before, np.float64)
        limited = model.jnt_limited.astype(bool)
        hinges = model.jnt_qposadr[(model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE) & ~limited]
        change[:, hinges] = (change[:, hinges] + np.pi) % (2 * np.pi) - np.pi
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
            for kind, address in zip(self._model.jnt_type, self._model.jnt_qposadr, strict=True)
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
            mujoco.mj_integratePos(self._model, integrated, (before + after).astype(np.float64) / 2, seconds)
        moved = np.array(start, np.float64)
        for before, after in itertools.pairwise(qpos):
            moved += self.change(after[None], before[None])[0]
        for part in self._orientations():
            if start[part] @ qpos[0, part] < 0.0:
                moved[part] = 2 * start[part] - moved[part]
        pose = np.where(readable, moved, integrated)
        mujoco.mj_normalizeQuat(self._model, pose)
        return pose

    def draw(self, qpos: np.ndarray) -> np.ndarray:
        """The scene now as uint8 [height, width, 3], with the ghost at `qpos` [nq].

        Raises:
            RenderError: when the scene has no space left for the ghost's parts.
        """
        self._set_pose(qpos)
        plain = self._render(lambda scene: None).astype(np.float32)
        with_ghost = self._render(self._add_ghost).astype(np.float32)
        return np.rint(plain + OPACITY * (with_ghost - plain)).astype(np.uint8)

    def distance(self, qpos: np.ndarray) -> float:
        """Mean distance (m) between the robot's moving parts and the ghost's at `qpos` [nq]."""
        # In the environment, derived positions lag behind qpos by a physics step: both are derived here.
        self._set_pose(self.present())
        true = self._part_positions()
        self._set_pose(qpos)
        distances = np.linalg.norm(self._part_positions() - true, axis=-1)
        return float(distances.mean()) if distances.size else 0.0

    def _part_positions(self) -> np.ndarray:
        """Positions of the ghost's parts, [parts, 3]."""
        return np.concatenate([self._data.geom_xpos[self._geoms], self._data.site_xpos[self._sites]])

    def _set_pose(self, qpos: np.ndarray) -> None:
        """Sets the ghost's pose, in the environment's model as it is now."""
        import mujoco

        self._current_physics()
        self._data.qpos[:] = qpos
        mujoco.mj_kinematics(self._model, self._data)

    def _add_ghost(self, scene: Any) -> None:
        """Appends the ghost's parts to a scene before it is drawn."""
        import mujoco

        model, data = self._model, self._data
        for geom in self._geoms:
            part = self._add_part(
                scene,
                model.geom_type[geom],
                model.geom_size[geom],
                data.geom_xpos[geom],
                data.geom_xmat[geom],
            )
            if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH:
                # A scene counts every mesh twice: its surface, then its convex hull.
                part.dataid = 2 * model.geom_dataid[geom]
        for site in self._sites:
            self._add_part(
                scene,
                model.site_type[site],
                model.site_size[site],
                data.site_xpos[site],
                data.site_xmat[site],
            )

    def _add_part(
        self, scene: Any, shape: int, size: np.ndarray, position: np.ndarray, rotation: np.ndarray
    ) -> Any:
        """Appends one part to a scene and returns it."""
        import mujoco

        if scene.ngeom >= scene.maxgeom:
            raise RenderError(f"the scene of {self._env.env_spec.env} has no space left for a ghost")
        scene.ngeom += 1
        part = scene.geoms[scene.ngeom - 1]
        mujoco.mjv_initGeom(part, int(shape), size * SCALE, position, rotation, np.array(TINT, np.float32))
        part.emission = 0.35
        return part


_SceneRenderer = Callable[[Callable[[Any], None]], np.ndarray]
"""Draws the scene after a function has added to it; uint8 [height, width, 3]."""


def _scene_renderer(env: SafeEnv) -> _SceneRenderer | None:
    """The function that draws frames of this environment, or None where its scene cannot be reached."""
    from gymnasium.envs.mujoco import MujocoEnv

    control = dm_control_env(env)
    if control is not None:
        base: Any = env.unwrapped

        def by_dm_control(add: Callable[[Any], None]) -> np.ndarray:
            picture = control.physics.render(**base.render_kwargs, scene_callback=lambda _, scene: add(scene))
            return np.asarray(picture)

        return by_dm_control
    for part in parts(env):
        if isinstance(part, MujocoEnv):
            return lambda add, mujoco_env=part: _by_gymnasium(env, mujoco_env, add)  # type: ignore[misc]
    return None


def _by_gymnasium(env: SafeEnv, mujoco_env: Any, add: Callable[[Any], None]) -> np.ndarray:
    import mujoco

    if mujoco_env.mujoco_renderer.viewer is None:
        env.render()  # makes the viewer and sets its camera
    viewer = mujoco_env.mujoco_renderer.viewer
    viewer.make_context_current()
    mujoco.mjv_updateScene(
        mujoco_env.model,
        mujoco_env.data,
        viewer.vopt,
        viewer.pert,
        viewer.cam,
        mujoco.mjtCatBit.mjCAT_ALL,
        viewer.scn,
    )
    add(viewer.scn)
    mujoco.mjr_render(viewer.viewport, viewer.scn, viewer.con)
    picture = np.empty((viewer.viewport.height, viewer.viewport.width, 3), np.uint8)
    mujoco.mjr_readPixels(picture, None, viewer.viewport, viewer.con)
    return picture[::-1]

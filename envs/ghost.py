"""A translucent ghost of a body in its own scene: where an agent foresaw it, beside where it is.

The scene is drawn twice, once as it is and once with an opaque, tinted twin of the moving parts, and the two
pictures are blended. So depth is right, the ghost is evenly translucent where its parts overlap, and it
vanishes into the body where the two agree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from envs.body import Body
from envs.errors import RenderError
from envs.physics import Physics, dm_control_env, find_physics, parts

TINT = (0.95, 0.20, 0.75, 1.0)
STRENGTH = 0.6
"""How much of a pixel is the ghost's where one is seen."""
SWELL = 1.04
"""The ghost is this much thicker than the body, so that the two never fight over a pixel."""


def can_appear(body: Body) -> bool:
    """Whether a ghost can be drawn: MuJoCo's, with all of `qpos` and `qvel` among the readouts."""
    physics = find_physics(body)
    if physics is None or _viewer_of(body) is None:
        return False
    sizes = body.facts.readout_sizes
    return (sizes.get("qpos"), sizes.get("qvel")) == (physics.model.nq, physics.model.nv)


class Ghost:
    """Draws a body of MuJoCo with its ghost; the body itself is left as it is.

    Raises RenderError for a body whose scene cannot be reached.
    """

    def __init__(self, body: Body) -> None:
        self._body = body
        physics, viewer = find_physics(body), _viewer_of(body)
        if physics is None or viewer is None:
            raise RenderError(f"{body.facts.env} has no MuJoCo scene that a ghost could be drawn in")
        self._render = viewer
        self._model: Any = None
        self._follow(physics)

    def _follow(self, physics: Physics) -> None:
        """Take up the model; dm_control may make a new one at a reset."""
        import mujoco

        if physics.model is self._model:
            return
        self._model, self._data = physics.model, mujoco.MjData(physics.model)
        shown = mujoco.MjvOption().geomgroup
        self._geoms = [
            geom
            for geom in range(self._model.ngeom)
            if self._moves(self._model.geom_bodyid[geom])
            and shown[self._model.geom_group[geom]]
            and self._model.geom_rgba[geom, 3] > 0.0
        ]

    def _moves(self, body: int) -> bool:
        """Whether a body hangs on a joint."""
        return bool(self._model.body_weldid[body]) and bool(
            self._model.body_dofnum[self._model.body_weldid[body]]
        )

    def present(self) -> np.ndarray:
        """Where the body is now, `qpos` [nq]."""
        physics = find_physics(self._body)
        assert physics is not None
        self._follow(physics)
        return np.array(physics.data.qpos)

    def readable(self, read: np.ndarray, true: np.ndarray, least: float = 0.5) -> np.ndarray:
        """Which positions [nq] the readouts can tell: `read` [rows, nq] against `true` [rows, nq].

        Those whose coefficient of determination exceeds `least`; the four numbers of an orientation are judged
        together, because they mean something only together.
        """
        import mujoco

        if not len(true):
            return np.zeros(self._model.nq, bool)
        error = np.square(read - true).sum(0, dtype=np.float64)
        spread = np.square(true - true.mean(0)).sum(0, dtype=np.float64)
        for joint, first in zip(self._model.jnt_type, self._model.jnt_qposadr, strict=True):
            if joint == mujoco.mjtJoint.mjJNT_FREE:
                first += 3
            elif joint != mujoco.mjtJoint.mjJNT_BALL:
                continue
            error[first : first + 4] = error[first : first + 4].sum()
            spread[first : first + 4] = spread[first : first + 4].sum()
        return np.asarray(error < (1.0 - least) * spread)

    def foreseen(
        self, start: np.ndarray, qpos: np.ndarray, qvel: np.ndarray, seconds: float, readable: np.ndarray
    ) -> np.ndarray:
        """Where the body would be now, [nq], by predicted `qpos` [steps, nq] and `qvel` [steps, nv].

        Row 0 reads the moment when the body was at `start` [nq]; rows are `seconds` apart, the last is now. A
        position that is `readable` [nq] has moved by what its readout moved. One that is not, because no
        observation shows it (how far a cheetah has run), is integrated from its predicted velocity by the
        trapezoid rule.
        """
        import mujoco

        drift = np.array(start, np.float64)
        for before, after in zip(qvel[:-1], qvel[1:], strict=True):
            mujoco.mj_integratePos(self._model, drift, (before + after).astype(np.float64) / 2, seconds)
        place = np.where(readable, start + qpos[-1] - qpos[0], drift)
        mujoco.mj_normalizeQuat(self._model, place)
        return place

    def draw(self, qpos: np.ndarray) -> np.ndarray:
        """The scene now as uint8 [height, width, 3], with the ghost at `qpos` [nq]."""
        self._place(qpos)
        plain = self._render(lambda scene: None).astype(np.float32)
        haunted = self._render(self._enter).astype(np.float32)
        return np.rint(plain + STRENGTH * (haunted - plain)).astype(np.uint8)

    def distance(self, qpos: np.ndarray) -> float:
        """Mean distance (m) between the body's moving parts and the ghost's at `qpos` [nq]."""
        physics = self._place(qpos)
        apart = physics.data.geom_xpos[self._geoms] - self._data.geom_xpos[self._geoms]
        return float(np.linalg.norm(apart, axis=-1).mean()) if self._geoms else 0.0

    def _place(self, qpos: np.ndarray) -> Physics:
        import mujoco

        physics = find_physics(self._body)
        assert physics is not None
        self._follow(physics)
        self._data.mocap_pos[:], self._data.mocap_quat[:] = physics.data.mocap_pos, physics.data.mocap_quat
        self._data.qpos[:] = qpos
        mujoco.mj_kinematics(self._model, self._data)
        return physics

    def _enter(self, scene: Any) -> None:
        """Append the ghost's parts to a scene that is about to be drawn."""
        import mujoco

        for geom in self._geoms:
            if scene.ngeom >= scene.maxgeom:
                raise RenderError(f"the scene of {self._body.facts.env} has no room for a ghost")
            part = scene.geoms[scene.ngeom]
            mujoco.mjv_initGeom(
                part,
                int(self._model.geom_type[geom]),
                self._model.geom_size[geom] * SWELL,
                self._data.geom_xpos[geom],
                self._data.geom_xmat[geom],
                np.array(TINT, np.float32),
            )
            if self._model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH:
                # A scene counts every mesh twice: its surface, then its convex hull.
                part.dataid = 2 * self._model.geom_dataid[geom]
            part.emission = 0.35
            scene.ngeom += 1


_Viewer = Callable[[Callable[[Any], None]], np.ndarray]
"""Draws the scene after a function has added to it; uint8 [height, width, 3]."""


def _viewer_of(body: Body) -> _Viewer | None:
    """How the frames of this body are drawn, or None where that cannot be reached."""
    from gymnasium.envs.mujoco import MujocoEnv

    control = dm_control_env(body)
    if control is not None:
        base: Any = body.unwrapped

        def by_control(add: Callable[[Any], None]) -> np.ndarray:
            picture = control.physics.render(
                **base.render_kwargs, scene_callback=lambda _, scene: add(getattr(scene, "ptr", scene))
            )
            return np.asarray(picture)

        return by_control
    for part in parts(body):
        if isinstance(part, MujocoEnv):
            return lambda add, env=part: _by_gymnasium(body, env, add)  # type: ignore[misc]
    return None


def _by_gymnasium(body: Body, env: Any, add: Callable[[Any], None]) -> np.ndarray:
    import mujoco

    if env.mujoco_renderer.viewer is None:
        body.render()  # makes the viewer and sets its camera
    viewer = env.mujoco_renderer.viewer
    viewer.make_context_current()
    mujoco.mjv_updateScene(
        env.model, env.data, viewer.vopt, viewer.pert, viewer.cam, mujoco.mjtCatBit.mjCAT_ALL, viewer.scn
    )
    add(viewer.scn)
    mujoco.mjr_render(viewer.viewport, viewer.scn, viewer.con)
    picture = np.empty((viewer.viewport.height, viewer.viewport.width, 3), np.uint8)
    mujoco.mjr_readPixels(picture, None, viewer.viewport, viewer.con)
    return picture[::-1]

"""A translucent ghost of a body in its own scene: where an agent foresaw it, beside where it is.

The scene is drawn twice, once as it is and once with an opaque, tinted twin of the moving parts, and the two
pictures are blended. So depth is right, the ghost is evenly translucent where its parts overlap, and it
vanishes into the body where the two agree.
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
STRENGTH = 0.5
"""How much of a pixel is the ghost's where one is seen."""
SWELL = 1.04
"""The ghost is this much thicker than the body, so that the two never fight over a pixel."""


def can_appear(body: SafeEnv) -> bool:
    """Whether a ghost can be drawn: MuJoCo's, with all of `qpos` and `qvel` among the readouts."""
    physics = find_physics(body)
    if physics is None or _viewer_of(body) is None:
        return False
    sizes = body.env_spec.readout_sizes
    return (sizes.get("qpos"), sizes.get("qvel")) == (physics.model.nq, physics.model.nv)


class Ghost:
    """Draws a body of MuJoCo with its ghost; the body itself is left as it is.

    Raises RenderError for a body whose scene cannot be reached.
    """

    def __init__(self, body: SafeEnv) -> None:
        self._body = body
        viewer = _viewer_of(body)
        if find_physics(body) is None or viewer is None:
            raise RenderError(f"{body.env_spec.env} has no MuJoCo scene that a ghost could be drawn in")
        self._render = viewer
        self._model: Any = None
        self._follow()

    def _follow(self) -> Physics:
        """The body's physics; dm_control may have made a new model at a reset."""
        import mujoco

        physics = find_physics(self._body)
        assert physics is not None
        if physics.model is self._model:
            return physics
        self._model, self._data = physics.model, mujoco.MjData(physics.model)
        self._geoms = self._visible("geom", mujoco.MjvOption().geomgroup)
        # Sites too: gymnasium-robotics draws the ball of its mazes as one.
        self._sites = self._visible("site", mujoco.MjvOption().sitegroup)
        return physics

    def _visible(self, kind: str, groups: np.ndarray) -> list[int]:
        """Geoms or sites that are drawn and hang on a joint."""
        model = self._model
        body = getattr(model, f"{kind}_bodyid")
        # Bodies that are welded together move as one; a mocap body is moved, but by no joint.
        moves = model.body_dofnum[model.body_weldid[body]] > 0
        shown = groups[getattr(model, f"{kind}_group")].astype(bool) & (
            getattr(model, f"{kind}_rgba")[:, 3] > 0.0
        )
        return [int(index) for index in np.flatnonzero(moves & shown)]

    def present(self) -> np.ndarray:
        """Where the body is now, `qpos` [nq]."""
        return np.array(self._follow().data.qpos)

    def readable(self, read: np.ndarray, true: np.ndarray, least: float = 0.5) -> np.ndarray:
        """Which positions [nq] the readouts can tell, by changes of `qpos` as read and in truth [pairs, nq].

        Those of which the reading explains at least the share `least`; the four numbers of an orientation are
        judged together, because they mean something only together.
        """
        import mujoco

        error = np.square(read - true).sum(0, dtype=np.float64)
        size = np.square(true).sum(0, dtype=np.float64)
        for joint, first in zip(self._model.jnt_type, self._model.jnt_qposadr, strict=True):
            if joint == mujoco.mjtJoint.mjJNT_FREE:
                turning = slice(first + 3, first + 7)
            elif joint == mujoco.mjtJoint.mjJNT_BALL:
                turning = slice(first, first + 4)
            else:
                continue
            error[turning], size[turning] = error[turning].sum(), size[turning].sum()
        return np.asarray(error < (1.0 - least) * size)

    def predicted(
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
        for before, after in itertools.pairwise(qvel):
            mujoco.mj_integratePos(self._model, drift, (before + after).astype(np.float64) / 2, seconds)
        place = np.where(readable, start + qpos[-1] - qpos[0], drift)
        mujoco.mj_normalizeQuat(self._model, place)
        return place

    def draw(self, qpos: np.ndarray) -> np.ndarray:
        """The scene now as uint8 [height, width, 3], with the ghost at `qpos` [nq]."""
        self._place(qpos)
        plain = self._render(lambda scene: None).astype(np.float32)
        with_ghost = self._render(self._enter).astype(np.float32)
        return np.rint(plain + STRENGTH * (with_ghost - plain)).astype(np.uint8)

    def distance(self, qpos: np.ndarray) -> float:
        """Mean distance (m) between the body's moving parts and the ghost's at `qpos` [nq]."""
        # The body's own derived positions lag behind its qpos by a physics step: both are derived here.
        self._place(self.present())
        real = self._places()
        self._place(qpos)
        apart = np.linalg.norm(self._places() - real, axis=-1)
        return float(apart.mean()) if apart.size else 0.0

    def _places(self) -> np.ndarray:
        """Where the ghost's parts are, [parts, 3]."""
        return np.concatenate([self._data.geom_xpos[self._geoms], self._data.site_xpos[self._sites]])

    def _place(self, qpos: np.ndarray) -> None:
        """Put the ghost at `qpos`, in the body's model as it is now."""
        import mujoco

        self._follow()
        self._data.qpos[:] = qpos
        mujoco.mj_kinematics(self._model, self._data)

    def _enter(self, scene: Any) -> None:
        """Append the ghost's parts to a scene that is about to be drawn."""
        import mujoco

        model, data = self._model, self._data
        for geom in self._geoms:
            part = self._add(
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
            self._add(
                scene,
                model.site_type[site],
                model.site_size[site],
                data.site_xpos[site],
                data.site_xmat[site],
            )

    def _add(self, scene: Any, shape: int, size: np.ndarray, place: np.ndarray, turn: np.ndarray) -> Any:
        """One more part in a scene."""
        import mujoco

        if scene.ngeom >= scene.maxgeom:
            raise RenderError(f"the scene of {self._body.env_spec.env} has no room for a ghost")
        scene.ngeom += 1
        part = scene.geoms[scene.ngeom - 1]
        mujoco.mjv_initGeom(part, int(shape), size * SWELL, place, turn, np.array(TINT, np.float32))
        part.emission = 0.35
        return part


_Viewer = Callable[[Callable[[Any], None]], np.ndarray]
"""Draws the scene after a function has added to it; uint8 [height, width, 3]."""


def _viewer_of(body: SafeEnv) -> _Viewer | None:
    """How the frames of this body are drawn, or None where that cannot be reached."""
    from gymnasium.envs.mujoco import MujocoEnv

    control = dm_control_env(body)
    if control is not None:
        base: Any = body.unwrapped

        def by_control(add: Callable[[Any], None]) -> np.ndarray:
            picture = control.physics.render(**base.render_kwargs, scene_callback=lambda _, scene: add(scene))
            return np.asarray(picture)

        return by_control
    for part in parts(body):
        if isinstance(part, MujocoEnv):
            return lambda add, env=part: _by_gymnasium(body, env, add)  # type: ignore[misc]
    return None


def _by_gymnasium(body: SafeEnv, env: Any, add: Callable[[Any], None]) -> np.ndarray:
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

"""A translucent ghost of a robot in its own scene: the predicted pose beside the true one.

The scene is drawn twice: as it is, and with an opaque, tinted copy of the moving parts. The two pictures are
blended. So depth is right, the ghost is evenly translucent where its parts overlap, and it disappears where
the two poses agree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from envs.faults.errors import RenderError
from envs.physics import dm_control_env, find_physics, is_of_shimmy, parts
from envs.rendering.current_context import drawing, renderers_of_gymnasium
from envs.rendering.poses import RobotPoses, are_predictable
from envs.rendering.scene_camera import AddToScene, SceneCamera
from envs.safe_env import SafeEnv

Tint = tuple[float, float, float, float]
TINT: Tint = (0.95, 0.20, 0.75, 1.0)
"""Colour of the ghost, RGBA."""
OPACITY = 0.5
"""Share of the ghost in the colour of a pixel that shows it."""
SCALE = 1.04
"""The ghost's parts are larger than the robot's by this factor, so that no two surfaces coincide."""


def can_appear(env: SafeEnv) -> bool:
    """Whether a ghost can be drawn: in a MuJoCo scene, with `qpos` and `qvel` derived from the readouts."""
    return why_none(env) is None


def why_none(env: SafeEnv) -> str | None:
    """Why no ghost can be drawn, as the end of a sentence; None where one can."""
    if find_physics(env) is None:
        return f"{env.env_spec.env} has no MuJoCo physics, as attributes model and data"
    if not are_predictable(env):
        return f"qpos and qvel do not follow from the readouts of {env.env_spec.env}"
    return None


def draws_its_scene(env: SafeEnv) -> bool:
    """Whether a ghost is drawn by the environment's own renderer, made with a render mode, and not by Joule's."""
    return _own_renderer(env) is not None


class Ghost:
    """Draws a MuJoCo environment with a ghost of its robot. The environment itself is not changed.

    Axes: `nq` is the size of MuJoCo's `qpos`.

    Raises:
        RenderError: for an environment whose scene cannot be reached.
    """

    def __init__(self, env: SafeEnv) -> None:
        self._env = env
        if find_physics(env) is None:
            raise RenderError(f"{env.env_spec.env} has no MuJoCo scene that a ghost could be drawn in")
        self._own = _own_renderer(env)
        # What `render()` of another environment draws is its own: nothing can be added to it.
        camera = env.camera or SceneCamera(env, env.env_spec.env, *env.frame_size)
        self._render = self._own or camera.draw
        self.poses = RobotPoses(env)

    def plain(self) -> np.ndarray:
        """The scene now without a ghost, from the same camera, uint8 [height, width, 3]."""
        return self._env.render() if self._own is not None else self._render(_add_nothing)

    def draw(self, qpos: np.ndarray, tint: Tint = TINT) -> np.ndarray:
        """The scene now as uint8 [height, width, 3], with the ghost at `qpos` [nq].

        Raises:
            RenderError: when the scene has no space left for the ghost's parts.
        """
        plain = self._render(_add_nothing)
        return self._blended(plain, plain, qpos, tint)

    def over(self, picture: np.ndarray, qpos: np.ndarray, tint: Tint) -> np.ndarray:
        """A picture of the scene now, to which something was added, with a ghost of another colour.

        Args:
            picture: uint8 [height, width, 3], as `plain` or `draw` gives it.
            qpos: the pose of the ghost [nq].
            tint: its colour, RGBA.

        Raises:
            RenderError: when the scene has no space left for the ghost's parts.
        """
        return self._blended(picture, self._render(_add_nothing), qpos, tint)

    def _blended(self, picture: np.ndarray, plain: np.ndarray, qpos: np.ndarray, tint: Tint) -> np.ndarray:
        self.poses.set(qpos)

        def add_ghost(scene: Any) -> None:
            if not add_parts(scene, self.poses, tint):
                raise RenderError(f"the scene of {self._env.env_spec.env} has no space left for a ghost")

        with_ghost = self._render(add_ghost).astype(np.float32)
        blended = picture + OPACITY * (with_ghost - plain)
        return np.rint(blended).clip(0.0, 255.0).astype(np.uint8)


def add_parts(scene: Any, poses: RobotPoses, tint: Tint) -> bool:
    """Appends the moving parts of a robot to a scene of MuJoCo, in the pose that is set.

    Args:
        scene: a `mujoco.MjvScene`.
        poses: of the robot.
        tint: their colour, RGBA.

    Returns:
        Whether all of them found space.
    """
    import mujoco

    model, data, colour = poses.model, poses.data, np.array(tint, np.float32)
    mesh = int(mujoco.mjtGeom.mjGEOM_MESH)
    if scene.ngeom + len(poses.geoms) + len(poses.sites) > scene.maxgeom:
        return False
    for kind, rows in (("geom", poses.geoms), ("site", poses.sites)):
        shapes, sizes = getattr(model, f"{kind}_type"), getattr(model, f"{kind}_size")
        places, rotations = getattr(data, f"{kind}_xpos"), getattr(data, f"{kind}_xmat")
        for row in rows:
            scene.ngeom += 1  # first, because the geoms of dm_control's scene end with it
            part = scene.geoms[scene.ngeom - 1]
            mujoco.mjv_initGeom(
                part, int(shapes[row]), sizes[row] * SCALE, places[row], rotations[row], colour
            )
            part.emission = 0.35
            if kind == "geom" and shapes[row] == mesh:
                # A scene counts every mesh twice: its surface, then its convex hull.
                part.dataid = 2 * model.geom_dataid[row]
    return True


_SceneRenderer = Callable[[AddToScene], np.ndarray]
"""Draws the scene after a function has added to it; uint8 [height, width, 3]."""


def _add_nothing(scene: Any) -> None:
    """Leaves a scene as it is."""


def _own_renderer(env: SafeEnv) -> _SceneRenderer | None:
    """The environment's own renderer; None for one that is neither Gymnasium's `MujocoEnv` nor of shimmy."""
    from gymnasium.envs.mujoco import MujocoEnv

    if env.camera is not None:  # it was made without a render mode
        return None
    control = dm_control_env(env)
    if control is not None and is_of_shimmy(env):
        base: Any = env.unwrapped

        def by_dm_control(add: AddToScene) -> np.ndarray:
            with drawing(env):
                picture = control.physics.render(
                    **base.render_kwargs, scene_callback=lambda _, scene: add(scene)
                )
            return np.asarray(picture)

        return by_dm_control
    if any(isinstance(part, MujocoEnv) for part in parts(env)):
        # A class of one's own may keep none, and draw by other means.
        for renderer in renderers_of_gymnasium(env):
            return lambda add: _by_gymnasium(env, renderer, add)
    return None


def _by_gymnasium(env: SafeEnv, renderer: Any, add: AddToScene) -> np.ndarray:
    import mujoco

    if renderer.viewer is None:
        env.render()  # makes the viewer and sets its camera
    viewer = renderer.viewer
    if viewer is None:
        raise RenderError(f"{env.env_spec.env} does not draw with the renderer that it keeps")
    mujoco.mjv_updateScene(
        renderer.model,
        renderer.data,
        viewer.vopt,
        viewer.pert,
        viewer.cam,
        mujoco.mjtCatBit.mjCAT_ALL,
        viewer.scn,
    )
    add(viewer.scn)
    picture = np.empty((viewer.viewport.height, viewer.viewport.width, 3), np.uint8)
    with drawing(env):
        mujoco.mjr_render(viewer.viewport, viewer.scn, viewer.con)
        mujoco.mjr_readPixels(picture, None, viewer.viewport, viewer.con)
    return picture[::-1]

"""Cameras that keep a moving robot in view."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from envs.faults.boundary import attribute
from envs.physics import find_physics, is_of_shimmy
from envs.rendering.free_view import free_view


def follow_robot(env: gymnasium.Env[Any, Any]) -> None:
    """Makes the camera keep the robot in view, if no other camera was chosen.

    Gymnasium's default camera is fixed, so a running robot leaves the picture within seconds, and its distance is
    that of the pose as built, so that an arm leaves it too. The floor ends where a fast robot still runs.
    """
    physics = find_physics(env)
    if physics is None:
        return
    from gymnasium.envs.mujoco import MujocoEnv, MujocoRenderer

    cameras = _tracking_cameras(physics.model)
    base: Any = env.unwrapped
    if is_of_shimmy(env):
        base.render_kwargs.setdefault("camera_id", film_camera(physics.model))
    elif isinstance(base, MujocoEnv) and base.camera_id is None and base.camera_name is None:
        renderer = attribute(base, "mujoco_renderer")
        if isinstance(renderer, MujocoRenderer):  # a class may keep its own under another name
            _point(renderer, physics.model, cameras)


def _point(renderer: Any, model: Any, cameras: list[int]) -> None:
    """Chooses the camera of Gymnasium's renderer.

    It follows the body of the first of the tracking `cameras`. Without any, a camera that stands in the scene is
    taken, if the environment gives no values of its own; and last one that has in view what the robot reaches.
    """
    import mujoco

    if cameras:
        extend_floor(model)
        renderer.camera_id = None
        renderer.default_cam_config = {
            "elevation": -20.0,
            **(renderer.default_cam_config or {}),
            "type": int(mujoco.mjtCamera.mjCAMERA_TRACKING),
            "trackbodyid": int(model.cam_bodyid[cameras[0]]),
        }
    elif not renderer.default_cam_config:
        standing = np.flatnonzero(model.body_weldid[model.cam_bodyid] == 0)
        if len(standing):
            renderer.camera_id = int(standing[0])
        else:
            renderer.default_cam_config = free_view(model)


def film_camera(model: Any) -> int:
    """The row of the camera for a film: the first that tracks a body, else the first one, else -1, the free one."""
    cameras = _tracking_cameras(model)
    return cameras[0] if cameras else min(int(model.ncam), 1) - 1


def tracked_link(model: Any) -> int | None:
    """The row of the body that a camera of the model tracks: a robot that moves about; None without one."""
    cameras = _tracking_cameras(model)
    return int(model.cam_bodyid[cameras[0]]) if cameras else None


def _tracking_cameras(model: Any) -> list[int]:
    """The rows of the cameras that track a body; last those that track the whole scene, often from far away."""
    import mujoco

    tracking = (int(mujoco.mjtCamLight.mjCAMLIGHT_TRACK), int(mujoco.mjtCamLight.mjCAMLIGHT_TRACKCOM))
    rows = [row for row, mode in enumerate(model.cam_mode) if int(mode) in tracking]
    return sorted(rows, key=lambda row: int(model.cam_bodyid[row]) == 0)


def extend_floor(model: Any) -> None:
    """Draws every plane to the horizon, with the same size of texture.

    The size of a plane is only its size in the picture: for contacts a plane has no end. The texture repeats
    are per plane where it has a size, and per metre where it has none.
    """
    import mujoco

    if (model.sensor_type == int(mujoco.mjtSensor.mjSENS_RANGEFINDER)).any():
        return  # for a rangefinder a plane does have an end
    resized = set()
    for plane in np.flatnonzero(model.geom_type == int(mujoco.mjtGeom.mjGEOM_PLANE)):
        size, material = model.geom_size[plane, :2], int(model.geom_matid[plane])
        if size.all() and material >= 0 and not model.mat_texuniform[material] and material not in resized:
            model.mat_texrepeat[material] /= 2.0 * size
            resized.add(material)
        size[:] = 0.0

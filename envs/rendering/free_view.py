"""Where to look from at a model that has no camera: all that its robot can reach stays in view.

The free camera of MuJoCo has the pose as built in view. An arm that is built stretched out hangs outside of the
picture a second later. So poses within the limits of the joints are drawn at random, and all of them are in view. A
robot that moves about is followed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.physics import acted_on

Array = NDArray[np.float64]

POSES = 200
"""Poses that are drawn: the view is in error by a few per cent of a robot's size."""
QUANTILE = 0.98
"""The share of poses that are wholly in view: the most stretched ones are rare."""
MARGIN, MARGIN_ROAMING = 1.0, 1.3
"""The radius that is in view, over that of what the robot reaches; more of the ground where it moves about."""
NEAR = 1.5
"""Other things that can move are in view too if they begin within so many times this radius."""
FLAT = 0.5
"""What it reaches is flat in a direction if it is less wide than this share of the others there."""
FROM_THE_SIDE, FROM_ABOVE = -20.0, -50.0
"""Elevation of the camera in degrees, where the model asks for no other."""
ANGLES = (90.0, -45.0)
"""Azimuth and elevation that a model has which asks for no others, in degrees."""
ALONG_X = 180.0
"""Azimuth in degrees of a camera that looks at what moves in the y-z plane."""


def free_view(model: Any) -> dict[str, Any]:
    """Values of the fields of a `mujoco.MjvCamera` that has the robot in view.

    Args:
        model: a `mujoco.MjModel`. The angles of its `<global>` are kept where they are not MuJoCo's own.

    Returns:
        `type`, `azimuth`, `elevation`, `distance`, and `lookat` [3] in m of a robot that stays where it is, or
        `trackbodyid` of one that moves about.
    """
    import mujoco

    roots = _driven_trees(model)
    roaming = [root for root in roots if _roams(model, root)]
    trees = roaming[:1] or roots
    shapes = np.flatnonzero(np.isin(model.body_rootid[model.geom_bodyid], trees))
    if len(shapes):
        reached = _reached(model, trees, shapes, follow=bool(roaming))
        radius = (MARGIN_ROAMING if roaming else MARGIN) * reached.radius
        distance = radius / math.sin(math.radians(float(model.vis.global_.fovy)) / 2.0)
    else:  # links without a shape: as MuJoCo does
        reached = _Reached(model.stat.center.copy(), float(model.stat.extent), np.ones(3))
        roaming, distance = [], 1.5 * reached.radius
    azimuth, elevation = _angles(model, reached.width)
    view = {"azimuth": azimuth, "elevation": elevation, "distance": distance}
    if roaming:
        return view | {"type": int(mujoco.mjtCamera.mjCAMERA_TRACKING), "trackbodyid": roaming[0]}
    return view | {"type": int(mujoco.mjtCamera.mjCAMERA_FREE), "lookat": reached.centre}


def free_camera(model: Any) -> Any:
    """A `mujoco.MjvCamera` with the values of `free_view`."""
    import mujoco

    camera = mujoco.MjvCamera()
    for name, value in free_view(model).items():
        setattr(camera, name, value)
    return camera


@dataclass(frozen=True)
class _Reached:
    """A ball around what a robot reaches."""

    centre: Array
    """[3] in m."""
    radius: float
    """In m."""
    width: Array
    """Of the space that it reaches, along each axis, [3] in m."""


def _angles(model: Any, width: Array) -> tuple[float, float]:
    """Azimuth and elevation, from where the plane is seen that the robot moves in, if it moves in one."""
    azimuth, elevation = float(model.vis.global_.azimuth), float(model.vis.global_.elevation)
    x, y, z = width
    if (azimuth, elevation) != ANGLES:
        return azimuth, elevation
    if z < FLAT * min(x, y):
        return azimuth, FROM_ABOVE
    return (ALONG_X if x < FLAT * min(y, z) else azimuth), FROM_THE_SIDE


def _driven_trees(model: Any) -> list[int]:
    """The first bodies of the trees that actuators move, else of those that have a joint."""
    acted = [acted_on(model, motor) for motor in range(model.nu)]
    bodies = {int(model.jnt_bodyid[joint]) for joints, _ in acted for joint in joints}
    bodies |= {body for _, of_motor in acted for body in of_motor}
    roots = {int(model.body_rootid[body]) for body in bodies}
    jointed = {int(model.body_rootid[body]) for body in model.jnt_bodyid}
    return sorted(roots & jointed or jointed)


def _takes_anywhere(model: Any, joint: int) -> bool:
    """Whether a joint has no end: a free joint, or a slide without limits."""
    import mujoco

    kind = int(model.jnt_type[joint])
    endless = kind == int(mujoco.mjtJoint.mjJNT_SLIDE) and not model.jnt_limited[joint]
    return endless or kind == int(mujoco.mjtJoint.mjJNT_FREE)


def _roams(model: Any, root: int) -> bool:
    """Whether the first body of a tree may go anywhere."""
    first, count = int(model.body_jntadr[root]), int(model.body_jntnum[root])
    return any(_takes_anywhere(model, joint) for joint in range(first, first + count))


def _reached(model: Any, trees: list[int], shapes: NDArray[np.int64], follow: bool) -> _Reached:
    """What shapes of a robot reach.

    Args:
        model: a `mujoco.MjModel`.
        trees: the first bodies of the robot.
        shapes: rows of its geoms.
        follow: whether the camera moves with the centre of mass of the first tree.
    """
    import mujoco

    data, ball = mujoco.MjData(model), int(mujoco.mjtJoint.mjJNT_BALL)
    joints = [
        joint
        for joint in range(model.njnt)
        if int(model.body_rootid[model.jnt_bodyid[joint]]) in trees and not _takes_anywhere(model, joint)
    ]
    random, poses = np.random.default_rng(0), []
    for _ in range(POSES):
        data.qpos[:] = model.qpos0
        for joint in joints:
            place = int(model.jnt_qposadr[joint])
            if model.jnt_type[joint] == ball:
                turn = random.standard_normal(4)
                data.qpos[place : place + 4] = turn / np.linalg.norm(turn)
            else:
                limits = model.jnt_range[joint] if model.jnt_limited[joint] else (-math.pi, math.pi)
                data.qpos[place] = random.uniform(*limits)
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        poses.append(data.geom_xpos[shapes] - (data.subtree_com[trees[0]] if follow else 0.0))
    places, sizes = np.stack(poses), model.geom_rbound[shapes]
    ends = np.concatenate((places - sizes[:, None], places + sizes[:, None]))
    low, high = ends.min((0, 1)), ends.max((0, 1))
    centre = np.zeros(3) if follow else (low + high) / 2.0
    radius = float(np.quantile((np.linalg.norm(places - centre, axis=-1) + sizes).max(1), QUANTILE))
    if not follow:
        radius = max(radius, _things(model, trees, centre, NEAR * radius))
    return _Reached(centre, radius, high - low)


def _things(model: Any, trees: list[int], centre: Array, farthest: float) -> float:
    """The radius in m around `centre` within which all else begins that can move, up to `farthest`."""
    import mujoco

    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    of_shape = model.geom_bodyid
    others = (model.body_weldid[of_shape] != 0) & ~np.isin(model.body_rootid[of_shape], trees)
    ends = np.linalg.norm(data.geom_xpos[others] - centre, axis=-1) + model.geom_rbound[others]
    return float(ends[ends <= farthest].max(initial=0.0))

"""Derived readouts of a robot's root: where it is, how fast it moves, and how it leans.

All are in the axes of the world. A root may be built in any orientation, and its slides may point either way. Where
joints do not say a quantity in a way that this module knows, there is no such readout: a wrong one would be worse.

Place and velocity are those of the point that the slides move: the origin of the body, or the anchor of its hinge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from envs.physics import driven_bodies
from envs.readouts.derived import DerivedReadout, derived
from envs.readouts.joints import STRAIGHT, Joint, JointReadouts, world_axis

if TYPE_CHECKING:
    import mujoco

X, Y, Z = range(3)


@dataclass(frozen=True)
class RootJoint:
    """A slide or hinge of the root, along or about an axis of the world in the pose as built."""

    joint: Joint
    axis: int
    """0, 1, 2 for x, y, z."""
    sign: float
    """-1 where it points against that axis."""


def of_root(model: mujoco.MjModel, joints: JointReadouts) -> dict[str, DerivedReadout]:
    """Derived readouts of the robot's root, if it moves: of the first one with a motor on it or below it.

    In a model without motors, the robot is what the first joint moves.

    `position` (m; x, and y where the root moves along y), `height` (m), `velocity` (m/s, along x), `speed`
    (m/s, over ground), `climb` (m/s, upwards), `pitch`, `roll` and `heading` (rad), `upright` (1 as built, -1
    upside down).
    """
    root = _body_of_robot(model)
    if model.body_parentid[root] != 0:
        return {}
    own = [joint for joint in joints.joints if model.jnt_bodyid[joint.index] == root]
    if len(own) < model.body_jntnum[root]:
        return {}
    if any(joint.kind == "free" for joint in own):
        return _of_free_root(own[0].readouts, tilt_as_built(np.array(model.body_quat[root])))
    if any(joint.kind == "ball" for joint in own):
        return {}
    slides = _slides(model, own)
    hinges = _hinges(model, own)
    place = _anchor(model, root, own)
    if place is None:
        return {}
    found = _of_height(slides, place)
    if ground := sorted((slide for slide in slides if slide.axis != Z), key=lambda slide: slide.axis):
        # Without a place to go, an arm's base has no heading.
        found |= _of_heading(hinges) | _of_ground(ground, place)
        if joints.plane and joints.plane[0] in own:  # legible where no sensor shows the heading
            found["speed"] = derived(joints.plane_velocity, 0, 1, how="length")
    return found | _of_pitch(hinges)


def ground_position(model: mujoco.MjModel, joints: JointReadouts) -> set[str]:
    """The readouts of joints that say where on the ground the root is; empty where it does not go anywhere."""
    found = of_root(model, joints).get("position")
    of: str | list[str] = [] if found is None else found["of"]
    return {of} if isinstance(of, str) else set(of)


def ground_places(model: mujoco.MjModel, joints: JointReadouts) -> list[int]:
    """Which numbers of `qpos` say where on the ground the root is; none where it does not go anywhere."""
    of_place = ground_position(model, joints)
    return [
        joint.q + number
        for joint in joints.joints
        if of_place & set(joint.readouts.values())
        for number in range(2 if joint.kind == "free" else 1)
    ]


def _body_of_robot(model: mujoco.MjModel) -> int:
    """The row of the body with the robot's first joint: another thing, such as a ball, may come before."""
    moved = {int(model.body_rootid[body]) for body in driven_bodies(model)}
    bodies = [int(body) for body in model.jnt_bodyid]
    return next((body for body in bodies if model.body_rootid[body] in moved), bodies[0])


def _of_free_root(name: dict[str, str], tilt: list[float] | None) -> dict[str, DerivedReadout]:
    up = (name["up"], 0, 1, 2)
    both = [name["up"], name["ahead"]]
    return {
        "position": derived(name["position"], 0, 1),
        "height": derived(name["height"], 0),
        "velocity": derived(name["velocity"], 0),
        # In the body's axes it is legible where no sensor shows the heading.
        "speed": derived([name["local_velocity"], name["up"]], *range(6), how="across"),
        "climb": derived(name["velocity"], 2),
        "upright": derived(name["up"], 2) if tilt is None else derived(*up, how="upright", tilt=tilt),
        "pitch": derived(*up, how="pitch", tilt=tilt),
        "roll": derived(*up, how="roll", tilt=tilt),
        "heading": derived(both, *range(6), how="heading", tilt=tilt),
    }


def tilt_as_built(quaternion: np.ndarray) -> list[float] | None:
    """The rotation w x y z that leaves of a body's orientation as built only its turn about the vertical.

    A body whose z axis points up as built is not tilted, whatever it faces: None.
    """
    w, z = float(quaternion[0]), float(quaternion[3])
    length = float(np.hypot(w, z))
    if length > 1.0 - 1e-9:
        return None
    # The orientation is a tilt, and then a turn about the vertical; of half a turn over, any will do.
    cosine, sine = (w / length, z / length) if length > 1e-9 else (1.0, 0.0)
    x, y = float(quaternion[1]), float(quaternion[2])
    return [
        cosine * w + sine * z,
        cosine * x + sine * y,
        cosine * y - sine * x,
        cosine * z - sine * w,
    ]


def _along_an_axis(model: mujoco.MjModel, joint: Joint) -> RootJoint | None:
    axis = world_axis(model, joint.index)
    along = int(abs(axis).argmax())
    if abs(axis[along]) <= STRAIGHT:
        return None
    return RootJoint(joint, along, float(np.sign(axis[along])))


def _slides(model: mujoco.MjModel, own: list[Joint]) -> list[RootJoint]:
    """The slides of a root; none unless each has an axis of the world for itself.

    A slide after a hinge moves along what the hinge has turned, unless that turns about the slide itself.
    """
    found: list[RootJoint] = []
    turning: list[np.ndarray] = []
    for joint in own:
        axis = world_axis(model, joint.index)
        if joint.kind != "slide":
            turning.append(axis)
            continue
        slide = _along_an_axis(model, joint)
        if slide is None or any(abs(float(axis @ other)) <= STRAIGHT for other in turning):
            return []
        found.append(slide)
    return found if len({slide.axis for slide in found}) == len(found) else []


def _hinges(model: mujoco.MjModel, own: list[Joint]) -> list[RootJoint]:
    """The hinges of a root, in order; none unless each turns about an axis of the world for itself."""
    hinges = [_along_an_axis(model, joint) for joint in own if joint.kind != "slide"]
    straight = [hinge for hinge in hinges if hinge is not None]
    apart = len({hinge.axis for hinge in straight}) == len(hinges)
    return straight if apart else []


def _anchor(model: mujoco.MjModel, root: int, own: list[Joint]) -> np.ndarray | None:
    """Where the point that the slides move is in the pose as built [3]; None for hinges with several anchors."""
    import mujoco

    anchors = np.array(
        [model.jnt_pos[joint.index] for joint in own if joint.kind != "slide"] or [np.zeros(3)]
    )
    if np.ptp(anchors, axis=0).max() > 1e-6:
        return None
    offset = np.empty(3)
    mujoco.mju_rotVecQuat(offset, anchors[0], model.body_quat[root])
    found: np.ndarray = model.body_pos[root] + offset
    return found


def _of_height(slides: list[RootJoint], place: np.ndarray) -> dict[str, DerivedReadout]:
    for slide in slides:
        if slide.axis == Z:
            name = slide.joint.readouts
            plus = float(place[Z]) - slide.sign * slide.joint.reference
            return {
                "height": derived(name["position"], 0, sign=slide.sign, plus=plus),
                "climb": derived(name["velocity"], 0, sign=slide.sign),
            }
    return {}


def _of_ground(ground: list[RootJoint], place: np.ndarray) -> dict[str, DerivedReadout]:
    """Place and velocity of a root with slides along x, y or both, in this order."""
    numbers = range(len(ground))
    signs = [slide.sign for slide in ground]
    offsets = [float(place[slide.axis]) - slide.sign * slide.joint.reference for slide in ground]
    found = {
        "position": derived(
            [slide.joint.readouts["position"] for slide in ground],
            *numbers,
            sign=signs,
            plus=offsets,
        ),
        "speed": derived([slide.joint.readouts["velocity"] for slide in ground], *numbers, how="length"),
    }
    if ground[0].axis == X:
        found["velocity"] = derived(ground[0].joint.readouts["velocity"], 0, sign=signs[0])
    return found


def _of_heading(hinges: list[RootJoint]) -> dict[str, DerivedReadout]:
    """The heading, where no hinge has leaned the axis of the hinge about z before."""
    if hinges and hinges[0].axis == Z:
        return {"heading": _turned(hinges[0])}
    return {}


def _of_pitch(hinges: list[RootJoint]) -> dict[str, DerivedReadout]:
    """Pitch and uprightness, where a hinge about y is all that makes the root lean.

    What turns about the vertical of the body afterwards leaves how upright it is, and changes which way it leans.
    """
    leaning = [hinge for hinge in hinges if hinge.axis != Z]
    if [hinge.axis for hinge in leaning] != [Y]:
        return {}
    (hinge,) = leaning
    if hinge.joint.kind == "turn":
        upright = derived(hinge.joint.readouts["turn"], 0)
    else:
        upright = _turned(hinge) | {"as": "cos"}
    return {"upright": upright} | ({"pitch": _turned(hinge)} if hinge is hinges[-1] else {})


def _turned(hinge: RootJoint) -> DerivedReadout:
    """The angle of a hinge from the pose as built, about the axis of the world."""
    name = hinge.joint.readouts
    if hinge.joint.kind == "turn":
        return derived(name["turn"], 0, 1, sign=hinge.sign, how="angle")
    return derived(name["angle"], 0, sign=hinge.sign, plus=-hinge.sign * hinge.joint.reference)

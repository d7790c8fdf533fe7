"""Readouts of MuJoCo's joints: quantities that sensors show, found by the types of a model's joints.

`qpos` itself is hard to read off a representation: the angle of an unlimited hinge counts its turns, which no
sensor shows, and a quaternion and its negative are the same orientation. So each joint gives:

| joint | readouts |
| --- | --- |
| hinge with limits | `NAME_angle` (rad), `NAME_velocity` (rad/s) |
| hinge without limits | `NAME_turn`: cosine and sine of its angle from the pose as built; `NAME_velocity` |
| slide | `NAME_position` (m), `NAME_velocity` (m/s) |
| ball | `NAME_up`, `NAME_ahead`: the body's z and x in the pose as built, in its axes now; `NAME_spin` (rad/s) |
| free | of its body: `BODY_position` (x and y, m), `BODY_height` (m); `BODY_up`, `BODY_ahead`: z and x of the \
world in the body's axes; `BODY_velocity` (m/s, the world's axes), `BODY_local_velocity` (the body's axes), \
`BODY_spin` (rad/s, the body's axes) |

A root that slides along x and y and turns about z, as a swimmer's, has `BODY_local_velocity` too (x and y).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.physics import acted_on, motor_count

MOST_NUMBERS = 300
"""Numbers of all readouts of joints at most; see `kept_joints`."""
WIDEST_LIMITS = 4 * np.pi + 0.01
"""Range of a hinge (rad) beyond which its limits count as none: it may wind more than a turn to either side."""
STRAIGHT = 0.9999
"""Component along an axis of the world from which a direction counts as that axis."""
OF_JOINT = "_of_joint"
"""Ends the name of a readout of a joint where another readout has this name."""


@dataclass(frozen=True)
class Joint:
    """One joint of a model, with the names and places of its readouts."""

    kind: str
    """"free", "ball", "slide", "turn" (a hinge without limits) or "angle" (a hinge with limits)."""
    name: str
    """What its readouts are called by: the joint, or the body that a free joint moves."""
    q: int
    """Its address in `qpos`."""
    v: int
    """Its address in `qvel`."""
    reference: float
    """`qpos` of a slide or hinge in the pose as built."""
    index: int
    """Its place among the model's joints."""
    readouts: dict[str, str]
    """Quantity ("turn", "velocity", …) -> name of the readout."""


SIZES = {
    "angle": {"angle": 1, "velocity": 1},
    "turn": {"turn": 2, "velocity": 1},
    "slide": {"position": 1, "velocity": 1},
    "ball": {"up": 3, "ahead": 3, "spin": 3},
    "free": {
        "position": 2, "height": 1, "up": 3, "ahead": 3, "velocity": 3, "local_velocity": 3, "spin": 3,
    },
}  # fmt: skip
"""Kind of joint -> quantity -> numbers."""


def kind_of(model: Any, joint: int) -> str:
    """The kind of a joint, as in `Joint.kind`. A hinge whose limits are more than two turns apart has none."""
    import mujoco

    match model.jnt_type[joint]:
        case mujoco.mjtJoint.mjJNT_FREE:
            return "free"
        case mujoco.mjtJoint.mjJNT_BALL:
            return "ball"
        case mujoco.mjtJoint.mjJNT_SLIDE:
            return "slide"
    low, high = model.jnt_range[joint]
    return "angle" if model.jnt_limited[joint] and high - low <= WIDEST_LIMITS else "turn"


def kept_joints(model: Any, most: float = MOST_NUMBERS) -> list[int]:
    """The joints that have readouts: all, or as many as have `most` numbers.

    Of a larger model those of its root bodies come first, then those that an actuator moves, then the others.
    """
    numbers = np.array([sum(SIZES[kind_of(model, joint)].values()) for joint in range(model.njnt)])
    if numbers.sum() <= most:
        return list(range(model.njnt))
    moved: set[int] = set().union(*(acted_on(model, motor)[0] for motor in range(motor_count(model))))
    root = model.body_parentid[model.jnt_bodyid] == 0
    order = sorted(range(model.njnt), key=lambda joint: (not root[joint], joint not in moved, joint))
    fits = np.cumsum(numbers[order]) <= most
    return sorted(joint for joint, fit in zip(order, fits, strict=True) if fit)


def identifier(name: str, otherwise: str) -> str:
    """A name as a task may write it: letters, digits and underscores."""
    plain = re.sub(r"\W", "_", name, flags=re.ASCII)
    return plain if re.match(r"[A-Za-z_]", plain) else otherwise


class JointReadouts:
    """The readouts of a model's joints.

    Args:
        model: an `mujoco.MjModel`.
        taken: names that these readouts must not have.
        most: numbers of all of them at most; see `kept_joints`.
    """

    def __init__(self, model: Any, taken: Collection[str] = (), most: float = MOST_NUMBERS) -> None:
        used = set(taken)

        def named(base: str, quantity: str) -> str:
            name, number = f"{base}_{quantity}", 2
            if name in used:
                name = f"{name}{OF_JOINT}"
            while name in used:
                name, number = f"{base}_{quantity}_{number}", number + 1
            used.add(name)
            return name

        self.joints: list[Joint] = []
        self.sizes: dict[str, int] = {}
        """Name -> numbers, in order: positions of all joints, then their velocities."""
        kept = kept_joints(model, most)
        self.complete = len(kept) == model.njnt
        """Whether every joint has readouts."""
        for index in kept:
            kind, body = kind_of(model, index), model.body(model.jnt_bodyid[index]).name
            own = identifier(model.joint(index).name, f"joint{index}")
            base = identifier(body, own) if kind == "free" else own
            q, v = int(model.jnt_qposadr[index]), int(model.jnt_dofadr[index])
            readouts = {quantity: named(base, quantity) for quantity in SIZES[kind]}
            self.joints.append(Joint(kind, base, q, v, float(model.qpos0[q]), index, readouts))
        self.plane = planar_root(model, self.joints)
        """The slides along x and y and the hinge about z of a root that moves in the plane; None without."""
        sizes = {
            name: SIZES[joint.kind][quantity]
            for joint in self.joints
            for quantity, name in joint.readouts.items()
        }
        self.plane_velocity = ""
        """Name of the velocity of `plane` in its own axes; empty without."""
        if self.plane is not None:
            root = model.body(model.jnt_bodyid[self.plane[0].index]).name
            self.plane_velocity = named(identifier(root, "root"), "local_velocity")
            sizes[self.plane_velocity] = 2
        rates = ("velocity", "local_velocity", "spin")
        late = {j.readouts[quantity] for j in self.joints for quantity in rates if quantity in j.readouts}
        late.add(self.plane_velocity)
        self.sizes = {name: sizes[name] for name in sorted(sizes, key=lambda name: name in late)}
        self._find_places()

    def _find_places(self) -> None:
        """Where each number comes from and goes to, so that a step reads all single numbers at once."""
        edges = np.cumsum([0, *self.sizes.values()])
        self._place = dict(zip(self.sizes, edges.tolist(), strict=False))
        self._total = int(edges[-1])
        rows: dict[str, list[tuple[int, int]]] = {"qpos": [], "qvel": [], "turn": []}
        reference = []
        for joint in self.joints:
            if joint.kind in ("angle", "slide"):
                quantity = "angle" if joint.kind == "angle" else "position"
                rows["qpos"].append((self._place[joint.readouts[quantity]], joint.q))
            if joint.kind == "turn":
                rows["turn"].append((self._place[joint.readouts["turn"]], joint.q))
                reference.append(joint.reference)
            if joint.kind in ("angle", "slide", "turn"):
                rows["qvel"].append((self._place[joint.readouts["velocity"]], joint.v))
        self._rows = {name: np.array(pairs, int).reshape(-1, 2).T for name, pairs in rows.items()}
        self._reference = np.array(reference)
        self._turning = [joint for joint in self.joints if joint.kind in ("free", "ball")]

    def read(self, data: Any) -> dict[str, np.ndarray]:
        """The readouts now, each a flat array, of an `mujoco.MjData`."""
        out = np.empty(self._total)
        for name, source in (("qpos", data.qpos), ("qvel", data.qvel)):
            to, at = self._rows[name]
            out[to] = source[at]
        to, at = self._rows["turn"]
        angles = data.qpos[at] - self._reference
        out[to], out[to + 1] = np.cos(angles), np.sin(angles)
        values = {name: out[place : place + self.sizes[name]] for name, place in self._place.items()}
        for joint in self._turning:
            for quantity, value in _of_turning_body(joint, data).items():
                values[joint.readouts[quantity]][:] = value
        if self.plane is not None:
            values[self.plane_velocity][:] = _in_the_plane(self.plane, data)
        return values


def _of_turning_body(joint: Joint, data: Any) -> dict[str, np.ndarray]:
    """The quantities of a free joint or of a ball."""
    import mujoco

    first = joint.q + 3 if joint.kind == "free" else joint.q
    rotation, quaternion = np.empty(9), data.qpos[first : first + 4].copy()
    mujoco.mju_normalize4(quaternion)
    mujoco.mju_quat2Mat(rotation, quaternion)
    axes = rotation.reshape(3, 3)
    found = {"up": axes[2], "ahead": axes[0]}
    if joint.kind == "ball":
        return found | {"spin": data.qvel[joint.v : joint.v + 3]}
    velocity = data.qvel[joint.v : joint.v + 3]
    return found | {
        "position": data.qpos[joint.q : joint.q + 2],
        "height": data.qpos[joint.q + 2 : joint.q + 3],
        "velocity": velocity,
        "local_velocity": axes.T @ velocity,
        "spin": data.qvel[joint.v + 3 : joint.v + 6],
    }


def world_axis(model: Any, joint: int) -> np.ndarray:
    """The axis of a slide or hinge of a root [3], in the world's axes and in the pose as built."""
    import mujoco

    axis = np.empty(3)
    mujoco.mju_rotVecQuat(axis, model.jnt_axis[joint], model.body_quat[model.jnt_bodyid[joint]])
    return axis


def planar_root(model: Any, joints: list[Joint]) -> tuple[Joint, Joint, Joint] | None:
    """The slides along x and y and the hinge about z of the first body that moves so in the plane, or None.

    The hinge comes after the slides, which would move along what it has turned, and before other hinges: after one
    that leans, it would turn about another axis than z, and the axes of the body would be others.
    """
    found: dict[int, list[tuple[str, Joint]]] = {}
    for joint in joints:
        body = int(model.jnt_bodyid[joint.index])
        if model.body_parentid[body] == 0 and joint.kind not in ("free", "ball"):
            found.setdefault(body, []).append((_motion(world_axis(model, joint.index), joint.kind), joint))
    for motions in found.values():
        by_name = dict(motions)
        if not by_name.keys() >= {"x", "y", "turns z"}:
            continue
        x, y, about_z = by_name["x"], by_name["y"], by_name["turns z"]
        first = next(joint for _, joint in motions if joint.kind != "slide")
        along_ground = [joint for name, joint in motions if joint.kind == "slide" and name not in ("z", "-z")]
        if about_z is first and len(along_ground) == 2 and about_z.index > max(x.index, y.index):
            return x, y, about_z
    return None


def _motion(axis: np.ndarray, kind: str) -> str:
    """ "x" of a slide along x, "-x" of one against it, "turns z" of a hinge about z, "?" of what is oblique."""
    straight = np.flatnonzero(np.abs(axis) > STRAIGHT)
    named = "?" if not straight.size else ("-" if axis[straight[0]] < 0 else "") + "xyz"[straight[0]]
    return named if kind == "slide" else f"turns {named}"


def _in_the_plane(plane: tuple[Joint, Joint, Joint], data: Any) -> list[float]:
    """The velocity of a root that moves in the plane, in its own axes [x, y]."""
    along_x, along_y, about_z = plane
    x, y = float(data.qvel[along_x.v]), float(data.qvel[along_y.v])
    angle = float(data.qpos[about_z.q]) - about_z.reference
    cosine, sine = np.cos(angle), np.sin(angle)
    return [cosine * x + sine * y, cosine * y - sine * x]

"""Derived readouts: named quantities (velocity, height, upright) that follow from the readouts.

A derived readout is computed from readouts that exist already, derived ones included. So it needs no
prediction head of its own and no column of the replay buffer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from envs.readouts.joints import Joint, JointReadouts

if TYPE_CHECKING:
    import mujoco

DerivedReadout = dict[str, Any]
"""{"of": readout or list of readouts, "at": [indices], "sign": 1 or -1, "plus": offset, "as": how}.

`at` are indices into the readout, or into the readouts of the list, one after the other. x are the numbers there.
`as` is how they give the derived readout; see `agent.cost.derivations`."""


def derived(
    of: str | list[str], *at: int, sign: float = 1.0, plus: float = 0.0, how: str = "value"
) -> DerivedReadout:
    """One derived readout, as JSON.

    Args:
        of: name of the readout that it is computed from, or several.
        at: indices into that readout.
        sign: 1 or -1.
        plus: offset, in the unit of the readout.
        how: one of "value" (sign * x + plus), "length" (Euclidean norm of x), "cos" (of sign * x + plus),
            "angle" (sign * angle + plus, of a cosine and a sine), "up" (vertical component of the up axis that
            the quaternion x = w x y z turns). Of the three numbers of a readout `…_up`: "pitch", "roll". Of them
            and the three of `…_ahead`: "heading", "quaternion". Of a velocity in a body's axes and `…_up`:
            "across", its horizontal part.
    """
    return {"of": of, "at": [int(k) for k in at], "sign": float(sign), "plus": float(plus), "as": how}


def of_joints(model: mujoco.MjModel, joints: JointReadouts) -> dict[str, DerivedReadout]:
    """Derived readouts of a model's joints.

    `NAME_angle` of a hinge without limits (rad, within half a turn of the pose as built), `NAME_quaternion` of
    free joints and balls; `qpos` and `qvel`, where every joint has readouts.
    """
    found: dict[str, DerivedReadout] = {}
    positions: list[str] = []
    velocities: list[str] = []
    for joint in joints.joints:
        name = joint.readouts
        match joint.kind:
            case "turn":
                angle = _free_name(f"{joint.name}_angle", joints, found)
                found[angle] = derived(name["turn"], 0, 1, plus=joint.reference, how="angle")
                positions.append(angle)
            case "free" | "ball":
                quaternion = _free_name(f"{joint.name}_quaternion", joints, found)
                found[quaternion] = derived([name["up"], name["ahead"]], *range(6), how="quaternion")
                positions += [name["position"], name["height"]] if joint.kind == "free" else []
                positions.append(quaternion)
            case _:
                positions.append(name["angle" if joint.kind == "angle" else "position"])
        velocities += [name[quantity] for quantity in ("velocity", "spin") if quantity in name]
    if joints.complete:
        found["qpos"] = derived(positions, *range(model.nq))
        found["qvel"] = derived(velocities, *range(model.nv))
    return found


def _free_name(name: str, joints: JointReadouts, found: dict[str, DerivedReadout]) -> str:
    number, free = 2, name
    while free in joints.sizes or free in found:
        free, number = f"{name}_{number}", number + 1
    return free


def of_root(model: mujoco.MjModel, joints: JointReadouts) -> dict[str, DerivedReadout]:
    """Derived readouts of the root of the first joint, if that root moves.

    `position` (m; x, and y where the root moves along y), `height` (m), `velocity` (m/s, along x), `speed`
    (m/s, over ground), `climb` (m/s, upwards), `pitch`, `roll` and `heading` (rad), `upright` (1 as built, -1
    upside down).
    """
    root = model.jnt_bodyid[0]
    if model.body_parentid[root] != 0:
        return {}
    found: dict[str, DerivedReadout] = {}
    ground: list[tuple[int, Joint]] = []
    about_z: Joint | None = None
    for joint in joints.joints:
        if model.jnt_bodyid[joint.index] != root:
            continue
        axis, name = model.jnt_axis[joint.index], joint.readouts
        along = int(abs(axis).argmax())
        sign, straight = float(axis[along]), abs(axis[along]) > 0.99
        match joint.kind:
            case "free":
                found |= _of_free_root(name)
            case "slide" if along == 2 and straight:
                plus = float(model.body_pos[root][2]) - sign * joint.reference
                found["height"] = derived(name["position"], 0, sign=sign, plus=plus)
                found["climb"] = derived(name["velocity"], 0, sign=sign)
            case "slide" if sign > 0.99:
                ground.append((along, joint))
            case "angle" | "turn" if along == 1 and straight:
                found |= _of_turning_root(joint, "pitch", float(np.sign(sign)))
            case "angle" | "turn" if along == 2 and straight:
                about_z = joint
            case _:
                pass
    if ground and about_z is not None:  # without a place to go, an arm's base has no heading
        found |= _of_turning_root(about_z, "heading", float(np.sign(model.jnt_axis[about_z.index][2])))
    if ground:
        ground.sort(key=lambda pair: pair[0])
        slides = [joint.readouts for _, joint in ground]
        numbers = range(len(slides))
        found["position"] = derived([slide["position"] for slide in slides], *numbers)
        found["speed"] = derived([slide["velocity"] for slide in slides], *numbers, how="length")
        if joints.plane_velocity and about_z is not None:  # legible where no sensor shows the heading
            found["speed"] = derived(joints.plane_velocity, 0, 1, how="length")
        if ground[0][0] == 0:
            found["velocity"] = derived(slides[0]["velocity"], 0)
    return found


def _of_free_root(name: dict[str, str]) -> dict[str, DerivedReadout]:
    both = [name["up"], name["ahead"]]
    return {
        "position": derived(name["position"], 0, 1),
        "height": derived(name["height"], 0),
        "velocity": derived(name["velocity"], 0),
        # In the body's axes it is legible where no sensor shows the heading.
        "speed": derived([name["local_velocity"], name["up"]], *range(6), how="across"),
        "climb": derived(name["velocity"], 2),
        "upright": derived(name["up"], 2),
        "pitch": derived(name["up"], 0, 1, 2, how="pitch"),
        "roll": derived(name["up"], 0, 1, 2, how="roll"),
        "heading": derived(both, *range(6), how="heading"),
    }


def _of_turning_root(joint: Joint, quantity: str, sign: float) -> dict[str, DerivedReadout]:
    """Pitch and uprightness of a root's hinge about y, or the heading of one about z."""
    if joint.kind == "turn":
        turn = joint.readouts["turn"]
        found = {quantity: derived(turn, 0, 1, sign=sign, how="angle")}
        return found | ({"upright": derived(turn, 0)} if quantity == "pitch" else {})
    angle, plus = joint.readouts["angle"], -sign * joint.reference
    found = {quantity: derived(angle, 0, sign=sign, plus=plus)}
    return found | (
        {"upright": derived(angle, 0, sign=sign, plus=plus, how="cos")} if quantity == "pitch" else {}
    )

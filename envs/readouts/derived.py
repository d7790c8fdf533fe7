"""Derived readouts: named quantities (velocity, height, upright) that follow from the readouts.

A derived readout is computed from readouts that exist already, derived ones included. So it needs no
prediction head of its own and no column of the replay buffer.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from envs.readouts.joints import JointReadouts

if TYPE_CHECKING:
    import mujoco

DerivedReadout = dict[str, Any]
"""{"of": readout or list of readouts, "at": [indices], "sign": 1 or -1, "plus": offset, "as": how}.

`at` are indices into the readout, or into the readouts of the list, one after the other. x are the numbers there.
`as` is how they give the derived readout; see `agent.cost.derivations`. Where that is "value", `sign` and `plus`
may be lists, with an entry for each of x. "tilt" may be a quaternion that turns every three numbers of x first."""
PerNumber = float | list[float]
"""One number for all of x, or one for each."""


def derived(
    of: str | list[str],
    *at: int,
    sign: PerNumber = 1.0,
    plus: PerNumber = 0.0,
    how: str = "value",
    tilt: list[float] | None = None,
) -> DerivedReadout:
    """One derived readout, as JSON.

    Args:
        of: name of the readout that it is computed from, or several.
        at: indices into that readout.
        sign: 1 or -1.
        plus: offset, in the unit of the readout.
        tilt: w x y z; turns each vector of three numbers of x before anything else. None turns none.
        how: one of "value" (sign * x + plus), "length" (Euclidean norm of x), "cos" (of sign * x + plus),
            "angle" (sign * angle + plus, of a cosine and a sine), "up" (vertical component of the up axis that
            the quaternion x = w x y z turns). Of the three numbers of a readout `…_up`: "pitch", "roll",
            "upright". Of them and the three of `…_ahead`: "heading", "quaternion". Of a velocity in a body's
            axes and `…_up`: "across", its horizontal part.
    """
    found = {"of": of, "at": [int(k) for k in at], "sign": _plain(sign), "plus": _plain(plus), "as": how}
    return found if tilt is None else found | {"tilt": [float(number) for number in tilt]}


def _plain(given: PerNumber) -> PerNumber:
    """As JSON; one number where it is the same for all."""
    numbers = [float(number) for number in given] if isinstance(given, list) else [float(given)]
    return numbers if len(set(numbers)) > 1 else numbers[0]


def of_joints(
    model: mujoco.MjModel, joints: JointReadouts, taken: Collection[str] = ()
) -> dict[str, DerivedReadout]:
    """Derived readouts of a model's joints.

    `NAME_angle` of a hinge without limits (rad, within half a turn of the pose as built), `NAME_quaternion` of
    free joints and balls; `qpos` and `qvel`, where every joint has readouts.

    Args:
        model: the model.
        joints: the readouts of its joints.
        taken: names of other readouts; a number comes after such a name.
    """
    found: dict[str, DerivedReadout] = {}
    used = {*joints.sizes, *taken}
    positions: list[str] = []
    velocities: list[str] = []
    for joint in joints.joints:
        name = joint.readouts
        match joint.kind:
            case "turn":
                angle = _free_name(f"{joint.name}_angle", used)
                found[angle] = derived(name["turn"], 0, 1, plus=joint.reference, how="angle")
                positions.append(angle)
            case "free" | "ball":
                quaternion = _free_name(f"{joint.name}_quaternion", used)
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


def _free_name(name: str, used: set[str]) -> str:
    """`name`, or one with a number after it, which is then used as well."""
    number, free = 2, name
    while free in used:
        free, number = f"{name}_{number}", number + 1
    used.add(free)
    return free

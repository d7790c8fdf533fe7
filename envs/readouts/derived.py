"""Derived readouts: named quantities (velocity, height, upright) that follow from the readouts.

A derived readout is computed from readouts that exist already. So it needs no prediction head of its own and
no column of the replay buffer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium

from envs.physics import find_physics
from envs.readouts.named import has_own_readouts

if TYPE_CHECKING:
    import mujoco

DerivedReadout = dict[str, Any]
"""{"of": readout, "at": [indices], "sign": 1 or -1, "plus": offset, "as": how}.

`as` is "value" (sign * x + plus), "length" (Euclidean norm of x), "cos" (of sign * x + plus), or "up"
(vertical component of the up axis that the quaternion x = w x y z turns)."""


def derived(of: str, *at: int, sign: float = 1.0, plus: float = 0.0, how: str = "value") -> DerivedReadout:
    """One derived readout, as JSON.

    Args:
        of: name of the readout that it is computed from.
        at: indices into that readout.
        sign: 1 or -1.
        plus: offset, in the unit of the readout.
        how: one of "value", "length", "cos", "up".
    """
    return {"of": of, "at": [int(k) for k in at], "sign": float(sign), "plus": float(plus), "as": how}


def derived_readouts(env: gymnasium.Env[Any, Any]) -> dict[str, DerivedReadout]:
    """Name -> derived readout.

    An environment with `readouts()` of its own lists them in its attribute `derived_readouts`, if it has any.
    Any other MuJoCo environment has those of the root of its first joint, if that root moves: `position` (m;
    x, and y where the root moves along y), `height` (m), `velocity` (m/s, along x), `speed` (m/s, over
    ground), `climb` (m/s, upwards), `pitch` (rad), `upright` (1 as built, -1 upside down).
    """
    base: Any = env.unwrapped
    if has_own_readouts(env):
        return dict(getattr(base, "derived_readouts", {}))
    physics = find_physics(env)
    return {} if physics is None or physics.model.njnt == 0 else _of_root(physics.model)


def _of_root(model: mujoco.MjModel) -> dict[str, DerivedReadout]:
    import mujoco

    root = model.jnt_bodyid[0]
    if model.body_parentid[root] != 0:
        return {}
    found: dict[str, DerivedReadout] = {}
    ground: list[tuple[int, int, int]] = []  # axis, address in qpos, address in qvel
    for joint in range(model.njnt):
        if model.jnt_bodyid[joint] != root:
            continue
        q, v, axis = model.jnt_qposadr[joint], model.jnt_dofadr[joint], model.jnt_axis[joint]
        along = int(abs(axis).argmax())
        sign, rest = float(axis[along]), float(model.qpos0[q])
        match model.jnt_type[joint]:
            case mujoco.mjtJoint.mjJNT_FREE:
                ground = [(0, q, v), (1, q + 1, v + 1)]
                found["height"], found["climb"] = derived("qpos", q + 2), derived("qvel", v + 2)
                found["upright"] = derived("qpos", *range(q + 3, q + 7), how="up")
            case mujoco.mjtJoint.mjJNT_SLIDE if along == 2 and abs(sign) > 0.99:
                plus = float(model.body_pos[root][2]) - sign * rest
                found["height"] = derived("qpos", q, sign=sign, plus=plus)
                found["climb"] = derived("qvel", v, sign=sign)
            case mujoco.mjtJoint.mjJNT_SLIDE if sign > 0.99:
                ground.append((along, q, v))
            case mujoco.mjtJoint.mjJNT_HINGE if along == 1 and abs(sign) > 0.99:
                found["pitch"] = derived("qpos", q, sign=sign, plus=-sign * rest)
                found["upright"] = derived("qpos", q, sign=sign, plus=-sign * rest, how="cos")
            case _:
                pass
    if ground:
        ground.sort()
        found["position"] = derived("qpos", *(q for _, q, _ in ground))
        found["speed"] = derived("qvel", *(v for *_, v in ground), how="length")
        if ground[0][0] == 0:
            found["velocity"] = derived("qvel", ground[0][2])
    return found

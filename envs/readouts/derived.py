"""Views: everyday names (velocity, height, upright) for parts of a MuJoCo body's positions and velocities.

A view is computed from readouts that are there already, so it needs no head of its own and no new column in
memory: runs made before a view existed have it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium

from envs.physics import find_physics

if TYPE_CHECKING:
    import mujoco

View = dict[str, Any]
"""{"of": readout, "at": [indices], "sign": 1 or -1, "plus": offset, "as": how}; `as` is "value",
"length" (Euclidean), "cos", or "up" (the vertical part of the up axis that a quaternion w x y z turns)."""


def view(of: str, *at: int, sign: float = 1.0, plus: float = 0.0, how: str = "value") -> View:
    """One view, as JSON."""
    return {"of": of, "at": [int(k) for k in at], "sign": float(sign), "plus": float(plus), "as": how}


def views(env: gymnasium.Env[Any, Any]) -> dict[str, View]:
    """Name -> view of the body's root, as far as it has one that moves.

    `position` (m; x, and y where the root moves there), `height` (m), `velocity` (m/s, along x), `speed`
    (m/s, over ground), `climb` (m/s, upwards), `pitch` (rad), `upright` (1 as built, -1 upside down).
    A body with `readouts()` of its own has the views in its attribute `readout_views`, if any.
    """
    raw = env.unwrapped
    if callable(getattr(raw, "readouts", None)):
        return dict(getattr(raw, "readout_views", {}))
    physics = find_physics(env)
    return {} if physics is None or physics.model.njnt == 0 else _of_root(physics.model)


def _of_root(model: mujoco.MjModel) -> dict[str, View]:
    import mujoco

    root = model.jnt_bodyid[0]
    if model.body_parentid[root] != 0:
        return {}
    found: dict[str, View] = {}
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
                found["height"], found["climb"] = view("qpos", q + 2), view("qvel", v + 2)
                found["upright"] = view("qpos", *range(q + 3, q + 7), how="up")
            case mujoco.mjtJoint.mjJNT_SLIDE if along == 2 and abs(sign) > 0.99:
                plus = float(model.body_pos[root][2]) - sign * rest
                found["height"] = view("qpos", q, sign=sign, plus=plus)
                found["climb"] = view("qvel", v, sign=sign)
            case mujoco.mjtJoint.mjJNT_SLIDE if sign > 0.99:
                ground.append((along, q, v))
            case mujoco.mjtJoint.mjJNT_HINGE if along == 1 and abs(sign) > 0.99:
                found["pitch"] = view("qpos", q, sign=sign, plus=-sign * rest)
                found["upright"] = view("qpos", q, sign=sign, plus=-sign * rest, how="cos")
            case _:
                pass
    if ground:
        ground.sort()
        found["position"] = view("qpos", *(q for _, q, _ in ground))
        found["speed"] = view("qvel", *(v for *_, v in ground), how="length")
        if ground[0][0] == 0:
            found["velocity"] = view("qvel", ground[0][2])
    return found

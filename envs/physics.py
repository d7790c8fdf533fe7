"""Access to the MuJoCo physics of an environment, Gymnasium's or dm_control's."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import gymnasium

from envs.faults.boundary import attribute

log = logging.getLogger("joule.envs")


@dataclass(frozen=True)
class Physics:
    """The `mujoco.MjModel` and `mujoco.MjData` of one environment."""

    model: Any
    data: Any


def find_physics(env: gymnasium.Env[Any, Any]) -> Physics | None:
    """The MuJoCo model and data of `env` now, or None. dm_control may replace them at a reset."""
    control = dm_control_env(env)
    for part in parts(env) if control is None else [control.physics]:
        model, data = attribute(part, "model"), attribute(part, "data")
        # dm_control wraps both structs and keeps the bindings' own in `ptr`.
        model, data = getattr(model, "ptr", model), getattr(data, "ptr", data)
        if type(model).__name__ == "MjModel" and type(data).__name__ == "MjData":
            return Physics(model, data)
    return None


def motor_count(model: Any) -> int:
    """How many actuators a `mujoco.MjModel` has; each has one control or, in later releases of MuJoCo, several."""
    return int(getattr(model, "nactuator", model.nu))


def driven_bodies(model: Any) -> set[int]:
    """The bodies of a `mujoco.MjModel` that a motor acts on, by a joint, a tendon, a site or itself."""
    from mujoco import mjtTrn

    found: set[int] = set()
    for a in range(motor_count(model)):
        kind, first = int(model.actuator_trntype[a]), int(model.actuator_trnid[a, 0])
        if kind in (int(mjtTrn.mjTRN_JOINT), int(mjtTrn.mjTRN_JOINTINPARENT)):
            found.add(int(model.jnt_bodyid[first]))
        elif kind == int(mjtTrn.mjTRN_TENDON):
            found |= _bodies_of_tendon(model, first)
        elif kind == int(mjtTrn.mjTRN_SITE):
            found.add(int(model.site_bodyid[first]))
        elif kind == int(mjtTrn.mjTRN_BODY):
            found.add(first)
    return found


def _bodies_of_tendon(model: Any, tendon: int) -> set[int]:
    from mujoco import mjtWrap

    found, first = set(), int(model.tendon_adr[tendon])
    for w in range(first, first + int(model.tendon_num[tendon])):
        kind, thing = int(model.wrap_type[w]), int(model.wrap_objid[w])
        if kind == int(mjtWrap.mjWRAP_JOINT):
            found.add(int(model.jnt_bodyid[thing]))
        elif kind == int(mjtWrap.mjWRAP_SITE):
            found.add(int(model.site_bodyid[thing]))
    return found


def parts(env: gymnasium.Env[Any, Any]) -> list[Any]:
    """The Python objects of an environment: itself, environments in it, dm_control's env and task."""
    base = env.unwrapped
    found: list[Any] = [base]
    for value in vars(base).values():
        if isinstance(value, gymnasium.Env) and value is not base:
            found.append(value.unwrapped)
    control = dm_control_env(env)
    if control is not None:
        found += [control, control.task]
    return found


def dm_control_env(env: gymnasium.Env[Any, Any]) -> Any | None:
    """The dm_control environment inside shimmy's wrapper, or None."""
    base = env.unwrapped
    if type(base).__module__.startswith("shimmy.dm_control"):
        return vars(base)["_env"]
    return None

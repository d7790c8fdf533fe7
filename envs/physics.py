"""Access to the MuJoCo physics of an environment, Gymnasium's or dm_control's."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from typing import Any

import gymnasium

from envs.faults.boundary import attribute

DM_CONTROL = ("dm_control.rl.control", "dm_control.composer.environment")
"""Modules of dm_control's environments, of its suite and of its composer."""
log = logging.getLogger("joule.envs")


@dataclass(frozen=True)
class Physics:
    """The `mujoco.MjModel` and `mujoco.MjData` of one environment."""

    model: Any
    data: Any


def find_physics(env: gymnasium.Env[Any, Any]) -> Physics | None:
    """The MuJoCo model and data of `env` now, or None. dm_control may replace them at a reset."""
    control = dm_control_env(env)
    return _physics_of(_objects(env) if control is None else [control.physics])


def _physics_of(objects: list[Any]) -> Physics | None:
    """The physics that one of these objects has as `model` and `data`."""
    for part in objects:
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
    """The bodies of a `mujoco.MjModel` that a motor acts on, whatever transmits its force."""
    found: set[int] = set()
    for motor in range(motor_count(model)):
        joints, bodies = acted_on(model, motor)
        found |= bodies.union(int(model.jnt_bodyid[joint]) for joint in joints)
    return found


def acted_on(model: Any, motor: int) -> tuple[set[int], set[int]]:
    """The joints of a `mujoco.MjModel` that a motor acts on, and the bodies that it acts on otherwise.

    A slider-crank acts on the bodies of both of its sites, and what turns or moves a site relative to another one
    acts on that one's body too.
    """
    from mujoco import mjtTrn

    kind, ids = int(model.actuator_trntype[motor]), [int(i) for i in model.actuator_trnid[motor]]
    if kind == int(mjtTrn.mjTRN_TENDON):
        return _acted_on_by_tendon(model, ids[0])
    if kind == int(mjtTrn.mjTRN_BODY):
        return set(), {ids[0]}
    # Older releases of MuJoCo have no SO3, which turns a ball joint or a site.
    turns_ball = kind == int(getattr(mjtTrn, "mjTRN_SO3", -1)) and ids[1] < 0
    if turns_ball or kind in (int(mjtTrn.mjTRN_JOINT), int(mjtTrn.mjTRN_JOINTINPARENT)):
        return {ids[0]}, set()
    return set(), {int(model.site_bodyid[site]) for site in ids if site >= 0}


def _acted_on_by_tendon(model: Any, tendon: int) -> tuple[set[int], set[int]]:
    """As `acted_on`. A tendon pulls at its sites, and presses on the geoms that it wraps around."""
    from mujoco import mjtWrap

    joints, bodies, first = set(), set(), int(model.tendon_adr[tendon])
    for w in range(first, first + int(model.tendon_num[tendon])):
        kind, thing = int(model.wrap_type[w]), int(model.wrap_objid[w])
        if kind == int(mjtWrap.mjWRAP_JOINT):
            joints.add(thing)
        elif kind == int(mjtWrap.mjWRAP_SITE):
            bodies.add(int(model.site_bodyid[thing]))
        elif kind in (int(mjtWrap.mjWRAP_SPHERE), int(mjtWrap.mjWRAP_CYLINDER)):
            bodies.add(int(model.geom_bodyid[thing]))
    return joints, bodies


def parts(env: gymnasium.Env[Any, Any]) -> list[Any]:
    """The Python objects of an environment: itself, environments in it, dm_control's env and task."""
    control = dm_control_env(env)
    return _objects(env) + ([] if control is None else [control, control.task])


def _objects(env: gymnasium.Env[Any, Any]) -> list[Any]:
    """An environment, and environments in it."""
    base = env.unwrapped
    inner = [value for value in vars(base).values() if isinstance(value, gymnasium.Env) and value is not base]
    return [base, *(value.unwrapped for value in inner)]


def dm_control_env(env: gymnasium.Env[Any, Any]) -> Any | None:
    """The dm_control environment inside shimmy's wrapper, or in an attribute of an environment that has no other
    physics; or None."""
    base = env.unwrapped
    if is_of_shimmy(env):
        return vars(base)["_env"]
    kinds = tuple(
        kind
        for name in DM_CONTROL
        if (kind := getattr(sys.modules.get(name), "Environment", None)) is not None
    )
    found = (
        next((value for value in vars(base).values() if isinstance(value, kinds)), None) if kinds else None
    )
    return None if found is None or _physics_of(_objects(env)) is not None else found


def is_of_shimmy(env: gymnasium.Env[Any, Any]) -> bool:
    """Whether an environment is shimmy's wrapper of dm_control, which keeps no state of its own."""
    return type(env.unwrapped).__module__.startswith("shimmy.dm_control")

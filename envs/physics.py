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

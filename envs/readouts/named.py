"""Readouts: the named physical quantities of a body, read off the simulator to check a world model.

A body may define `readouts() -> dict[str, np.ndarray]` of its own; every other MuJoCo body gives its joint
positions and velocities, and an environment without physics gives what it shows.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from envs.faults.errors import EnvError
from envs.physics import find_physics


def named(env: gymnasium.Env[Any, Any], observation: np.ndarray) -> dict[str, np.ndarray]:
    """The readouts of `env` now, each a flat array; `observation` stands in where there is no physics."""
    own = getattr(env.unwrapped, "readouts", None)
    if callable(own):
        given = own()
        if not isinstance(given, dict) or not given:
            raise EnvError(f"readouts() of {env.unwrapped} must give a dict of arrays, it gave {given!r}")
        return {name: np.asarray(value, np.float64).reshape(-1) for name, value in given.items()}
    physics = find_physics(env)
    if physics is not None:
        return {"qpos": physics.data.qpos, "qvel": physics.data.qvel}
    return {"obs": observation}


def read(env: gymnasium.Env[Any, Any], observation: np.ndarray, sizes: dict[str, int]) -> np.ndarray:
    """The readouts as one float32 vector [sum of sizes], in the order of `sizes`."""
    values = named(env, observation)
    found = {name: value.size for name, value in values.items()}
    if found != sizes:
        raise EnvError(f"the readouts of {env.unwrapped} changed from {sizes} to {found}")
    with np.errstate(over="ignore"):  # what is too large for float32 is infinite, and the caller's to judge
        return np.concatenate([values[name] for name in sizes]).astype(np.float32)

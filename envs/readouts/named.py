"""Readouts: the named physical quantities of an environment, read from its simulator.

An environment may have a method `readouts() -> dict[str, np.ndarray]` of its own. Any other environment with
MuJoCo gives its joint positions and velocities, `qpos` and `qvel`. An environment without physics gives its
observation.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from envs.faults.boundary import call_step
from envs.faults.errors import EnvError
from envs.physics import find_physics


def has_own_readouts(env: gymnasium.Env[Any, Any]) -> bool:
    """Whether the environment has a method `readouts`."""
    return callable(getattr(env.unwrapped, "readouts", None))


def named_readouts(env: gymnasium.Env[Any, Any], observation: np.ndarray) -> dict[str, np.ndarray]:
    """The readouts of `env` now, each a flat array; `observation` [obs] is used where there is no physics.

    Raises:
        EnvError: when the environment's own method gives no dict of arrays.
    """
    base: Any = env.unwrapped
    if has_own_readouts(env):
        given = call_step(base.readouts)
        if not isinstance(given, dict) or not given:
            raise EnvError(f"readouts() of {base} must give a dict of arrays, it gave {given!r}")
        return {name: np.asarray(value, np.float64).reshape(-1) for name, value in given.items()}
    physics = find_physics(env)
    if physics is not None:
        return {"qpos": physics.data.qpos, "qvel": physics.data.qvel}
    return {"obs": observation}


def readout_vector(
    env: gymnasium.Env[Any, Any], observation: np.ndarray, sizes: dict[str, int]
) -> np.ndarray:
    """The readouts as one float32 vector [sum of sizes], in the order of `sizes`.

    A number beyond float32 becomes infinite.

    Raises:
        EnvError: when their names or sizes are not those of `sizes`.
    """
    values = named_readouts(env, observation)
    found = {name: value.size for name, value in values.items()}
    if found != sizes:
        raise EnvError(f"the readouts of {env.unwrapped} changed from {sizes} to {found}")
    with np.errstate(over="ignore"):
        return np.concatenate([values[name] for name in sizes]).astype(np.float32)

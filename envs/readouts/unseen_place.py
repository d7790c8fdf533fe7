"""Whether an environment observes where on the ground its robot stands."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.faults.errors import EnvFault
from envs.physics import find_physics
from envs.readouts.joints import JointReadouts
from envs.readouts.root import ground_places
from envs.safe_env import SafeEnv

MOVED = 1.0
"""How far the robot is moved, in m."""
SAME = 1e-4
"""By how much two numbers may differ that count as the same, as a share of the number or of 1."""


def seen_alike(env: SafeEnv, seed: int) -> np.ndarray | None:
    """Readouts [2, readouts] of a robot that stands in two places, where it observes the same in both.

    It is None where it observes something else, and for what goes nowhere.

    Args:
        env: an environment that is not used for anything else.
        seed: of the resets.
    """
    physics = find_physics(env)
    if physics is None or not physics.model.njnt:
        return None
    places = ground_places(physics.model, JointReadouts(physics.model, most=np.inf))
    if not places:
        return None
    try:
        (here, first), (there, second) = (_observed(env, seed, places, by) for by in (0.0, MOVED))
    except EnvFault:  # the run will meet it, and say where it is
        return None
    return None if differ(here, there) else np.stack((first, second))


def differ(one: Any, other: Any) -> bool:
    """Whether two observations, or arrays, differ by more than what MuJoCo computes otherwise in another place.

    Every number is compared for itself: beside a pressure of 100,000 a place is small.
    """
    if isinstance(one, dict):
        return any(differ(one[name], other[name]) for name in one)
    first, second = (np.asarray(part, np.float64) for part in (one, other))
    return bool((np.abs(second - first) > SAME * np.maximum(1.0, np.abs(first))).any())


def _observed(env: SafeEnv, seed: int, places: list[int], by: float) -> tuple[Any, np.ndarray]:
    """What is observed after a step of the robot that was moved, and the readouts then."""
    import mujoco

    env.reset(seed=seed)
    physics = find_physics(env)
    assert physics is not None, "it had physics before"
    physics.data.qpos[places] += by
    mujoco.mj_forward(physics.model, physics.data)
    observation = env.step(np.zeros(env.env_spec.action_size, np.float32))[0]
    return observation, env.readouts()

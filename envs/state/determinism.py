"""The determinism check: whether one seed gives the same episode twice."""

from __future__ import annotations

import numpy as np

from envs.faults.errors import EnvFault
from envs.safe_env import SafeEnv


def is_deterministic(env: SafeEnv, seed: int, decisions: int = 32) -> bool:
    """Plays the same random actions from the same seed twice, and compares every observation and reward.

    An environment that raises EnvFault counts as deterministic: the run will meet the fault and say where it
    is.

    Args:
        env: an environment that is not used for anything else.
        seed: seed of the resets and of the actions.
        decisions: length of the comparison.
    """
    try:
        return _episode(env, seed, decisions) == _episode(env, seed, decisions)
    except EnvFault:
        return True


def _episode(env: SafeEnv, seed: int, decisions: int) -> list[bytes]:
    """Observations and rewards of the first decisions of an episode, as bytes."""
    rng = np.random.default_rng(seed)
    observation, _ = env.reset(seed=seed)
    record = [observation.tobytes()]
    for _ in range(decisions):
        action = rng.uniform(-1.0, 1.0, env.env_spec.action_size).astype(np.float32)
        observation, reward, terminated, truncated, _ = env.step(action)
        record += [observation.tobytes(), np.float64(reward).tobytes()]
        if terminated or truncated:
            break
    return record

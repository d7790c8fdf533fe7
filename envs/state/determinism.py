"""Whether an environment, seeded alike twice, lives through the same episode twice."""

from __future__ import annotations

import numpy as np

from envs.faults.errors import EnvFault
from envs.safe_env import SafeEnv


def is_deterministic(body: SafeEnv, seed: int, decisions: int = 32) -> bool:
    """Plays the same random actions from the same seed twice, and compares every observation and reward.

    `body` is used up by it. A fault on the way counts as nothing: the run will meet it and say where.
    """
    try:
        return _life(body, seed, decisions) == _life(body, seed, decisions)
    except EnvFault:
        return True


def _life(body: SafeEnv, seed: int, decisions: int) -> list[bytes]:
    rng = np.random.default_rng(seed)
    obs, _ = body.reset(seed=seed)
    seen = [obs.tobytes()]
    for _ in range(decisions):
        action = rng.uniform(-1.0, 1.0, body.env_spec.action_size).astype(np.float32)
        obs, reward, terminated, truncated, _ = body.step(action)
        seen += [obs.tobytes(), np.float64(reward).tobytes()]
        if terminated or truncated:
            break
    return seen

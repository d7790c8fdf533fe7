"""What a restored environment returns, and whether it is what one returns that was never interrupted."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

import envs

ALL_KINDS = ("mass=0.5|1.5", "gravity=0.7..1.3@20", "dead=0@30", "latency=2", "noise=0.01", "dropout=0.2")
"""Perturbations of all kinds, some of which begin in mid-episode."""


def future(env: envs.SafeEnv, decisions: int, rng: np.random.Generator) -> list[Any]:
    """Everything that random actions return, over several episodes."""
    returned: list[Any] = []
    for _ in range(decisions):
        action = rng.uniform(-1, 1, env.env_spec.action_size).astype(np.float32)
        observation, reward, terminated, truncated, _ = env.step(action)
        returned += [
            observation.tobytes(),
            reward,
            terminated,
            truncated,
            env.readouts().tobytes(),
            env.drawn,
        ]
        if terminated or truncated:
            returned.append(env.reset()[0].tobytes())
    returned.append(env.action_space.sample().tobytes())
    return returned


def through_a_file(saved: dict[str, Any]) -> dict[str, Any]:
    """A snapshot as a checkpoint keeps it: arrays as they are, all else as JSON."""
    arrays = {name: value for name, value in saved.items() if isinstance(value, np.ndarray)}
    values = {name: value for name, value in saved.items() if name not in arrays}
    return {**arrays, **json.loads(json.dumps(values, allow_nan=False))}


def assert_same_future(
    name: str, moments: tuple[int, ...] = (0, 1, 37, 60), steps: int = 60, **made: Any
) -> None:
    """At several moments, a new environment and the same one must have the same future from a snapshot."""
    env = envs.make(name, **made)
    env.reset(seed=3)
    rng = np.random.default_rng(0)
    for moment in moments:
        future(env, moment, rng)
        assert env.exact
        saved, rng_state = through_a_file(env.snapshot()), rng.bit_generator.state
        readouts = env.readouts().tobytes()
        expected = future(env, steps, rng)
        counters = env.counters
        for restored in (envs.make(name, **made), env):
            rng.bit_generator.state = rng_state
            assert restored.restore(saved)
            assert restored.observation.tobytes() == saved["observation"].tobytes()
            assert restored.readouts().tobytes() == readouts
            assert future(restored, steps, rng) == expected
            assert restored.counters == counters
        assert env.restore(saved)
        rng.bit_generator.state = rng_state

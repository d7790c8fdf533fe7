"""The determinism check: whether one seed gives one episode, and what carries over from one to the next.

In the episode that it plays, numbers of the observation are found that float32 is too coarse for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from envs.faults.coarse_numbers import CoarseNumber, coarse_numbers
from envs.faults.errors import EnvFault
from envs.safe_env import SafeEnv
from envs.state.python_objects import Contents, changed


@dataclass(frozen=True)
class Determinism:
    """What a check of an environment found."""

    deterministic: bool = True
    """Whether the same seed and actions gave the same observations and rewards."""
    unsaved: tuple[str, ...] = ()
    """Attributes that carry over from one episode to the next and that no snapshot holds, each with its type."""
    coarse: tuple[CoarseNumber, ...] = ()
    """Numbers of the observation whose motion float32 is too coarse for."""


class _Episode(NamedTuple):
    """The first decisions of an episode."""

    record: list[bytes]
    """Observations and rewards."""
    begun: Contents
    """What its reset left."""
    exact: list[np.ndarray]
    """Observations [obs] as the environment gave them."""


def check_determinism(env: SafeEnv, seed: int, decisions: int = 32) -> Determinism:
    """Plays the same random actions from the same seed twice, and compares every observation and reward.

    An environment that raises EnvFault counts as deterministic: the run will meet the fault and say where it
    is.

    Args:
        env: an environment that is not used for anything else.
        seed: seed of the resets and of the actions.
        decisions: length of the comparison.
    """
    try:
        first, second = (_episode(env, seed, decisions) for _ in range(2))
        return Determinism(
            first.record == second.record,
            tuple(changed(first.begun, second.begun)),
            coarse_numbers(first.exact),
        )
    except EnvFault:
        return Determinism()


def _episode(env: SafeEnv, seed: int, decisions: int) -> _Episode:
    rng = np.random.default_rng(seed)
    observation, _ = env.reset(seed=seed)
    begun, exact = env.unsaved(), [env.exact_observation]
    record = _bytes(observation)
    for _ in range(decisions):
        action = rng.uniform(-1.0, 1.0, env.env_spec.action_size).astype(np.float32)
        observation, reward, terminated, truncated, _ = env.step(action)
        record += [*_bytes(observation), np.float64(reward).tobytes()]
        exact.append(env.exact_observation)
        if terminated or truncated:
            break
    return _Episode(record, begun, exact)


def _bytes(observation: Any) -> list[bytes]:
    """An observation, or its parts, as bytes."""
    parts = observation.values() if isinstance(observation, Mapping) else [observation]
    return [part.tobytes() for part in parts]

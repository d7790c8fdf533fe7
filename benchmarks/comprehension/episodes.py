"""Episodes that are played side by side, for benchmarks with a measure of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from agent.seeds import FIRST_SEED

Decide = Callable[[np.ndarray, Any, np.ndarray], tuple[np.ndarray, Any]]
"""(observations [envs, obs], state, starts [envs]) -> (actions [envs, act], state), as `predict`."""


class Step(NamedTuple):
    """One step of one environment."""

    env: int
    """Number of the environment."""
    action: np.ndarray
    reward: float


def play(
    decide: Decide, envs: Sequence[Any], decisions: int, seeds: Sequence[int] | None = None
) -> Iterator[Step]:
    """Plays one episode in each environment, and yields every step right after it.

    Args:
        decide: chooses the actions of all environments.
        envs: the environments.
        decisions: an episode ends after so many, if not before; when all have ended, nothing is decided any more.
        seeds: one for each environment; default those of an evaluation.
    """
    if seeds is None:
        seeds = range(FIRST_SEED, FIRST_SEED + len(envs))
    obs = np.stack([env.reset(seed=seed)[0] for env, seed in zip(envs, seeds, strict=True)])
    state, running = None, np.ones(len(envs), bool)
    for step in range(decisions):
        if not running.any():
            return
        actions, state = decide(obs, state, np.full(len(envs), step == 0))
        for k in map(int, np.flatnonzero(running)):
            obs[k], reward, terminated, truncated, _ = envs[k].step(actions[k])
            running[k] = not (terminated or truncated)
            yield Step(k, actions[k], float(reward))

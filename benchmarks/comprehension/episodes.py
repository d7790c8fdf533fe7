"""One episode in each of several bodies side by side, for programs that judge what is lived by a measure of
their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from agent.seeds import FIRST_SEED

Decide = Callable[[np.ndarray, Any, np.ndarray], tuple[np.ndarray, Any]]
"""(observations [bodies, obs], state, starts [bodies]) -> (actions [bodies, act], state), as `predict`."""


def played(
    decide: Decide, bodies: list[Any], decisions: int, seeds: Sequence[int] | None = None
) -> Iterator[tuple[int, np.ndarray, float]]:
    """(which body, its action, its reward) of every step that is taken, right after it was taken.

    Body k begins with the k-th of `seeds`, or with evaluation's k-th; it rests when its episode is over, or
    after `decisions`.
    """
    if seeds is None:
        seeds = range(FIRST_SEED, FIRST_SEED + len(bodies))
    obs = np.stack([body.reset(seed=seed)[0] for body, seed in zip(bodies, seeds, strict=True)])
    state, alive = None, np.ones(len(bodies), bool)
    for step in range(decisions):
        actions, state = decide(obs, state, np.full(len(bodies), step == 0))
        for k in np.flatnonzero(alive):
            obs[k], reward, terminated, truncated, _ = bodies[k].step(actions[k])
            alive[k] = not (terminated or truncated)
            yield int(k), actions[k], float(reward)

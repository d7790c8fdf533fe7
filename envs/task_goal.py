"""The state in which the task of an episode is done, where an environment can say: what is observed there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from envs.faults.boundary import attribute
from envs.wrappers import Flat

Seen = TypeVar("Seen")


def observed_at_goal(base: Any, flat: Flat, look: Callable[[np.ndarray], Seen]) -> Seen | None:
    """What `look` sees in the state in which the task is done; afterwards the environment is as before.

    Args:
        base: the environment. One that can say has a context manager `at_goal()`, as `GoalEnv` in `envs.bodies`.
        flat: makes its observations flat.
        look: is called in that state, with the flat observation [obs].

    Returns:
        What it returned; None for an environment that cannot say.
    """
    if not callable(attribute(base, "at_goal")):
        return None
    frame, before = flat.frame, flat.observation
    try:
        with base.at_goal() as observation:
            return look(flat.observe(observation))
    finally:
        flat.frame, flat.observation = frame, before


def within_of(base: Any) -> dict[str, float]:
    """Readout -> how far from its value at the goal is near enough; empty for an environment that does not say."""
    return dict(attribute(base, "goal_within") or {})

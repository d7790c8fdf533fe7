"""The state in which the task of an episode is done, where an environment can say: what is observed there."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from envs.faults.boundary import attribute
from envs.faults.checks import FaultChecks
from envs.faults.errors import EnvError, Misbehaviour
from envs.physics import find_physics
from envs.wrappers import Flat

Seen = TypeVar("Seen")

LARGEST = 10_000
"""Numbers in an attribute that is compared: a larger array, such as a picture, would take time at each reset."""


def observed_at_goal(
    base: Any, flat: Flat, checks: FaultChecks, look: Callable[[np.ndarray], Seen]
) -> Seen | None:
    """What `look` sees in the state in which the task is done; afterwards the environment is as before.

    Args:
        base: the environment. One that can say has a context manager `at_goal()`, as `GoalEnv` in `envs.bodies`.
        flat: makes its observations flat.
        checks: have the last observation, which is the readout of an environment without physics.
        look: is called in that state, with the flat observation [obs].

    Returns:
        What it returned; None for an environment that cannot say.

    Raises:
        Misbehaviour: where it gives no observation, and where the physics, or a number or an array of the
            environment, is not as before afterwards: the episode would go on at its goal, or towards another one.
    """
    if not callable(attribute(base, "at_goal")):
        return None
    frame, before, last = flat.frame, flat.observation, checks.observation
    state, attributes = _state(base), _attributes(base)
    try:
        shown = base.at_goal()
        if not hasattr(shown, "__enter__"):
            found = type(shown).__name__
            raise Misbehaviour(f"must be a context manager, as @contextmanager makes one, and gave {found}")
        seen = None
        with shown as observation:
            if observation is not None:
                checks.observation = flat.observe(observation)
                seen = look(checks.observation)
        if observation is None:
            raise Misbehaviour("must give the observation at the goal; yield it")
    finally:
        flat.frame, flat.observation, checks.observation = frame, before, last
    if not np.array_equal(state, _state(base), equal_nan=True):
        raise Misbehaviour("leaves other qpos and qvel than it found; set them back after its yield")
    after = _attributes(base)
    for name in attributes.keys() & after.keys():
        if not np.array_equal(attributes[name], after[name], equal_nan=True):
            raise Misbehaviour(f"leaves another {name} than it found; set it back after its yield")
    return seen


def _state(base: Any) -> np.ndarray:
    """Positions and velocities of MuJoCo's physics; empty without."""
    physics = find_physics(base)
    return np.zeros(0) if physics is None else np.concatenate([physics.data.qpos, physics.data.qvel])


def _attributes(base: Any) -> dict[str, np.ndarray]:
    """Copies of the attributes that are numbers, or arrays of at most LARGEST of them, by name."""
    found = {}
    for name, value in getattr(base, "__dict__", {}).items():
        if isinstance(value, (bool, int, float, np.generic, np.ndarray)):
            array = np.array(value)
            if array.dtype.kind in "biuf" and array.size <= LARGEST:
                found[name] = array
    return found


def within_of(base: Any, env: str) -> dict[str, float]:
    """Readout -> how far from its value at the goal is near enough; empty for an environment that does not say.

    Args:
        base: the environment.
        env: its id.

    Raises:
        EnvError: for what is no mapping of names to finite numbers above 0.
    """
    within = attribute(base, "goal_within")
    if within is None:
        return {}
    if not isinstance(within, Mapping):
        raise EnvError(
            f"goal_within of {env} is {within!r:.80}; give distances by readout, as in {{'ball': 0.1}}"
        )
    for name, distance in within.items():
        known = isinstance(distance, numbers.Real) and not isinstance(distance, bool)
        if not known or not 0.0 < distance < np.inf:
            raise EnvError(
                f"goal_within of {env} has the distance {distance!r:.80} of {name}; give a number above 0"
            )
    return {name: float(distance) for name, distance in within.items()}

"""Random actions in an environment of its own, to find out what its observations show."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, TypeVar

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.conventions import observing_wrappers
from envs.faults.boundary import Boundary, call
from envs.physics import Physics, find_physics
from envs.spaces import flattener

NOT_FOR_TRYING = ("render_mode", "width", "height", "render_kwargs")
"""Keyword arguments that an environment for trying does without."""
Read = TypeVar("Read")


def tried(
    env: gymnasium.Env[Any, Any], size: int, read: Callable[[Physics], Read], episodes: int, steps: int
) -> tuple[np.ndarray, list[Read]] | None:
    """Observations [steps, size] and what `read` finds in the physics of the same steps.

    Another environment like `env` is made for it, and closed.

    Args:
        env: the environment; it is not touched.
        size: of its flat observation.
        read: reads the physics of one step.
        episodes: number of episodes, with fixed seeds.
        steps: observations of an episode.

    Returns:
        None where there is no physics, no registered environment, or another observation, such as that of a wrapper
        that the registered environment does not have.
    """
    spec = env.unwrapped.spec
    if spec is None or find_physics(env) is None or spaces.flatdim(env.unwrapped.observation_space) != size:
        return None
    kwargs = {name: value for name, value in spec.kwargs.items() if name not in NOT_FOR_TRYING}
    # The environment may draw from the generators of the process.
    generators = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        other = Boundary(
            call(gymnasium.make, spec.id, max_episode_steps=-1, disable_env_checker=True, **kwargs)
        )
        try:
            if observing_wrappers(other) != observing_wrappers(env):
                return None
            return _episodes(other, read, episodes, steps)
        finally:
            other.close()
    finally:
        random.setstate(generators[0])
        np.random.set_state(generators[1])  # noqa: NPY002


def _episodes(
    env: gymnasium.Env[Any, Any], read: Callable[[Physics], Read], episodes: int, steps: int
) -> tuple[np.ndarray, list[Read]]:
    flatten = flattener(env.observation_space)
    observations, found = [], []
    env.action_space.seed(0)
    for episode in range(episodes):
        observation, _ = env.reset(seed=episode)
        for _ in range(steps):
            observations.append(flatten(observation))
            physics = find_physics(env)
            assert physics is not None
            found.append(read(physics))
            observation, _, terminated, truncated, _ = env.step(env.action_space.sample())
            if terminated or truncated:
                break
    return np.stack(observations), found

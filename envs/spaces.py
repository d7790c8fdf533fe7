"""Observation and action spaces: which ones are accepted, and how an observation becomes one flat vector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces

from envs.faults.errors import EnvError


def flat_observation_space(space: spaces.Space[Any]) -> spaces.Box:
    """The flat float32 Box of an observation space.

    Raises:
        EnvError: for a space without a fixed size, or without any number, also in a Dict or Tuple within it.
    """
    if not space.is_np_flattenable:
        raise EnvError(f"the observation space {space} has no fixed size and cannot be flattened")
    if spaces.flatdim(space) == 0:
        raise EnvError(f"the observation space {space} holds no number")
    if _has_empty(space):
        raise EnvError(f"the observation space {space} has a Dict or Tuple of nothing; leave it out")
    flat = spaces.flatten_space(space)
    if not isinstance(flat, spaces.Box):
        raise EnvError(f"the observation space {space} cannot be flattened to numbers")
    with np.errstate(over="ignore"):
        return spaces.Box(flat.low.astype(np.float32), flat.high.astype(np.float32), dtype=np.float32)


def _has_empty(space: spaces.Space[Any]) -> bool:
    """Whether a space is a Dict or a Tuple without parts, or has one at any depth; Gymnasium cannot flatten it."""
    if not isinstance(space, spaces.Dict | spaces.Tuple):
        return False
    parts = space.spaces.values() if isinstance(space, spaces.Dict) else space.spaces
    return not parts or any(_has_empty(part) for part in parts)


def texts_in(space: spaces.Space[Any]) -> list[str]:
    """The names of the texts in an observation space, such as `task.mission`; that of a text itself is empty."""
    return [name for name, part in _named_leaves(space) if isinstance(part, spaces.Text)]


def names_of_parts(space: spaces.Space[Any]) -> list[str]:
    """The names of the parts of a Dict or Tuple observation, in the order in which they are joined."""
    return [name for name, _ in _named_leaves(space) if name]


def _named_leaves(space: spaces.Space[Any], path: str = "") -> list[tuple[str, spaces.Space[Any]]]:
    """The parts of a space that have no parts, each with its name, such as `imu.gyro`; a space itself has none."""
    named: list[tuple[Any, spaces.Space[Any]]]
    if isinstance(space, spaces.Dict):
        named = list(space.spaces.items())
    elif isinstance(space, spaces.Tuple):
        named = list(enumerate(space.spaces))
    else:
        return [(path, space)]
    return [
        leaf for key, inner in named for leaf in _named_leaves(inner, f"{path}.{key}" if path else str(key))
    ]


def flattener(space: spaces.Space[Any]) -> Callable[[Any], np.ndarray]:
    """A function that gives an observation of `space` as one vector, in memory of its own.

    The order is that of `gymnasium.spaces.flatten`: Dict and Tuple observations end to end (Gymnasium sorts
    the keys of a Dict), Discrete ones as one-hot. The function raises ValueError for an observation that does
    not fit.
    """
    if isinstance(space, spaces.Box):
        return _box_flattener(space)
    if isinstance(space, spaces.Dict):
        named = [(key, flattener(inner)) for key, inner in space.spaces.items()]

        def flatten_dict(observation: Any) -> np.ndarray:
            if not isinstance(observation, dict) or observation.keys() != space.spaces.keys():
                raise ValueError(
                    f"the observation is not a dict of {[key for key, _ in named]}{_unlike(observation, space)}"
                )
            flat = []
            for key, flatten in named:
                try:
                    flat.append(flatten(observation[key]))
                except ValueError as error:
                    raise ValueError(f"in the part {key!r}, {error}") from None
            return np.concatenate(flat)

        return flatten_dict
    if isinstance(space, spaces.Tuple):
        inner_flatteners = [flattener(inner) for inner in space.spaces]

        def flatten_tuple(observation: Any) -> np.ndarray:
            if not isinstance(observation, tuple | list) or len(observation) != len(inner_flatteners):
                raise ValueError(f"the observation is not a tuple of {len(inner_flatteners)}")
            return np.concatenate([f(part) for f, part in zip(inner_flatteners, observation, strict=True)])

        return flatten_tuple

    def flatten_other(observation: Any) -> np.ndarray:
        if not space.contains(observation):
            raise ValueError(f"the observation {observation!r} is not in {space}")
        return np.array(spaces.flatten(space, observation), dtype=np.float64).ravel()

    return flatten_other


def _unlike(observation: Any, space: spaces.Dict) -> str:
    """Which parts of a Dict observation its space lacks, and which it has beside them, to end a message."""
    if not isinstance(observation, dict):
        return f", but {type(observation).__name__}"
    missing, other = space.spaces.keys() - observation.keys(), observation.keys() - space.spaces.keys()
    named = [
        f"{word} {', '.join(sorted(map(repr, keys)))}"
        for word, keys in (("without", missing), ("with", other))
        if keys
    ]
    return f": it comes {' and '.join(named)}"


def _box_flattener(space: spaces.Box) -> Callable[[Any], np.ndarray]:
    """For a Box: copies, checks the shape, and widens every dtype but float32 and float64 to float64."""
    shape = space.shape

    def flatten(observation: Any) -> np.ndarray:
        array = np.array(np.asarray(observation))  # a tensor warns where it is copied at once
        if array.shape != shape:
            raise ValueError(f"the observation has shape {array.shape}, the space {shape}")
        if array.dtype != np.float32 and array.dtype != np.float64:
            if array.dtype.kind not in "biuf":
                raise ValueError(f"the observation holds {array.dtype}, not numbers")
            array = array.astype(np.float64)
        return array.reshape(-1)

    return flatten


FEW_ACTIONS = (
    "; a wrapper may offer a number for each action and take the largest (docs/guide/own-environment.md)"
)
WIDEST = 1e12
"""Range of an action number above which its bounds stand for none, such as those of the largest float."""


def checked_action_space(space: spaces.Space[Any]) -> spaces.Box:
    """The action Box.

    Raises:
        EnvError: for a space that is not a Box of floats with finite, ordered bounds, or with a range of more
            than WIDEST.
    """
    if not isinstance(space, spaces.Box) or space.dtype is None or space.dtype.kind != "f":
        raise EnvError(
            f"the action space {space} is not a Box of floats: Joule acts in continuous spaces only"
            + (FEW_ACTIONS if isinstance(space, spaces.Discrete | spaces.MultiDiscrete) else "")
        )
    if np.isnan(space.low).any() or np.isnan(space.high).any():
        raise EnvError(f"the action space {space} has NaN bounds: give finite ones")
    with np.errstate(over="ignore", invalid="ignore"):
        width = space.high.astype(np.float64) - space.low.astype(np.float64)
    if not (width <= WIDEST).all():
        raise EnvError(
            f"the action space {space} is unbounded, or as good as that: give it a low and a high at most "
            f"{WIDEST:g} apart, in the environment or in a wrapper that sets action_space"
        )
    if (width < 0.0).any():
        raise EnvError(f"the action space {space} has a low bound above its high one")
    return space

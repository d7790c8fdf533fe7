"""Environments whose own observation is a picture, or has one: which ones are accepted, and how it is read."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

from envs.faults.errors import EnvError
from joule_errors import Advice

SMALLEST, LARGEST = 16, 512
"""Pixels of a side."""
CHANNELS = (1, 3)
"""Grey, and red, green and blue."""
NOTHING = spaces.Box(-1.0, 1.0, (0,), np.float32)
"""The space of what is beside a picture that is the whole observation."""
TAKEN = (
    f"a picture is uint8 [height, width, channels] or [channels, height, width], of {SMALLEST} to {LARGEST} pixels "
    "a side, grey (1) or RGB (3)"
)


@dataclass(frozen=True)
class OwnPicture:
    """The picture in the observations of an environment."""

    shape: tuple[int, int, int]
    """Channels, height, width."""
    channels_first: bool
    """Whether the environment itself gives it so; else the channels are last."""
    key: str | None
    """Its name in a Dict; None where it is the whole observation."""
    rest: spaces.Space[Any]
    """The space of an observation without it; `NOTHING` where nothing else is there."""

    def split(self, observation: Any) -> tuple[np.ndarray, Any]:
        """The picture, uint8 [channels, height, width] in memory of its own, and the rest of the observation.

        Raises:
            ValueError: for an observation that does not fit.
        """
        picture: Any = observation
        rest: Any = np.zeros(0, np.float32)
        if self.key is not None:
            if not isinstance(observation, dict) or self.key not in observation:
                raise ValueError(f"the observation is not a dict with {self.key!r}")
            picture = observation[self.key]
            rest = {name: value for name, value in observation.items() if name != self.key}
        array = np.asarray(picture)
        channels, height, width = self.shape
        expected = self.shape if self.channels_first else (height, width, channels)
        if array.shape != expected or array.dtype != np.uint8:
            found = f"{array.dtype} {list(array.shape)}"
            raise ValueError(f"the picture is {found}, the space uint8 {list(expected)}")
        return np.array(array if self.channels_first else array.transpose(2, 0, 1), order="C"), rest


def own_picture(space: spaces.Space[Any]) -> OwnPicture | None:
    """The picture in an observation space: the space itself, or one entry of a Dict; None without one.

    Raises:
        EnvError: for a picture of another type or shape, for several, and for one inside of anything but a Dict.
    """
    if isinstance(space, spaces.Box):
        _advise_third_axis(space, None)
        return _picture(space, None, NOTHING) if _looks_like_picture(space) else None
    if not isinstance(space, spaces.Dict):
        _refuse_inside(space, "")
        return None
    keys = [key for key, inner in space.spaces.items() if _looks_like_picture(inner)]
    rest = {key: inner for key, inner in space.spaces.items() if key not in keys}
    for key, inner in rest.items():
        _advise_third_axis(inner, str(key))
        _refuse_inside(inner, str(key))
    if len(keys) > 1:
        raise EnvError(f"the observation has the pictures {', '.join(map(repr, keys))}, and one is taken")
    if not keys:
        return None
    picture: Any = space.spaces[keys[0]]
    return _picture(picture, keys[0], spaces.Dict(rest) if rest else NOTHING)


def _looks_like_picture(space: spaces.Space[Any]) -> bool:
    """Whether a space is meant for a picture, be it one that is accepted or not.

    That is uint8 with three axes or more (a stack of frames has four), and numbers of any type with the shape of a
    picture.
    """
    if not isinstance(space, spaces.Box) or len(space.shape) < 3:
        return False
    return space.dtype == np.uint8 or _channels_first(space.shape) is not None


def _channels_first(shape: tuple[int, ...]) -> bool | None:
    """Where the channels of a shape are; None for a shape that is none of a picture."""
    for first, channels, sides in ((True, shape[0], shape[1:]), (False, shape[-1], shape[:-1])):
        if len(shape) == 3 and channels in CHANNELS and all(SMALLEST <= side <= LARGEST for side in sides):
            return first
    return None


def _picture(space: spaces.Box, key: str | None, rest: spaces.Space[Any]) -> OwnPicture:
    first = _channels_first(space.shape)
    if first is None or space.dtype != np.uint8:
        raise EnvError(
            f"{_named(key)} is a picture of {space.dtype} {list(space.shape)}; {TAKEN}, and --obs-frames stacks it"
        )
    a, b, c = space.shape
    return OwnPicture((a, b, c) if first else (c, a, b), first, key, rest)


def _advise_third_axis(space: spaces.Space[Any], key: str | None) -> None:
    """Warns of what is probably a grey picture, and is read as numbers."""
    if not isinstance(space, spaces.Box) or space.dtype != np.uint8 or len(space.shape) != 2:
        return
    if all(SMALLEST <= side <= LARGEST for side in space.shape):
        high, wide = space.shape
        said = (
            f"{_named(key)} is uint8 [{high}, {wide}], which is read as {high * wide:,} numbers; a grey picture is "
            f"[{high}, {wide}, 1]"
        )
        warnings.warn(said, Advice, stacklevel=2)


def _named(key: str | None) -> str:
    """How messages name a part of an observation."""
    return "the observation" if key is None else f"the observation {key!r}"


def _refuse_inside(space: spaces.Space[Any], name: str) -> None:
    """EnvError for a picture at any depth of a Dict or Tuple."""
    inner: Mapping[str, spaces.Space[Any]] = {}
    if isinstance(space, spaces.Dict):
        inner = {str(key): part for key, part in space.spaces.items()}
    elif isinstance(space, spaces.Tuple):
        inner = {str(index): part for index, part in enumerate(space.spaces)}
    for key, part in inner.items():
        where = f"{name}/{key}" if name else key
        if _looks_like_picture(part):
            raise EnvError(
                f"the observation {where!r} is a picture inside of another space; a picture is the observation "
                "itself, or one entry of a Dict with flat vectors beside it"
            )
        _refuse_inside(part, where)

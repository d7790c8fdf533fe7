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
NO_NUMBERS = np.zeros(0, np.float32)
"""What is beside such a picture."""
TAKEN = (
    f"a picture is uint8 [height, width, channels] or [channels, height, width], of {SMALLEST} to {LARGEST} pixels "
    "a side, grey (1) or RGB (3)"
)
Path = tuple[Any, ...]
"""The keys that lead to a part of an observation, from the outermost `Dict` on; empty for the whole."""


@dataclass(frozen=True)
class OwnPicture:
    """The picture in the observations of an environment."""

    shape: tuple[int, int, int]
    """Channels, height, width."""
    channels_first: bool
    """Whether the environment itself gives it so; else the channels are last."""
    path: Path
    """Where it is in an observation."""
    others: tuple[Path, ...]
    """Where other pictures are, which are not observed."""
    rest: spaces.Space[Any]
    """The space of an observation without pictures; `NOTHING` where nothing else is there."""

    def split(self, observation: Any) -> tuple[np.ndarray, Any]:
        """The picture, uint8 [channels, height, width] in memory of its own, and the rest of the observation.

        Raises:
            ValueError: for an observation that does not fit.
        """
        picture: Any = observation
        for key in self.path:
            if not isinstance(picture, dict) or key not in picture:
                raise ValueError(f"the observation is not a dict with {_joined(self.path)!r}")
            picture = picture[key]
        array = np.asarray(picture)
        channels, height, width = self.shape
        expected = self.shape if self.channels_first else (height, width, channels)
        if array.shape != expected or array.dtype != np.uint8:
            found = f"{array.dtype} {list(array.shape)}"
            raise ValueError(f"the picture is {found}, the space uint8 {list(expected)}")
        array = np.array(array if self.channels_first else array.transpose(2, 0, 1), order="C")
        return array, NO_NUMBERS if self.rest is NOTHING else less(observation, (self.path, *self.others))


def own_picture(space: spaces.Space[Any]) -> OwnPicture | None:
    """The picture in an observation space: the space itself, or an entry at any depth of a Dict; None without one.

    Raises:
        EnvError: for a picture of another type or shape, for several, and for one inside of a Tuple.
    """
    found = _pictures(space)
    _advise_third_axis(space, ())
    if len(found) > 1:
        names = ", ".join(repr(_joined(path)) for path in found)
        raise EnvError(
            f"the observation has the pictures {names}; choose one with --obs pixels, or --obs pixels+state, and "
            "--obs-camera NAME"
        )
    for path, picture in found.items():
        if max(picture.shape) > LARGEST and _channels_first(picture.shape) is not None:
            name = f" --obs-camera {name_of_picture(path)}" if path else ""
            raise EnvError(
                f"{_named(path)} is a picture of {list(picture.shape)}, and at most {LARGEST} pixels a side are "
                f"observed as they are; --obs pixels{name} shows it smaller"
            )
        return _picture(picture, path, (), without_pictures(space))
    return None


def picture_named(space: spaces.Space[Any], name: str) -> OwnPicture | None:
    """One of the pictures in an observation space, of any size; None where none has this name.

    Args:
        space: the space.
        name: its keys joined by `/`, which may also begin with `/`; or the last of them where no other picture ends
            so.

    Raises:
        EnvError: for a picture of another type or shape, for a name that several have, and for a picture inside of
            a Tuple.
    """
    found, whole = _pictures(space), name.removeprefix("/")
    paths = [path for path in found if path and _joined(path) == whole]
    if not paths and whole == name:
        paths = [path for path in found if path and str(path[-1]) == name]
    if len(paths) > 1:
        ends = " and ".join(repr(name_of_picture(path)) for path in paths)
        raise EnvError(f"obs_camera: {name!r} is the end of {ends}; give one of these")
    return picture_at(space, paths[0]) if paths else None


def picture_at(space: spaces.Space[Any], path: Path) -> OwnPicture:
    """The picture at a path in an observation space, of any size. EnvError for another type or shape."""
    found = _pictures(space)
    others = tuple(other for other in found if other != path)
    return _picture(found[path], path, others, without_pictures(space))


def own_picture_unseen(space: spaces.Space[Any]) -> OwnPicture | None:
    """The first picture of an observation space that is accepted, of any size, where a camera is observed instead.

    It is no part of what the agent sees. Where nothing else is in an observation, its brightness is a readout.

    Raises:
        EnvError: where no picture is accepted and nothing else is there, and for a picture inside of a Tuple.
    """
    refused: EnvError | None = None
    for path in _pictures(space):
        try:
            return picture_at(space, path)
        except EnvError as error:
            refused = refused or error
    if refused is not None and without_pictures(space) is NOTHING:
        raise refused
    return None


def without_pictures(space: spaces.Space[Any]) -> spaces.Space[Any]:
    """An observation space without its pictures; `NOTHING` where nothing else is there.

    Raises:
        EnvError: for a picture inside of a Tuple.
    """
    paths = paths_of_pictures(space)
    if not paths:
        return space
    rest = None if () in paths else _space_less(space, paths)
    return NOTHING if rest is None else rest


def paths_of_pictures(space: spaces.Space[Any]) -> tuple[Path, ...]:
    """Where in an observation all pictures are, accepted or not. EnvError for one inside of a Tuple."""
    return tuple(_pictures(space))


def name_of_picture(path: Path) -> str:
    """The name of the picture at a path, as `picture_named` takes it for no other one."""
    return f"/{_joined(path)}"


def less(observation: Any, paths: tuple[Path, ...]) -> Any:
    """An observation without what is at these paths, and without the dicts that had nothing else."""
    if not isinstance(observation, dict):
        return observation
    kept = {}
    for key, value in observation.items():
        inside = tuple(path[1:] for path in paths if path[0] == key)
        left = {} if () in inside else less(value, inside) if inside else value
        if not (inside and isinstance(left, dict) and not left):
            kept[key] = left
    return kept


def _pictures(space: spaces.Space[Any]) -> dict[Path, spaces.Box]:
    """All that is meant for a picture, at any depth of a Dict too. EnvError as `paths_of_pictures`."""
    if isinstance(space, spaces.Box):
        return {(): space} if _looks_like_picture(space) else {}
    found: dict[Path, spaces.Box] = {}
    _collect(space, (), found)
    return found


def _collect(space: spaces.Space[Any], path: Path, found: dict[Path, spaces.Box]) -> None:
    """Adds the pictures at any depth of a Dict. EnvError for one at any depth of a Tuple."""
    if isinstance(space, spaces.Tuple):
        _refuse_inside(space, path)
    if not isinstance(space, spaces.Dict):
        return
    for key, part in space.spaces.items():
        where = (*path, key)
        if _looks_like_picture(part):
            assert isinstance(part, spaces.Box)
            found[where] = part
        else:
            _collect(part, where, found)


def _space_less(space: spaces.Space[Any], paths: tuple[Path, ...]) -> spaces.Space[Any] | None:
    """A Dict without what is at these paths, and without the Dicts that had nothing else; None for one of these."""
    assert isinstance(space, spaces.Dict)
    kept: dict[str, spaces.Space[Any]] = {}
    for key, part in space.spaces.items():
        inside = tuple(path[1:] for path in paths if path[0] == key)
        if () in inside:
            continue
        if (left := _space_less(part, inside) if inside else part) is not None:
            kept[key] = left
    return spaces.Dict(kept) if kept else None


def _looks_like_picture(space: spaces.Space[Any]) -> bool:
    """Whether a space is meant for a picture, be it one that is accepted or not.

    That is uint8 with three axes or more (a stack of frames has four), and numbers of any type with the shape of a
    picture.
    """
    if not isinstance(space, spaces.Box) or len(space.shape) < 3:
        return False
    small = max(space.shape) <= LARGEST
    return space.dtype == np.uint8 or (small and _channels_first(space.shape) is not None)


def _channels_first(shape: tuple[int, ...]) -> bool | None:
    """Where the channels of a shape are; None for a shape that is none of a picture."""
    for first, channels, sides in ((True, shape[0], shape[1:]), (False, shape[-1], shape[:-1])):
        if len(shape) == 3 and channels in CHANNELS and min(sides) >= SMALLEST:
            return first
    return None


def _picture(space: spaces.Box, path: Path, others: tuple[Path, ...], rest: spaces.Space[Any]) -> OwnPicture:
    """The picture at a path. EnvError for one that is not accepted."""
    first = _channels_first(space.shape)
    if first is None or space.dtype != np.uint8:
        found = f"{space.dtype} {list(space.shape)}"
        raise EnvError(f"{_named(path)} is a picture of {found}; {TAKEN}, and --obs-frames stacks it")
    a, b, c = space.shape
    return OwnPicture((a, b, c) if first else (c, a, b), first, path, others, rest)


def _advise_third_axis(space: spaces.Space[Any], path: Path) -> None:
    """Warns of what is probably a grey picture and is read as numbers, at any depth of a Dict too."""
    if isinstance(space, spaces.Dict):
        for key, part in space.spaces.items():
            _advise_third_axis(part, (*path, key))
    if not isinstance(space, spaces.Box) or space.dtype != np.uint8 or len(space.shape) != 2:
        return
    if all(SMALLEST <= side <= LARGEST for side in space.shape):
        high, wide = space.shape
        said = (
            f"{_named(path)} is uint8 [{high}, {wide}], which is read as {high * wide:,} numbers; a grey picture "
            f"is [{high}, {wide}, 1]"
        )
        warnings.warn(said, Advice, stacklevel=2)


def _joined(path: Path) -> str:
    return "/".join(map(str, path))


def _named(path: Path) -> str:
    """How messages name a part of an observation."""
    return f"the observation {_joined(path)!r}" if path else "the observation"


def _refuse_inside(space: spaces.Space[Any], path: Path) -> None:
    """EnvError for a picture at any depth of a Tuple."""
    inner: Mapping[str, spaces.Space[Any]] = {}
    if isinstance(space, spaces.Dict):
        inner = dict(space.spaces)
    elif isinstance(space, spaces.Tuple):
        inner = {str(index): part for index, part in enumerate(space.spaces)}
    for key, part in inner.items():
        where = (*path, key)
        if _looks_like_picture(part):
            raise EnvError(
                f"{_named(where)} is a picture inside of a Tuple; a picture is the observation itself, or an entry "
                "of a Dict with flat vectors beside it"
            )
        _refuse_inside(part, where)

"""Recordings of stable-worldmodel (https://github.com/galilai-group/stable-worldmodel), read from this machine.

Its `World.collect` writes a row for each step of an environment: what was observed after the step, the reward of
that step, and the action that was taken next. So a recording of T rows has T - 1 transitions, and the action of the
last row belongs to none. What was observed at the reset is not recorded.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from agent.errors import ConfigError
from agent.interface import Arrays
from envs.faults.boundary import call
from envs.own_picture import NOTHING, without_pictures
from envs.rendering.pixels import PIXELS
from envs.rendering.scaled import scaled
from envs.spaces import flattener
from joule.datasets.checked_episode import EpisodeShape, checked_rows
from joule.extras import needed

PREFIX = "swm:"
EXAMPLE = "swm:recordings/tworoom.lance"
HOME_VARIABLE, HOME = "STABLEWM_HOME", "~/.stable_worldmodel"
"""Where stable-worldmodel keeps recordings by name, in the folder `datasets`."""
WHOLE = "observation"
"""The column of an observation that is no Dict."""
FORMATS = ("lance", "hdf5", "folder", "video")
"""Formats that are read, by stable-worldmodel's names."""


class Recording:
    """A recording of stable-worldmodel.

    Args:
        source: `swm:NAME_OR_PATH`.
        option: the setting or the option by which it was given; messages begin with it.

    Raises:
        ConfigError: without stable-worldmodel, and for a recording that is not on this machine or cannot be read.
    """

    def __init__(self, source: str, option: str = "data") -> None:
        self.source, self.option = source, option
        data = needed("stable_worldmodel", "swm", f"{PREFIX}PATH").data
        path = located(source, option)
        try:
            with _start_method_kept():
                found = call(data.detect_format, str(path))
                if found is None or found.name not in FORMATS:
                    kinds = ", ".join(name for name in data.list_formats() if name in FORMATS)
                    raise ConfigError(
                        f"{option}: {source} is no recording; formats that can be read here: {kinds}"
                    )
                self._dataset: Any = call(found.open_reader, path)
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(f"{option}: {source} cannot be read: {_first_line(error)}") from error

    def __len__(self) -> int:
        """Number of its episodes."""
        return len(self._dataset.lengths)

    @property
    def columns(self) -> list[str]:
        """Their names."""
        return sorted(map(str, self._dataset.column_names))

    def length(self, number: int) -> int:
        """Rows of an episode."""
        return int(self._dataset.lengths[number])

    def where(self, number: int) -> str:
        """An episode in a message."""
        return f"{self.source}, episode {number}"

    def episode(self, number: int) -> dict[str, np.ndarray]:
        """The columns of an episode, each [rows, ...]; pictures are [rows, channels, height, width].

        Raises:
            ConfigError: for an episode that cannot be read.
        """
        try:
            with _start_method_kept():
                loaded: Mapping[str, Any] = call(self._dataset.load_episode, number)
        except Exception as error:
            raise ConfigError(
                f"{self.option}: {self.where(number)} cannot be read: {_first_line(error)}"
            ) from error
        rows = self.length(number)
        found = {str(name): np.asarray(value) for name, value in loaded.items()}
        return {name: value for name, value in found.items() if value.shape[:1] == (rows,)}


def located(source: str, option: str = "data") -> Path:
    """Where a recording is: a path, or a name in stable-worldmodel's own folder. Nothing is downloaded.

    Raises:
        ConfigError: where there is none.
    """
    name = source.removeprefix(PREFIX).strip()
    if not name:
        raise ConfigError(f"{option}: {PREFIX} needs the name or the path of a recording, such as {EXAMPLE}")
    home = Path(os.environ.get(HOME_VARIABLE) or Path(HOME).expanduser(), "datasets")
    for path in (Path(name).expanduser(), home / name, home / name.replace("/", "--")):
        if path.exists():
            return path.absolute()
    raise ConfigError(
        f"{option}: there is no recording {name} on this machine, neither there nor in {home}; "
        "stable_worldmodel.data.load_dataset downloads those of the Hugging Face Hub"
    )


def numbers_of(observed: spaces.Space[Any]) -> spaces.Space[Any] | None:
    """What an observation space has beside a picture; None where it is a picture alone."""
    rest = without_pictures(observed)
    return None if rest is NOTHING else rest


def read_episodes(
    recording: Recording, observed: spaces.Space[Any] | None, shape: EpisodeShape, rewards: bool
) -> tuple[list[Arrays], bool]:
    """The rows of all episodes that have a transition, and whether they have readouts.

    Args:
        recording: what is read.
        observed: the observation space of the environment itself, before it was made flat, without a picture of its
            own (`numbers_of`); None for a picture alone.
        shape: what an episode must have.
        rewards: whether they are learned from; without, a recording needs none.

    Raises:
        ConfigError: as `checked_rows`; for a recording without a column that is needed, with those that it has; and
            for states that never change, although actions were taken.
    """
    flat = None
    if observed is not None and (shape.observation or not _missing(recording, observed)):
        flat = _Flattened(recording, observed)
    if rewards and "reward" not in recording.columns:
        raise ConfigError(f"data: {recording.source} has no column reward; --reward none learns without")
    episodes = []
    moved = False
    for number in range(len(recording)):
        if recording.length(number) == 1:  # it ended at its first step, and one row has no transition
            continue
        where, found = recording.where(number), recording.episode(number)
        state = None if flat is None else flat.of(where, found)
        if state is not None and len(state) > 1:
            moved = moved or bool((state[1:] != state[0]).any())
        episodes.append(checked_rows(where, _arrays(where, found, state, shape, rewards), shape))
    if not episodes:
        raise ConfigError(f"data: {recording.source} holds no episode")
    if flat is not None and shape.observation and not moved:
        raise ConfigError(
            f"data: {recording.source}: {flat.names} is the same at every step of each episode, although actions "
            "were taken; an environment whose observations are tensors is recorded so: wrap it so that they are "
            "arrays of NumPy, or learn from its pictures (--obs pixels)"
        )
    return episodes, flat is not None and moved and shape.reads_observation


class _Flattened:
    """The flat observations of a recording.

    Args:
        recording: it has the columns.
        observed: the observation space of the environment.
    """

    def __init__(self, recording: Recording, observed: spaces.Space[Any]) -> None:
        if missing := _missing(recording, observed):
            raise ConfigError(
                f"data: {recording.source} has no column {missing[0]}, which the environment observes; it has "
                f"{', '.join(recording.columns)}; --obs pixels learns from the column {PIXELS}"
            )
        self._keys = _keys(observed)
        self._single = not isinstance(observed, spaces.Dict)
        self._flatten = flattener(observed)
        self.names = " and ".join(self._keys)
        self.size = int(spaces.flatdim(observed))

    def of(self, where: str, found: Mapping[str, np.ndarray]) -> np.ndarray:
        """[rows, numbers] of an episode. Raises ConfigError for those that do not fit."""
        try:
            rows = len(found[self._keys[0]])
            steps = [{key: found[key][step] for key in self._keys} for step in range(rows)]
            return np.stack([self._flatten(step[WHOLE] if self._single else step) for step in steps])
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"data: {where}: {error}") from error


def _keys(observed: spaces.Space[Any]) -> list[str]:
    """The columns of an observation."""
    return list(observed.spaces) if isinstance(observed, spaces.Dict) else [WHOLE]


def _missing(recording: Recording, observed: spaces.Space[Any]) -> list[str]:
    """The columns of an observation that a recording does not have."""
    return [key for key in _keys(observed) if key not in recording.columns]


def _arrays(
    where: str, found: Mapping[str, np.ndarray], state: np.ndarray | None, shape: EpisodeShape, rewards: bool
) -> dict[str, np.ndarray]:
    """An episode as `checked_rows` takes it. Raises ConfigError for pictures that cannot be scaled."""
    if "action" not in found:
        raise ConfigError(f"data: {where} has no column action")
    rows = len(found["action"])
    steps = max(rows - 1, 0)
    none = np.zeros(steps, np.float32)
    arrays = {
        "actions": found["action"][:steps],
        "rewards": _column(found, "reward", steps) if rewards else none,
        "terminations": _column(found, "terminated", steps),
        "truncations": _column(found, "truncated", steps),
    }
    if shape.observation and state is not None:
        arrays["observations"] = state
    if state is not None and shape.reads_observation:
        arrays["readouts"] = state
    if shape.pictures is not None:
        if PIXELS not in found:
            raise ConfigError(f"data: {where} has no column {PIXELS}")
        _, height, width = shape.pictures
        pictures = found[PIXELS]
        if pictures.ndim != 4 or pictures.dtype != np.uint8 or pictures.shape[1] not in (1, 3):
            raise ConfigError(
                f"data: {where}: {PIXELS} is {pictures.dtype} {list(pictures.shape)}, no pictures"
            )
        arrays[PIXELS] = np.stack([scaled(picture, width, height) for picture in pictures])
    return arrays


def _column(found: Mapping[str, np.ndarray], name: str, steps: int) -> np.ndarray:
    """What a step led to [steps], from the rows after it; zeros where the recording does not have it."""
    if name not in found:
        return np.zeros(steps, np.float32)
    values = found[name]
    return values.reshape(len(values))[1:] if values.size == len(values) else values[1:]


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:200]}" if text else type(error).__name__


@contextmanager
def _start_method_kept() -> Iterator[None]:
    """In the block, processes may get another start method; afterwards it is as before."""
    import multiprocessing

    before = multiprocessing.get_start_method(allow_none=True)
    try:
        yield
    finally:
        if multiprocessing.get_start_method(allow_none=True) != before:
            multiprocessing.set_start_method(before, force=True)

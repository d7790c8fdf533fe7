"""A folder of .npz files, an episode each, in the order of their names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from agent.errors import ConfigError
from agent.interface import Arrays
from joule.datasets.checked_episode import KNOWN, EpisodeShape, checked_rows
from joule.storage.files import why
from joule.storage.npz_file import read_arrays


def files_in(folder: Path) -> list[Path]:
    """The episodes of a folder. Raises ConfigError where there are none."""
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix == ".npz")
    except OSError as error:
        raise ConfigError(f"data: {folder}: {why(error)}") from error
    if not found:
        raise ConfigError(f"data: {folder} holds no .npz file; each of them is an episode")
    return found


def arrays_of(files: list[Path]) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Each episode, and how messages name it. Raises ConfigError for a file that cannot be read."""
    for number, path in enumerate(files):
        where = f"{path.name}, episode {number}"
        try:
            yield where, read_arrays(path, KNOWN)
        except ValueError as error:
            raise ConfigError(f"data: {where}: {error}") from error


def read_episodes(
    files: list[Path], shape: EpisodeShape, with_readouts: bool = True
) -> tuple[list[Arrays], bool]:
    """The rows of all episodes, and whether they have readouts; without `with_readouts` those are left out.

    Raises:
        ConfigError: as `checked_rows`, and where some episodes have readouts and others have none.
    """
    episodes: list[Arrays] = []
    first = None
    for where, arrays in arrays_of(files):
        if not with_readouts:
            arrays.pop("readouts", None)
        has_readouts = "readouts" in arrays
        if first is None:
            first = has_readouts
        if has_readouts is not first:
            differs = "has readouts" if has_readouts else "has no readouts"
            raise ConfigError(f"data: {where} {differs}, unlike the episodes before it")
        episodes.append(checked_rows(where, arrays, shape))
    return episodes, bool(first)

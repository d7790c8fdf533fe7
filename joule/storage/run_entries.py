"""The entries of a run folder that Joule reads and writes: their names, their kinds, and what a kill left."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from joule.storage import owners
from joule.storage.failure_file import FAILURE
from joule.storage.files import DISK
from joule.storage.links import CONFIG, RUN_FILE, check_plain
from joule.storage.run_lock import LOCK
from joule.storage.run_logs import BOARD, EPISODES, EVALUATIONS, FORECASTS, METRICS, READOUTS

COMMAND, VERSIONS, SUMMARY, CURVE, CHANGES = (
    "command.txt", "versions.json", "summary.json", "curve.png", "changes.csv",
)  # fmt: skip
SUITE_SETTINGS = "settings.json"
"""In no run folder: beside collected results, the settings of a suite of runs."""
CHECKPOINTS, REPLAY, VIDEOS, EXPLANATIONS = "checkpoints", "replay", "videos", "explanations"

_TABLES = (METRICS, EVALUATIONS, FORECASTS, EPISODES, READOUTS)
_FILES = (RUN_FILE, CONFIG, COMMAND, VERSIONS, SUMMARY, CURVE, CHANGES, FAILURE, LOCK, *_TABLES)
FOLDERS = (CHECKPOINTS, REPLAY, VIDEOS, EXPLANATIONS, BOARD)
"""What only Joule writes in."""
_TEMPORARY = re.compile(rf"\.tmp-{owners.PATTERN}-(.+)", re.DOTALL)
_BEFORE_RECORD = (CONFIG, COMMAND, VERSIONS)
"""What `write_run` writes before `run.json`, which makes the folder a run."""
_OF_HOLDER = (*_TABLES, SUMMARY, CURVE, CONFIG, CHANGES, FAILURE, LOCK)
"""Files that only the holder of the run's lock writes."""


def check_entries(folder: Path) -> None:
    """Checks, before a run goes on, that its entries are plain files and real folders.

    So a link is named at once, and not when the file is written hours later. Other entries are the user's own.

    Raises:
        OSError: for a link, or an entry of another kind; the message names it.
    """
    for name in _FILES:
        check_plain(folder / name)
    for name in FOLDERS:
        path = folder / name
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(mode):
            raise OSError(f"{name} is a link, which a run folder must not hold")
        if not stat.S_ISDIR(mode):
            raise OSError(f"{name} is not a folder")


def remove_untrained(folder: Path, made: bool) -> None:
    """Removes what Joule wrote of a run that nothing was trained in.

    Args:
        folder: of the run.
        made: whether the run made it: then it goes too, where nothing else is in it.
    """
    with contextlib.suppress(OSError):  # the user needs to read why nothing was trained
        for name in (*_FILES, BOARD):
            if os.path.lexists(folder / name):
                DISK.remove(folder / name)
        if made:
            folder.rmdir()


def left_before_record(folder: Path) -> bool:
    """Whether a folder holds only what a process left that was killed while it made a run of it.

    Other programs write a `config.json` too: that alone does not say so.

    Raises:
        OSError: the folder cannot be read.
    """
    names = os.listdir(folder)
    of_joule = any(name in (COMMAND, VERSIONS) or _TEMPORARY.fullmatch(name) for name in names)
    return of_joule and all(
        (name in _BEFORE_RECORD or _TEMPORARY.fullmatch(name) is not None)
        and stat.S_ISREG(os.lstat(folder / name).st_mode)
        for name in names
    )


def sweep(folder: Path) -> None:
    """Removes temporary files of killed processes. Only for the holder of the run's lock.

    Films and explanations are written without the lock: their files stay while their process is alive.

    Raises:
        OSError: the disk refuses.
    """
    for path in _temporary(folder):
        DISK.remove(path)


def _temporary(folder: Path) -> Iterator[Path]:
    for place in (folder, folder / VIDEOS, folder / EXPLANATIONS):
        for name in DISK.names(place) if place.is_dir() else []:
            match = _TEMPORARY.fullmatch(name)
            path = place / name
            if match and (path.is_symlink() or not path.is_dir()):
                of_holder = place == folder and match[3] in _OF_HOLDER
                if of_holder or owners.left_behind(path, match[1], int(match[2])):
                    yield path

"""Paths of run folders: the default path, whether a path is free, and the run that a path names."""

from __future__ import annotations

import datetime
import os
import re
from pathlib import Path

from agent.configurator.settings import Config
from joule.model_file import model_of
from joule.storage.errors import RunError
from joule.storage.files import why
from joule.storage.links import RUN_FILE, check_inside, run_around
from joule.storage.manifest import MANIFEST
from joule.storage.run_entries import CHECKPOINTS, FOLDERS, left_before_record
from joule.storage.shipped import RUNS, folder_of


def default_folder(config: Config) -> Path:
    """A free path `runs/<env>-<agent>-seed<k>-<time>`; a model file gives its name for <env>."""
    named = Path(file).stem if (file := model_of(config)) else config.env
    env = re.sub(r"[^A-Za-z0-9._-]+", "-", named).strip(".-")[:80] or "env"
    time = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    name = f"{env}-{config.agent}-seed{config.seed}-{time}"
    folder, number = RUNS / name, 2
    while folder.exists():
        folder, number = RUNS / f"{name}-{number}", number + 1
    return folder


def check_free(folder: Path) -> None:
    """Checks that a new run can have this folder: an empty or missing one, whose parent exists.

    A missing parent is refused because a mistyped path would otherwise make folders in an unexpected place.

    Raises:
        RunError: for a folder that holds something, a file, a missing parent, a path that cannot be read, and a
            place in a folder that another run keeps for itself, such as its `checkpoints`.
    """
    if "\0" in str(folder):
        raise RunError(f"{folder}: a path cannot hold a NUL")
    try:
        if os.path.lexists(folder):
            if not folder.is_dir():
                raise RunError(f"{folder}: is a file, a run needs a folder")
            if left_before_record(folder):
                raise RunError(
                    f"{folder}: is not empty; it holds what a run leaves that is killed before it begins: "
                    "remove the folder, or choose another one"
                )
            if any(folder.iterdir()):
                raise RunError(f"{folder}: is not empty; choose another folder")
        elif folder.parent != RUNS and not folder.parent.exists():
            raise RunError(f"{folder}: its parent folder {folder.parent} does not exist; make it first")
        whole = Path(os.path.realpath(folder))
        for own in (whole, *whole.parents):
            if own.name in FOLDERS and (own.parent / RUN_FILE).exists():
                raise RunError(
                    f"{folder}: lies in the {own.name} of the run {own.parent}; choose a folder outside of them"
                )
    except OSError as error:
        raise RunError(f"{folder}: a run cannot be written there: {why(error)}") from error


def check_replaceable(folder: Path) -> None:
    """Checks that a folder can be renamed to this path: as `check_free`, and not the present one.

    Raises:
        RunError: as `check_free`, and for the present folder, which an empty one may be.
    """
    # Path.exists raises for a name that is too long.
    if os.path.exists(folder) and folder.samefile(Path.cwd()):
        raise RunError(f"{folder}: is the present folder, which cannot be replaced; give another one")
    check_free(folder)


def located(path: str | Path) -> tuple[Path, Path | None]:
    """The run folder that `path` names, and the checkpoint where it names one of the run's `step-<n>`.

    A link to a run or to a checkpoint, such as `best`, names it as well; a link in a run folder does not. An
    address such as `joule://halfcheetah` names an agent that comes with Joule.

    Raises:
        RunError: for a link in a run folder, a checkpoint that a run does not have, and an address of no agent.
    """
    if (shipped := folder_of(path)) is not None:
        return shipped, None
    folder = Path(path)
    try:
        check_inside(folder)
        if not (folder / MANIFEST).exists():
            _check_has_checkpoint(folder)
            return folder, None
        if folder.is_symlink() or folder.name in ("", ".."):  # which do not say the checkpoint's name
            folder = folder.resolve()
    except OSError as error:
        raise RunError(f"{folder}: {why(error)}") from error
    return run_around(folder), folder


def _check_has_checkpoint(folder: Path) -> None:
    """Raises RunError where a path names a checkpoint that a run does not have, with those that it has."""
    checkpoints = folder.parent
    if folder.exists() or not (checkpoints.parent / RUN_FILE).exists() or checkpoints.name != CHECKPOINTS:
        return
    there = sorted(checkpoints.glob("step-*"), key=lambda path: (len(path.name), path.name))
    names = ", ".join(path.name for path in there) or "none"
    raise RunError(f"{folder}: the run has no such checkpoint; it has {names}")


def folder_identity(folder: Path) -> tuple[int, int] | None:
    """Device and inode of a folder; they change when it is made again. None where it is missing."""
    try:
        status = os.stat(folder)
    except OSError:
        return None
    return status.st_dev, status.st_ino

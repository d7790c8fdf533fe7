"""Which links are followed: those on the way to a run folder, none inside it.

A path that the user gives may be a link or lead through links, such as `runs/latest` -> `runs/ant`. A run folder
may come from another person, so that a link in it would let this person choose a file that Joule overwrites or
shows. Only what a folder holds when a file is opened is checked: somebody who may write in the folder at the same
time is not kept out.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

RUN_FILE = "run.json"
"""The file that makes a folder a run folder."""
CONFIG = "config.json"
"""The file with the settings of a run."""
MOST_RUNS_NAMED = 3
_DEEPEST = 3
"""Folders between a run folder and its deepest files, the run folder included."""


def check_inside(path: Path) -> None:
    """Checks that no link lies between a run folder and `path`; `path` itself may be missing.

    Raises:
        OSError: for a link; the message names it.
    """
    below = [path]
    for folder in path.parents[:_DEEPEST]:
        if below[-1].name == "..":
            return
        if os.path.lexists(folder / RUN_FILE):
            for part in reversed(below):
                if part.is_symlink():
                    raise OSError(f"{part.name} is a link, which a run folder must not hold")
        below.append(folder)


def check_plain(path: Path) -> None:
    """Checks that `path` is a plain file or missing, and that no link in a run folder leads to it.

    Raises:
        OSError: for a link, a folder, a named pipe, a device and the like; the message says which.
    """
    check_inside(path)
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise OSError(f"{path.name or path} is {_kind(mode)}, and not a plain file")


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a link"
    if stat.S_ISDIR(mode):
        return "a folder"
    if stat.S_ISFIFO(mode):
        return "a named pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def run_nearby(folder: Path) -> str:
    """The run that a folder without one lies in, or the runs that lie in it, as the end of a sentence."""
    try:
        for above in (folder.parent, folder.parent.parent):
            if (above / RUN_FILE).exists():
                return f"; it belongs to the run {above}"
        inside = sorted(str(found.parent) for found in folder.glob(f"*/{RUN_FILE}"))
    except OSError:
        return ""
    shown = ", ".join(inside[:MOST_RUNS_NAMED])
    more = f" and {len(inside) - MOST_RUNS_NAMED} more" if len(inside) > MOST_RUNS_NAMED else ""
    return f"; runs lie in it: {shown}{more}" if inside else ""


def run_around(checkpoint: Path) -> Path:
    """The run folder that a checkpoint lies in, as short as the path given."""
    run = checkpoint.parent.parent
    # `.` has no parents, and those of `..` are not above it.
    return run if (run / RUN_FILE).exists() else Path(os.path.abspath(checkpoint)).parent.parent

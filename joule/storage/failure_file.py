"""The file with the traceback of the exception that ended a run, whose sentence alone is printed."""

from __future__ import annotations

import contextlib
import os
import traceback
from pathlib import Path

from joule.storage.files import DISK, replace_file

FAILURE = "failure.txt"


def write(folder: Path, error: Exception) -> Path | None:
    """Writes the traceback of an exception, and of those that caused it, into a run folder.

    Returns:
        The file; None where it cannot be written, such as on a full disk. The exception is what counts then.
    """
    path = folder / FAILURE
    text = "".join(traceback.format_exception(error))
    try:
        replace_file(path, text.encode(errors="backslashreplace"))
    except OSError:
        return None
    return path


def remove(folder: Path) -> None:
    """Removes the file of an earlier failure, where there is one: the run goes on."""
    with contextlib.suppress(OSError):
        if os.path.lexists(folder / FAILURE):
            DISK.remove(folder / FAILURE)

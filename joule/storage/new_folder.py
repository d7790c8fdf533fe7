"""New folders that are complete or absent: each is filled under a temporary name beside its place, then renamed."""

from __future__ import annotations

import contextlib
import itertools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from joule.storage import owners
from joule.storage.files import DISK

_STALE = re.compile(rf"\.tmp-{owners.PATTERN}-[0-9]+-(?:agent|export|pull|push)")
_NUMBERS = itertools.count()
"""Numbers the folders of this process, which may be in use in another thread."""
_under_way: set[str] = set()


@contextlib.contextmanager
def new_folder(folder: Path, kind: str) -> Iterator[Path]:
    """Makes a folder. Yields the temporary path at which the `with` block must make and fill it.

    It is renamed to `folder` at the end of the block. After an exception in the block nothing stays. What other
    processes left that were killed is removed too.

    Args:
        folder: the place; nothing, or an empty folder, may be there.
        kind: what the folder holds, `agent`, `export`, `pull` or `push`; the temporary name says it.

    Raises:
        OSError: when the disk refuses, or the place is taken. It names `folder` and not the temporary path.
    """
    temporary = folder.with_name(f".tmp-{owners.owner()}-{next(_NUMBERS)}-{kind}")
    _under_way.add(temporary.name)
    try:
        DISK.make(folder.parent)
        _remove_stale(folder.parent)
        yield temporary
        DISK.rename(temporary, folder)
        DISK.sync(folder.parent)
    except OSError as error:
        if error.filename == str(temporary):  # a name that the user has not given
            error.filename = str(folder)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # does not exist after the renaming
        _under_way.discard(temporary.name)


def _remove_stale(folder: Path) -> None:
    """Removes the temporary folders of processes that were killed."""
    for name in DISK.names(folder):
        match = _STALE.fullmatch(name)
        if match and name not in _under_way and owners.left_behind(folder / name, match[1], int(match[2])):
            DISK.remove(folder / name)

"""The lock on a run folder: one process at a time trains in it."""

from __future__ import annotations

import fcntl
import os
import time
import weakref
from pathlib import Path

from joule.storage.errors import RunError
from joule.storage.files import why

_WAIT_SECONDS = 2.0


class RunLock:
    """An exclusive lock on the file `run.lock` of a folder, held from here until `release`.

    The lock of a process that has died is free again. Processes forked from the holder do not hold it.

    Raises:
        RunError: when another process holds the lock (the message names it), and when the disk refuses.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "run.lock"
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise RunError(f"{path}: {why(error)}") from error
        try:
            _acquire(handle)
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            owner = _owner(handle)
            os.close(handle)
            raise RunError(f"{folder}: is in use by process {owner or 'unknown'}") from None
        except OSError as error:
            os.close(handle)
            raise RunError(f"{folder}: cannot be locked: {why(error)}") from error
        self._handle: int | None = handle
        _release_in_children(self)

    def release(self) -> None:
        """Frees the lock; once is enough."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def alive(process: int) -> bool:
    """Whether a process with this id exists."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _acquire(handle: int) -> None:
    """Locks an open file, or raises BlockingIOError.

    A process that was forked from the holder keeps the lock until it closes its copy of the file. That can be
    shortly after the holder has died, so the lock of a dead holder is waited for.
    """
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            owner = _owner(handle)
            if time.monotonic() > deadline or not owner.isdecimal() or alive(int(owner)):
                raise
        time.sleep(0.02)


def _owner(handle: int) -> str:
    return os.pread(handle, 20, 0).decode("ascii", "replace").strip()


def _release_in_children(lock: RunLock) -> None:
    """Makes forked processes close their copy, so that none holds the lock after its parent was killed."""
    reference = weakref.ref(lock)

    def release() -> None:
        copy = reference()
        if copy is not None:
            copy.release()

    os.register_at_fork(after_in_child=release)

"""The lock on a folder: one process at a time trains in the folder of a run, or makes a search."""

from __future__ import annotations

import fcntl
import os
import time
import weakref
from pathlib import Path

from joule.storage.errors import RunError, RunInUse
from joule.storage.files import DISK, open_new, open_plain_file, temporary_path, why
from joule.storage.owners import alive

LOCK = "run.lock"
"""The file in a run folder."""
_WAIT_SECONDS = 2.0


class RunLock:
    """An exclusive lock on a file of a folder, `run.lock` for that of a run, held from here until `release`.

    The lock of a process that has died is free again. Processes forked from the holder do not hold it.

    Raises:
        RunInUse: when another process holds the lock; the message names it.
        RunError: when the file is a link or no plain file, and when the disk refuses.
    """

    def __init__(self, folder: Path, name: str = LOCK) -> None:
        path = folder / name
        try:
            handle = _own_file(path, _locked(path))
        except BlockingIOError as error:
            raise RunInUse(f"{folder}: is in use by process {error.args[-1]}") from None
        except OSError as error:
            raise RunError(f"{folder}: cannot be locked: {why(error)}") from error
        try:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
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


def _locked(path: Path) -> int:
    """The lock file, open and locked. Raises BlockingIOError, whose last argument names the holder."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        handle = open_plain_file(path, os.O_RDWR | os.O_CREAT)
        try:
            _acquire(handle, deadline)
            if _still_named(path, handle):
                return handle
        except OSError:
            os.close(handle)
            raise
        os.close(handle)  # the holder before has replaced the file: the lock is on the new one


def _acquire(handle: int, deadline: float) -> None:
    """Locks an open file.

    A process that was forked from the holder keeps the lock until it closes its copy of the file. That can be
    shortly after the holder has died, so the lock of a dead holder is waited for.
    """
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            owner = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
            known = owner.isascii() and owner.isdecimal()
            if time.monotonic() > deadline or not known or alive(int(owner)):
                # Only a number is shown: a file that has another name may hold anything.
                raise BlockingIOError(owner if known else "unknown") from None
        time.sleep(0.02)


def _own_file(path: Path, handle: int) -> int:
    """`handle`, or a new locked file in its place where the locked one has a second name (a hard link).

    The process id must not be written into a file that is also something else.
    """
    if os.fstat(handle).st_nlink == 1:
        return handle
    temporary = temporary_path(path)
    try:
        if os.path.lexists(temporary):
            DISK.remove(temporary)
        new = open_new(temporary)
        try:
            fcntl.flock(new, fcntl.LOCK_EX | fcntl.LOCK_NB)  # before it gets the name that others open
            DISK.rename(temporary, path)
        except OSError:
            os.close(new)
            raise
        return new
    finally:
        os.close(handle)


def _still_named(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(handle))
    except FileNotFoundError:
        return False


def _release_in_children(lock: RunLock) -> None:
    """Makes forked processes close their copy, so that none holds the lock after its parent was killed."""
    reference = weakref.ref(lock)

    def release() -> None:
        copy = reference()
        if copy is not None:
            copy.release()

    os.register_at_fork(after_in_child=release)

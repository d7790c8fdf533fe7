"""The file system as checkpoints and replay see it: seven calls, each durable when it returns.

A seam, so that tests can fail the k-th call of a save with a full disk, a bad disk or a kill, for every
k, and so that what is read is always a plain file of a bounded size, never a link.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Protocol

Bytes = bytes | bytearray | memoryview

# A link that a stranger left in a folder must not choose where we write or read. Where the system has
# no such flag (Windows), `read` still checks the kind of file.
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class Storage(Protocol):
    """What a save may do to the disk. Every call raises OSError when it fails."""

    def make(self, folder: Path) -> None:
        """Creates a folder and its missing parents."""

    def names(self, folder: Path) -> list[str]:
        """The sorted entries of a folder."""

    def write(self, path: Path, data: Bytes) -> None:
        """Creates a new file holding `data`, on the disk when this returns."""

    def append(self, path: Path, data: Bytes, at: int) -> None:
        """Makes a file's bytes from `at` on equal `data`, on the disk when this returns."""

    def rename(self, old: Path, new: Path) -> None:
        """Moves a file over another, or a folder to a free name, at once or not at all."""

    def sync(self, folder: Path) -> None:
        """Puts a folder's entries (new names, renames) on the disk."""

    def remove(self, path: Path) -> None:
        """Removes a file, a link (not its target), or a folder with everything in it."""


class Disk:
    """The real file system."""

    def make(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            self.sync(folder.parent)

    def names(self, folder: Path) -> list[str]:
        return sorted(os.listdir(folder))

    def write(self, path: Path, data: Bytes) -> None:
        self._put(path, data, os.O_EXCL, at=0)

    def append(self, path: Path, data: Bytes, at: int) -> None:
        self._put(path, data, 0, at)

    def rename(self, old: Path, new: Path) -> None:
        os.replace(old, new)

    def sync(self, folder: Path) -> None:
        if os.name == "nt":  # Windows cannot open a folder, and journals its names by itself
            return
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def remove(self, path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()

    def _put(self, path: Path, data: Bytes, flags: int, at: int) -> None:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | flags | _NO_LINK, 0o644)
        try:
            os.ftruncate(handle, at)
            os.lseek(handle, at, os.SEEK_SET)
            rest = memoryview(data).cast("B")
            while rest:
                rest = rest[os.write(handle, rest) :]
            os.fsync(handle)
        finally:
            os.close(handle)


DISK = Disk()


def replace_file(path: Path, data: Bytes, storage: Storage = DISK) -> None:
    """Writes a file whole: a reader, or a kill, finds the old content or the new. Raises OSError."""
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    try:
        if os.path.lexists(temporary):
            storage.remove(temporary)
        storage.write(temporary, data)
        storage.rename(temporary, path)
        storage.sync(path.parent)
    except OSError:
        if os.path.lexists(temporary):
            storage.remove(temporary)
        raise


def open_plain(path: Path) -> tuple[int, int]:
    """A descriptor of a file opened for reading, and its size. Raises OSError for a link or a non-file."""
    if path.is_symlink():
        raise OSError(f"{path.name} is a link")
    # Without O_NONBLOCK, opening a named pipe would wait for a writer for ever.
    handle = os.open(path, os.O_RDONLY | _NO_LINK | getattr(os, "O_NONBLOCK", 0))
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise OSError(f"{path.name} is not a plain file")
    return handle, status.st_size


def read_plain(path: Path, limit: int) -> bytes:
    """The bytes of a plain file of at most `limit` bytes, whose size is checked before any is read.

    Raises OSError: a link, not a file, larger than `limit`, or unreadable.
    """
    handle, size = open_plain(path)
    with os.fdopen(handle, "rb") as file:
        if size > limit:
            raise OSError(f"{path.name} holds {size} bytes, at most {limit} are allowed")
        return file.read(size)


def why(error: Exception) -> str:
    """An error as the end of a sentence, e.g. "meta.json: No such file or directory"."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    name = os.path.basename(os.fsdecode(error.filename)) if isinstance(error.filename, (str, bytes)) else ""
    return f"{name}: {error.strerror}" if name else error.strerror

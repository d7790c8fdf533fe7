"""The file operations of checkpoints and the replay log: seven calls, each durable when it returns.

The protocol `Storage` lets a test fail any one call with a full disk, a bad disk or a kill. Only plain files
of a bounded size are read; links are not followed.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Protocol

Bytes = bytes | bytearray | memoryview

# A link in a folder from another person must not decide where Joule writes or reads. Where the system has no
# such flag (Windows), `open_plain` still checks the kind of file.
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class Storage(Protocol):
    """The disk operations of a save. Every call raises OSError when it fails."""

    def make(self, folder: Path) -> None:
        """Creates a folder and its missing parents."""

    def names(self, folder: Path) -> list[str]:
        """The sorted entries of a folder."""

    def write(self, path: Path, data: Bytes) -> None:
        """Creates a new file with the content `data` and flushes it."""

    def append(self, path: Path, data: Bytes, at: int) -> None:
        """Replaces the bytes of a file from offset `at` on with `data` and flushes it."""

    def rename(self, old: Path, new: Path) -> None:
        """Moves a file over another file, or a folder to a free name, atomically."""

    def sync(self, folder: Path) -> None:
        """Flushes the entries of a folder (new names, renames)."""

    def remove(self, path: Path) -> None:
        """Removes a file, a link (not its target), or a folder with its content."""


class Disk:
    """The real file system; see `Storage`."""

    def make(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            self.sync(folder.parent)

    def names(self, folder: Path) -> list[str]:
        return sorted(os.listdir(folder))

    def write(self, path: Path, data: Bytes) -> None:
        self._write_at(path, data, os.O_EXCL, at=0)

    def append(self, path: Path, data: Bytes, at: int) -> None:
        self._write_at(path, data, 0, at)

    def rename(self, old: Path, new: Path) -> None:
        os.replace(old, new)

    def sync(self, folder: Path) -> None:
        if os.name == "nt":  # Windows cannot open a folder; its file system journals names itself
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

    def _write_at(self, path: Path, data: Bytes, flags: int, at: int) -> None:
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
    """Replaces the content of a file atomically: a reader finds the old content or the new.

    Raises:
        OSError: the disk refuses; the old content stays.
    """
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
    """Opens a plain file for reading.

    Returns:
        The file descriptor and the size of the file in bytes.

    Raises:
        OSError: `path` is a link, is not a plain file, or cannot be opened.
    """
    if path.is_symlink():
        raise OSError(f"{path.name} is a link")
    # Without O_NONBLOCK, opening a named pipe would wait for a writer.
    handle = os.open(path, os.O_RDONLY | _NO_LINK | getattr(os, "O_NONBLOCK", 0))
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise OSError(f"{path.name} is not a plain file")
    return handle, status.st_size


def read_plain(path: Path, limit: int) -> bytes:
    """The bytes of a plain file of at most `limit` bytes. The size is checked before anything is read.

    Raises:
        OSError: the file is a link, is not a plain file, is larger than `limit`, or cannot be read.
    """
    handle, size = open_plain(path)
    with os.fdopen(handle, "rb") as file:
        if size > limit:
            raise OSError(f"{path.name} holds {size} bytes, at most {limit} are allowed")
        return file.read(size)


def why(error: Exception) -> str:
    """An error as the end of a sentence, for example "meta.json: No such file or directory"."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    name = os.path.basename(os.fsdecode(error.filename)) if isinstance(error.filename, (str, bytes)) else ""
    return f"{name}: {error.strerror}" if name else error.strerror

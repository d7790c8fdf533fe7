"""How Joule writes: every file of a run, a report, a picture or a film goes through this module.

A file is written beside its place under a temporary name and then renamed, so that a reader finds the old content
or the new. No link is followed (see `links`), and nothing but a plain file is replaced: no device, no named pipe.
A file to which lines are appended has one name only, so that no other file changes with it.

The protocol `Storage` has the seven disk operations of a save, each durable when it returns. It lets a test fail
any one call with a full disk, a bad disk or a kill.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from joule.storage.links import check_inside, check_plain
from joule.storage.owners import owner

Bytes = bytes | bytearray | memoryview

NO_LINK = getattr(os, "O_NOFOLLOW", 0)
"""Makes the system refuse a link. Where it has no such flag (Windows), `open_plain_file` looks before and after."""
# Without O_NONBLOCK, opening a named pipe would wait for its other end.
_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
_LONGEST_NAME = 200  # bytes of a file's name that a temporary name repeats; file systems allow 255


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
        check_inside(folder)
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
        handle = open_plain_file(path, os.O_WRONLY | os.O_CREAT | flags)
        try:
            _check_one_name(handle, path)
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
        OSError: `path` is a link or no plain file, or the disk refuses; the old content stays.
    """
    check_plain(path)
    temporary = temporary_path(path)
    try:
        if os.path.lexists(temporary):
            storage.remove(temporary)
        storage.write(temporary, data)
        storage.rename(temporary, path)
        storage.sync(path.parent)
    except BaseException as error:  # a signal that ends the command leaves no temporary file either
        _name_file(error, temporary, path)
        if os.path.lexists(temporary):
            storage.remove(temporary)
        raise


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Replaces a file that a library writes by its path. Yields the temporary path that it must write to.

    The temporary path is an empty file, whose name ends as that of `path`. It replaces `path` at the end of the
    `with` block. An exception in the block leaves `path` as it was.

    Raises:
        OSError: as `replace_file`; or the library has left no plain file.
    """
    check_plain(path)
    temporary = temporary_path(path)
    try:
        if os.path.lexists(temporary):
            DISK.remove(temporary)
        os.close(open_plain_file(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        yield temporary
        handle = open_plain_file(temporary, os.O_WRONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        DISK.rename(temporary, path)
        DISK.sync(path.parent)
    except OSError as error:
        _name_file(error, temporary, path)
        raise
    finally:
        if os.path.lexists(temporary):
            DISK.remove(temporary)


def open_append(path: Path) -> int:
    """Opens a file for appending, and makes it where it is missing. Returns the file descriptor.

    Raises:
        OSError: `path` is a link, is no plain file, has a second name (a hard link), or cannot be opened.
    """
    handle = open_plain_file(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        _check_one_name(handle, path)
    except OSError:
        os.close(handle)
        raise
    return handle


def open_new(path: Path) -> int:
    """Makes a file that does not exist and opens it for writing. Returns the file descriptor.

    Raises:
        OSError: something is there already, or the disk refuses.
    """
    return open_plain_file(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)


def open_plain_file(path: Path, flags: int) -> int:
    """Opens a plain file with the flags of `os.open`. Returns the file descriptor.

    Raises:
        OSError: `path` is a link, lies behind a link in a run folder, is no plain file, or cannot be opened.
    """
    check_plain(path)
    handle = os.open(path, flags | NO_LINK | _FLAGS, 0o644)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{path.name} is not a plain file")
        if not NO_LINK and not os.path.samestat(status, os.lstat(path)):
            raise OSError(f"{path.name} was replaced while it was opened")
    except OSError:
        os.close(handle)
        raise
    return handle


def temporary_path(path: Path) -> Path:
    """Where this process writes a file before it is renamed to `path`; see `run_entries.sweep`."""
    ending = os.fsencode(path.name)[-_LONGEST_NAME:].decode(sys.getfilesystemencoding(), "ignore")
    return path.with_name(f".tmp-{owner()}-{ending}")


def _name_file(error: BaseException, temporary: Path, path: Path) -> None:
    """Makes an error of the temporary file one of the file itself, whose name the user knows."""
    if isinstance(error, OSError) and error.filename == str(temporary):
        error.filename = str(path)


def _check_one_name(handle: int, path: Path) -> None:
    names = os.fstat(handle).st_nlink
    if names > 1:
        raise OSError(
            f"{path.name} has {names} names (hard links), so that writing would change another file"
        )


def why(error: Exception) -> str:
    """An error as the end of a sentence, for example "meta.json: No such file or directory"."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    name = os.path.basename(os.fsdecode(error.filename)) if isinstance(error.filename, (str, bytes)) else ""
    return f"{name}: {error.strerror}" if name else error.strerror

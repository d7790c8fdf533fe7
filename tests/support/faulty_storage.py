"""Disks that fail: at the k-th call, by a kill, or by a power cut that loses what was not flushed."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from joule.storage.files import Bytes, Disk


class Killed(BaseException):
    """The process was killed: nothing after it happens."""


class FaultyDisk(Disk):
    """Fails its k-th call (from 0) with an errno, or with Killed when `fault` is "kill".

    A failing write leaves half of its bytes. `failed` says whether call k was reached.
    """

    def __init__(self, k: int, fault: str) -> None:
        self.calls_left, self.fault, self.failed = k, fault, False

    def _call(self, before_failing: Callable[[], None] = lambda: None) -> None:
        if self.failed and self.fault == "kill":
            raise Killed
        self.calls_left -= 1
        if self.calls_left == -1:
            self.failed = True
            before_failing()
            if self.fault == "kill":
                raise Killed
            code = getattr(errno, self.fault)
            raise OSError(code, os.strerror(code))

    def make(self, folder: Path) -> None:
        self._call()
        super().make(folder)

    def names(self, folder: Path) -> list[str]:
        self._call()
        return super().names(folder)

    def write(self, path: Path, data: Bytes) -> None:
        self._call(lambda: Disk.write(self, path, data[: len(data) // 2]))
        super().write(path, data)

    def append(self, path: Path, data: Bytes, at: int) -> None:
        self._call(lambda: Disk.append(self, path, data[: len(data) // 2], at))
        super().append(path, data, at)

    def rename(self, old: Path, new: Path) -> None:
        self._call()
        super().rename(old, new)

    def sync(self, folder: Path) -> None:
        self._call()
        super().sync(folder)

    def remove(self, path: Path) -> None:
        self._call(lambda: _remove_one(path))
        super().remove(path)


class UnflushedDisk(FaultyDisk):
    """Loses names at a power cut unless their folder was flushed: `cut_power` undoes them."""

    def __init__(self, k: int = -1) -> None:
        super().__init__(k, "kill")
        self._undo: list[tuple[Path, Callable[[], object]]] = []
        self._removed = Path(tempfile.mkdtemp())

    def write(self, path: Path, data: Bytes) -> None:
        super().write(path, data)
        self._undo.append((path.parent, path.unlink))

    def append(self, path: Path, data: Bytes, at: int) -> None:
        new = not path.exists()
        super().append(path, data, at)
        if new:
            self._undo.append((path.parent, path.unlink))

    def rename(self, old: Path, new: Path) -> None:
        super().rename(old, new)
        self._undo.append((new.parent, lambda: os.rename(new, old)))

    def remove(self, path: Path) -> None:
        if not self.failed and self.calls_left != 0:
            kept = self._removed / f"{len(self._undo)}-{os.urandom(4).hex()}"
            (shutil.copytree if path.is_dir() else shutil.copy)(path, kept)
            self._undo.append((path.parent, lambda: os.rename(kept, path)))
        super().remove(path)

    def sync(self, folder: Path) -> None:
        super().sync(folder)
        self._undo = [(place, undo) for place, undo in self._undo if place != folder]

    def cut_power(self) -> None:
        """Undoes names that were not flushed, newest first."""
        for _, undo in reversed(self._undo):
            undo()
        shutil.rmtree(self._removed)


def _remove_one(path: Path) -> None:
    """Removes one file of a folder, as a removal that is interrupted does."""
    if path.is_dir():
        next(iter(sorted(path.iterdir()))).unlink()

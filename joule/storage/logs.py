"""The logs of a run: CSV tables that survive a kill, a full disk and a resume, and TensorBoard's events."""

from __future__ import annotations

import csv
import io
import itertools
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from joule.storage.files import read_plain, replace_file

_LIMIT = 1 << 30  # bytes of a table

EVALUATION_COLUMNS = (
    "agent", "env", "seed", "frames", "decisions", "return_mean", "return_std", "episodes",
    "cpu_seconds", "wall_seconds", "threads", "device", "version",
)  # fmt: skip
"""The columns of evaluations.csv, and of every raw result of a comparison."""


class CsvLog:
    """A table that grows by rows and, when a new name appears, by columns. Every method raises OSError.

    Rows reach the file in one write, whole or not at all; a line cut by a kill is dropped by `truncate`.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.off = False
        self._columns = list(columns)
        self._ready = False  # whether the file has been looked at, and its header is ours

    def add(self, *rows: Mapping[str, Any]) -> None:
        """Adds rows; a name seen for the first time becomes the last column."""
        if not self._ready:
            self._start()
        fresh = [name for name in dict.fromkeys(itertools.chain(*rows)) if name not in self._columns]
        if fresh:
            before = [row for row in self._parse()[1:] if len(row) == len(self._columns)]
            self._columns = self._columns + fresh
            self._rewrite(before)
        lines = b"".join(
            _line([_text(row[name]) if name in row else "" for name in self._columns]) for row in rows
        )
        handle = os.open(
            self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644
        )
        try:
            size = os.fstat(handle).st_size
            try:
                written = os.write(handle, lines)
                if written != len(lines):
                    raise OSError(
                        f"{self.path.name}: only {written} of {len(lines)} bytes fitted on the disk"
                    )
            except OSError:
                os.ftruncate(handle, size)
                raise
        finally:
            os.close(handle)

    def truncate(self, frames: int) -> int:
        """Keeps the rows whose `frames` is at most this; returns how many others could not be read."""
        if not os.path.lexists(self.path):
            return 0
        rows = self._parse()[1:]
        self._start()
        at = self._columns.index("frames")
        readable = [row for row in rows if len(row) == len(self._columns) and row[at].isdecimal()]
        self._rewrite([row for row in readable if int(row[at]) <= frames])
        return len(rows) - len(readable)

    def _start(self) -> None:
        """Takes over the columns of a file that is there, or makes one with ours."""
        if os.path.lexists(self.path):
            found = self._parse()
            if not found or not set(self._columns) <= set(found[0]) or len(set(found[0])) < len(found[0]):
                raise OSError(f"{self.path.name} does not have the columns of this log")
            self._columns = found[0]
            self._rewrite([row for row in found[1:] if len(row) == len(self._columns)])
        else:
            self._rewrite([])
        self._ready = True

    def _parse(self) -> list[list[str]]:
        """Header and rows; a last line without its end was cut by a kill, and is left out."""
        text = read_plain(self.path, _LIMIT).decode("utf-8", "replace")
        whole = text[: text.rfind("\n") + 1].replace("\0", "")
        try:
            return list(csv.reader(io.StringIO(whole, newline="")))
        except csv.Error as error:
            raise OSError(f"{self.path.name} is not a table: {error}") from error

    def _rewrite(self, rows: Sequence[Sequence[str]]) -> None:
        padded = [[*row, *[""] * (len(self._columns) - len(row))] for row in rows]
        replace_file(self.path, b"".join(map(_line, [self._columns, *padded])))


class TensorBoardLog:
    """Scalars as TensorBoard's event files, written at once, without its threads.

    TensorBoard's own writer hands events to a thread, where a full disk goes unseen and a fork hangs.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self.off = False
        self._file: Any = None
        self._restart: int | None = None

    def add(self, row: Mapping[str, Any]) -> None:
        """Adds every number of a row at step `frames`. Raises OSError or ImportError."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # type: ignore[import-untyped]
        from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]
        from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]

        events = []
        if self._file is None:
            if self.path.is_symlink():
                raise OSError(f"{self.path.name} is a link")
            self.path.mkdir(exist_ok=True)
            name = f"events.out.tfevents.{time.time_ns()}.{os.getpid()}"
            self._file = open(self.path / name, "xb", buffering=0)  # noqa: SIM115 - closed by close()
            events.append(Event(wall_time=time.time(), file_version="brain.Event:2"))
            if self._restart is not None:
                restart = SessionLog(status=SessionLog.START)
                events.append(Event(wall_time=time.time(), step=self._restart, session_log=restart))
        values = [
            Summary.Value(tag=name, simple_value=float(value))
            for name, value in row.items()
            if name != "frames"
        ]
        events.append(Event(wall_time=time.time(), step=row["frames"], summary=Summary(value=values)))
        buffer = io.BytesIO()
        writer = RecordWriter(buffer)
        for event in events:
            writer.write(event.SerializeToString())
        if self._file.write(buffer.getvalue()) != buffer.tell():
            raise OSError("an event did not fit on the disk")

    def truncate(self, frames: int) -> int:
        """Tells TensorBoard, with the next event, to forget what earlier files hold after `frames`."""
        self.close()
        self._restart = frames + 1
        return 0

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _line(cells: Sequence[str]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue().encode()


def _text(value: Any) -> str:
    """Numbers so that reading them back gives the same number, whatever the locale."""
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        return str(value)
    number = value.item() if hasattr(value, "item") else value
    return repr(number)

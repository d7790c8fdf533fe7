"""Log files: CSV tables that stay valid after a kill, a full disk or a resume, and TensorBoard's events."""

from __future__ import annotations

import csv
import io
import itertools
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from joule.storage.files import read_plain, replace_file

_LIMIT = 1 << 30  # bytes of a table that is read

EVALUATION_COLUMNS = (
    "agent", "env", "seed", "frames", "decisions", "return_mean", "return_std", "episodes",
    "cpu_seconds", "wall_seconds", "threads", "device", "version",
)  # fmt: skip
"""The columns of evaluations.csv, and of every result file that `compare` reads."""
FORECAST_COLUMNS = ("frames", "seed", "decision", "predicted_return", "return", "predicted_cost", "cost")
"""The columns of forecasts.csv. A decision without a known return leaves that cell empty."""


class CsvLog:
    """A table that grows by rows and, when a new name appears, by columns.

    Rows reach the file in one write, all or none. `truncate` drops a line that a kill cut off.

    Args:
        path: the file; it is made when the first row is added.
        columns: the names of the first columns.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.off = False
        """Whether the owner has switched this log off."""
        self._columns = list(columns)
        self._ready = False  # whether the file exists and its header is `_columns`

    def add(self, *rows: Mapping[str, Any]) -> None:
        """Adds rows. A new name becomes the last column.

        Raises:
            OSError: when the file has other columns, or the disk refuses; then no row is added.
        """
        if not self._ready:
            self._start()
        new_names = [name for name in dict.fromkeys(itertools.chain(*rows)) if name not in self._columns]
        if new_names:
            complete = [row for row in self._parse()[1:] if len(row) == len(self._columns)]
            self._columns = self._columns + new_names
            self._rewrite(complete)
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
        """Keeps the rows whose `frames` is at most this.

        Returns:
            How many rows could not be read, and are dropped too.

        Raises:
            OSError: when the file has other columns, or the disk refuses.
        """
        if not os.path.lexists(self.path):
            return 0
        rows = self._parse()[1:]
        self._start()
        column = self._columns.index("frames")
        readable = [row for row in rows if len(row) == len(self._columns) and row[column].isdecimal()]
        self._rewrite([row for row in readable if int(row[column]) <= frames])
        return len(rows) - len(readable)

    def _start(self) -> None:
        """Adopts the columns of an existing file, or makes a file with the first columns."""
        if os.path.lexists(self.path):
            header, *rows = self._parse() or [[]]
            if not set(self._columns) <= set(header) or len(set(header)) < len(header):
                raise OSError(f"{self.path.name} does not have the columns of this log")
            self._columns = header
            self._rewrite([row for row in rows if len(row) == len(self._columns)])
        else:
            self._rewrite([])
        self._ready = True

    def _parse(self) -> list[list[str]]:
        """Header and rows. A last line without a line end was cut off by a kill, and is left out."""
        text = read_plain(self.path, _LIMIT).decode("utf-8", "replace")
        lines = text[: text.rfind("\n") + 1].replace("\0", "")
        try:
            return list(csv.reader(io.StringIO(lines, newline="")))
        except csv.Error as error:
            raise OSError(f"{self.path.name} is not a table: {error}") from error

    def _rewrite(self, rows: Sequence[Sequence[str]]) -> None:
        padded = [[*row, *[""] * (len(self._columns) - len(row))] for row in rows]
        replace_file(self.path, b"".join(map(_line, [self._columns, *padded])))


class TensorBoardLog:
    """Scalars in TensorBoard's event files, written directly and without a thread.

    TensorBoard's own writer passes events to a thread, which hides a full disk and blocks after a fork.

    Args:
        folder: where the event files are; it is made when the first row is added.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self.off = False
        """Whether the owner has switched this log off."""
        self._file: Any = None
        self._restart: int | None = None

    def add(self, row: Mapping[str, Any]) -> None:
        """Adds every number of a row at step `frames`.

        Raises:
            OSError: when the disk refuses.
            ImportError: when TensorBoard is not installed.
        """
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
        """Makes TensorBoard ignore, from the next event on, what earlier files hold after `frames`.

        Returns:
            0: no row is lost.
        """
        self.close()
        self._restart = frames + 1
        return 0

    def close(self) -> None:
        """Closes the event file; the next row starts another one."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _line(cells: Sequence[str]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue().encode()


def _text(value: Any) -> str:
    """The text of a cell. A number is written so that reading it gives the same number."""
    plain = value.item() if isinstance(value, np.generic) else value
    return repr(plain) if isinstance(plain, (int, float)) else str(plain)

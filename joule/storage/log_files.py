"""Log files: CSV tables that stay valid after a kill, a full disk or a resume, and TensorBoard's events."""

from __future__ import annotations

import csv
import io
import itertools
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from joule.storage.files import DISK, open_append, open_new, open_plain_file, replacing
from joule.storage.reader import read_lines

EVALUATION_COLUMNS = (
    "agent", "env", "seed", "frames", "decisions", "return_mean", "return_std", "episodes",
    "cpu_seconds", "wall_seconds", "threads", "device", "version",
)  # fmt: skip
"""The columns of evaluations.csv, and of every result file that `compare` reads."""
SUCCESS_COLUMN = "success_rate"
"""The last column of evaluations.csv, where the environment says which episodes succeeded."""
FORECAST_COLUMNS = ("frames", "seed", "decision", "predicted_return", "return", "predicted_cost", "cost")
"""The columns of forecasts.csv. A decision without a known return leaves that cell empty."""
EPISODE_COLUMNS = ("frames", "return", "length")
"""The columns of episodes.csv: frames at the episode's end, its sum of rewards, its decisions."""

READOUT_COLUMNS = ("frames", "readout", "r_squared")
"""The columns of readouts.csv. A readout that did not vary leaves the last cell empty."""

_EVENTS = re.compile(r"events\.out\.tfevents\.([0-9]{1,19})\.")


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
            width = len(self._columns)
            self._columns = self._columns + new_names
            self._rewrite(row for row in self._data_rows() if len(row) == width)
        lines = b"".join(
            _line([_text(row[name]) if name in row else "" for name in self._columns]) for row in rows
        )
        handle = open_append(self.path)
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
        self._adopt_columns()
        column, lost = self._columns.index("frames"), 0

        def kept() -> Iterator[list[str]]:
            nonlocal lost
            for row in self._data_rows():
                if len(row) != len(self._columns) or not re.fullmatch("[0-9]{1,18}", row[column]):
                    lost += 1
                elif int(row[column]) <= frames:
                    yield row

        self._rewrite(kept())
        self._ready = True
        return lost

    def rows(self) -> Iterator[dict[str, str]]:
        """The complete rows by column name, one after the other; none where there is no file.

        Raises:
            OSError: when the file has other columns, or cannot be read.
        """
        if not os.path.lexists(self.path):
            return
        self._adopt_columns()
        for row in self._data_rows():
            if len(row) == len(self._columns):
                yield dict(zip(self._columns, row, strict=True))

    def _start(self) -> None:
        """Adopts the columns of an existing file, or makes a file with the first columns."""
        if os.path.lexists(self.path):
            self._adopt_columns()
            self._rewrite(row for row in self._data_rows() if len(row) == len(self._columns))
        else:
            self._rewrite([])
        self._ready = True

    def _adopt_columns(self) -> None:
        header = next(self._parse(), [])
        if not set(self._columns) <= set(header) or len(set(header)) < len(header):
            raise OSError(f"{self.path.name} does not have the columns of this log")
        self._columns = header

    def _parse(self) -> Iterator[list[str]]:
        """Header and rows. A last line without a line end was cut off by a kill, and is left out."""
        try:
            yield from csv.reader(read_lines(self.path))
        except csv.Error as error:
            raise OSError(f"{self.path.name} is not a table: {error}") from error

    def _data_rows(self) -> Iterator[list[str]]:
        """The rows without the header."""
        return itertools.islice(self._parse(), 1, None)

    def _rewrite(self, rows: Iterable[Sequence[str]]) -> None:
        """Replaces the file by the columns and these rows. One row at a time is in memory."""
        with (
            replacing(self.path) as temporary,
            os.fdopen(open_plain_file(temporary, os.O_WRONLY), "wb") as file,
        ):
            file.write(_line(self._columns))
            for row in rows:
                file.write(_line([*row, *[""] * (len(self._columns) - len(row))]))


class TensorBoardLog:
    """TensorBoard's event files, written directly and without a thread.

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
        """Adds every value of a row at step `frames`: a number as a scalar, a `Summary.Value` as it is.

        Raises:
            OSError: when the disk refuses.
            ImportError: when TensorBoard is not installed.
        """
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # type: ignore[import-untyped]
        from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]
        from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]

        events = []
        if self._file is None:
            DISK.make(self.path)
            self._file = os.fdopen(open_new(self.path / self._next_name()), "wb", buffering=0)
            events.append(Event(wall_time=time.time(), file_version="brain.Event:2"))
            if self._restart is not None:
                restart = SessionLog(status=SessionLog.START)
                events.append(Event(wall_time=time.time(), step=self._restart, session_log=restart))
        values = [
            value if isinstance(value, Summary.Value) else Summary.Value(tag=name, simple_value=float(value))
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

    def _next_name(self) -> str:
        """The name of a new event file, which is after those of all others.

        TensorBoard reads them in the order of their names. The clock may have been set back since the last one, or
        be that of another machine.
        """
        known = [match for name in DISK.names(self.path) if (match := _EVENTS.match(name))]
        newest = max((int(match[1]) for match in known), default=0)
        return f"events.out.tfevents.{max(time.time_ns(), newest + 1)}.{os.getpid()}"

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

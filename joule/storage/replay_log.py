"""The replay buffer on disk: an append-only log of rows, so that a save writes only new rows.

Rows are raw little-endian records in segment files. A segment only grows, up to `segment_rows`. A commit
names each segment with its row count and the SHA-256 of that many rows, so that a checkpoint that stores the
commit stays loadable while the last segment grows. A log that is reopened at an earlier commit starts a new
segment and overwrites nothing, so that other checkpoints stay loadable.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from joule.storage.errors import ReplayLogError
from joule.storage.files import DISK, Storage, why
from joule.storage.reader import open_plain
from joule.storage.replay_commit import (
    SEGMENT,
    SEGMENT_ROWS,
    Columns,
    Segment,
    column_names,
    commit_of,
    parse_commit,
    record_type,
    verify_segment,
)

__all__ = ["Columns", "ReplayLog", "ReplayLogError"]


class ReplayLog:
    """Rows of fixed-size columns, appended in order and numbered from 0.

    Rows wait in memory until `commit`, or until there are enough for a segment. Pruned rows keep their
    numbers: the log holds the rows from `first` to `rows`. The log of a replay buffer that has overwritten
    its oldest rows starts at the oldest row that is held.
    """

    def __init__(
        self,
        folder: Path,
        columns: Columns,
        *,
        first: int = 0,
        segment_rows: int = SEGMENT_ROWS,
        storage: Storage = DISK,
    ) -> None:
        """Starts an empty log.

        Args:
            folder: where the segment files are; it is made when the first row is written.
            columns: shape and dtype of one row's entry by column name.
            first: the number of the first row.
            segment_rows: the most rows of a segment file.
            storage: the file system.

        Raises:
            ReplayLogError: a column cannot be stored, or the folder cannot be read.
        """
        self.folder = Path(folder)
        self.record = record_type(columns)
        if segment_rows < 1:
            raise ReplayLogError(f"replay: segment_rows {segment_rows} must be at least 1")
        self.first = first
        self._segment_rows = segment_rows
        self._storage = storage
        self._segments: list[Segment] = []
        self._pending = bytearray()
        self._frozen = False  # whether the last segment must not grow
        self._unsynced = False  # whether the folder has a new name that is not flushed
        try:
            names = storage.names(self.folder) if self.folder.is_dir() else []
        except OSError as error:
            raise ReplayLogError(f"replay {self.folder}: {why(error)}") from error
        matches = [SEGMENT.fullmatch(name) for name in names]
        self._serial = max((int(match[1]) for match in matches if match), default=-1) + 1

    @classmethod
    def open(
        cls,
        folder: Path,
        columns: Columns,
        committed: Mapping[str, Any],
        *,
        segment_rows: int = SEGMENT_ROWS,
        storage: Storage = DISK,
    ) -> ReplayLog:
        """The log as it was at a commit, with every row verified. Later rows are left out.

        Raises:
            ReplayLogError: a segment is missing, short, a link or damaged, or the columns differ; the
                message names it.
        """
        log = cls(folder, columns, segment_rows=segment_rows, storage=storage)
        log.first, claims = parse_commit(committed, log.record, log.folder)
        for name, rows, sha256 in claims:
            # Rows after the commit may belong to another checkpoint: a segment that has some must not grow.
            segment, log._frozen = verify_segment(log.folder / name, rows, sha256, log.record.itemsize)
            log._segments.append(segment)
        return log

    @property
    def rows(self) -> int:
        """The number of rows ever appended, those waiting in memory included."""
        return self._stored + len(self._pending) // self.record.itemsize

    @property
    def _stored(self) -> int:
        return self.first + sum(segment.rows for segment in self._segments)

    def append(self, columns: Mapping[str, np.ndarray]) -> None:
        """Adds rows.

        Args:
            columns: every column as [n, *shape], of its dtype or one that converts without loss.

        Raises:
            ReplayLogError: the columns do not fit; then no row is added. Or the disk refuses; then the rows
                are added, and `commit` may be retried.
        """
        names = column_names(self.record)
        if set(columns) != set(names):
            raise ReplayLogError(f"replay: rows have columns {sorted(columns)}, expected {sorted(names)}")
        arrays = {name: np.asarray(array) for name, array in columns.items()}
        count = {len(array) if array.ndim else -1 for array in arrays.values()}
        if len(count) != 1:
            raise ReplayLogError("replay: the columns differ in their number of rows")
        rows = np.empty(count.pop() if -1 not in count else 0, dtype=self.record)
        for name, array in arrays.items():
            target = rows[name]
            if array.shape != target.shape or not np.can_cast(array.dtype, target.dtype, "safe"):
                raise ReplayLogError(
                    f"replay: column {name} is {array.dtype}{list(array.shape)}, "
                    f"expected {target.dtype}{list(target.shape)}"
                )
            target[...] = array
        self._pending += rows.tobytes()
        if len(self._pending) >= self._segment_rows * self.record.itemsize:
            self._write()

    def commit(self) -> dict[str, Any]:
        """Writes all rows to the disk.

        Returns:
            What `open` needs to find and verify them, as JSON values.

        Raises:
            ReplayLogError: the disk refuses; `commit` may be retried.
        """
        self._write()
        return commit_of(self.first, self.record, self._segments)

    def prune(self, keep_rows: int, kept: Iterable[Mapping[str, Any]] = ()) -> None:
        """Drops the segments before the last `keep_rows` rows, and removes files that no commit names.

        Args:
            keep_rows: how many of the newest rows stay.
            kept: the commits of every checkpoint that must stay loadable (`checkpoint.kept_files`).

        Raises:
            ReplayLogError: a commit is not readable, or the disk refuses.
        """
        while self._segments and self.first + self._segments[0].rows <= self._stored - keep_rows:
            self.first += self._segments.pop(0).rows
        named = {segment.name for segment in self._segments}
        try:
            for commit in kept:
                named |= {entry["name"] for entry in commit["segments"]}
        except (KeyError, TypeError) as error:
            raise ReplayLogError(f"replay {self.folder}: a checkpoint's commit is not readable") from error
        try:
            for name in self._storage.names(self.folder) if self.folder.is_dir() else []:
                if SEGMENT.fullmatch(name) and name not in named:
                    self._storage.remove(self.folder / name)
        except OSError as error:
            raise ReplayLogError(f"replay {self.folder}: {why(error)}") from error

    def read(self, first: int, last: int) -> dict[str, np.ndarray]:
        """The rows `first` to `last` (exclusive), every column as [last - first, *shape].

        Raises:
            ReplayLogError: the log does not hold these rows, or a segment cannot be read.
        """
        if not self.first <= first <= last <= self.rows:
            raise ReplayLogError(
                f"replay: rows {first} to {last} were asked for, {self.first} to {self.rows} are held"
            )
        columns = {
            name: np.empty((last - first, *self.record[name].shape), self.record[name].base)
            for name in column_names(self.record)
        }
        for start, rows in self._pieces(first, last):
            for name, column in columns.items():
                column[start - first : start - first + len(rows)] = rows[name]
        return columns

    def read_tail(self, count: int) -> dict[str, np.ndarray]:
        """The last `count` rows, or all rows that are held when there are fewer. Raises as `read`."""
        return self.read(max(self.first, self.rows - count), self.rows)

    def _pieces(self, first: int, last: int) -> Iterator[tuple[int, np.ndarray]]:
        """(number of the first row, records) of each segment's share of the rows first to last."""
        begin, size = self.first, self.record.itemsize
        for segment in self._segments:
            low, high = max(first, begin), min(last, begin + segment.rows)
            if low < high:
                path = self.folder / segment.name
                try:
                    handle, _ = open_plain(path)
                    with os.fdopen(handle, "rb") as file:
                        file.seek((low - begin) * size)
                        data = file.read((high - low) * size)
                except OSError as error:
                    raise ReplayLogError(f"replay {self.folder}: {why(error)}") from error
                if len(data) != (high - low) * size:
                    raise ReplayLogError(f"replay {path}: ends before row {high - begin}")
                yield low, np.frombuffer(data, self.record)
            begin += segment.rows
        low = max(first, begin)
        if low < last:
            yield low, np.frombuffer(bytes(self._pending), self.record)[low - begin : last - begin]

    def _write(self) -> None:
        """Writes the waiting rows to the disk. Each piece leaves memory once it is written."""
        size = self.record.itemsize
        try:
            while self._pending:
                tail = self._segments[-1] if self._segments else None
                if tail is None or self._frozen or tail.rows >= self._segment_rows:
                    self._storage.make(self.folder)
                    tail = Segment(f"segment-{self._serial:08d}.rows", 0, hashlib.sha256())
                share = bytes(self._pending[: (self._segment_rows - tail.rows) * size])
                self._storage.append(self.folder / tail.name, share, at=tail.rows * size)
                if not tail.rows:
                    self._segments.append(tail)
                    self._serial, self._frozen, self._unsynced = self._serial + 1, False, True
                tail.hash.update(share)
                tail.rows += len(share) // size
                del self._pending[: len(share)]
            if self._unsynced:
                self._storage.sync(self.folder)
                self._unsynced = False
        except OSError as error:
            raise ReplayLogError(f"replay {self.folder} could not be written: {why(error)}") from error

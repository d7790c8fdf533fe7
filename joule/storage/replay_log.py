"""The replay on disk: an append-only log of rows, so that a save costs only what is new.

Rows are raw little-endian records in segment files. A segment only ever grows, up to `segment_rows`,
and a commit names each segment with its row count and the SHA-256 of that many rows: a checkpoint that
stores the commit stays loadable while the last segment grows behind it. A log reopened at an earlier
commit starts a new segment instead of overwriting, so it harms no other checkpoint either.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from joule.storage.files import DISK, Storage, open_plain, why
from joule_errors import Refused

Columns = Mapping[str, tuple[tuple[int, ...], Any]]
"""Name -> (shape of one row's entry, dtype), e.g. {"observation": ((17,), "float32")}."""

_SEGMENT = re.compile(r"segment-([0-9]{8})\.rows")
_CHUNK = 8 << 20  # bytes hashed at a time: verifying a file never takes more memory than this


class ReplayLogError(Refused):
    """Rows that cannot be stored or must not be trusted; the message is one sentence."""


@dataclass
class _Segment:
    name: str
    rows: int
    hash: Any  # hashlib's running SHA-256 of the first `rows` records

    def entry(self) -> dict[str, Any]:
        return {"name": self.name, "rows": self.rows, "sha256": self.hash.hexdigest()}


class ReplayLog:
    """Rows of fixed-size columns, appended in order and numbered from 0 for ever.

    Rows wait in memory until `commit` (or until a segment's worth has gathered). Pruned rows keep their
    numbers: the log holds rows `first` to `rows`; one begun from a wrapped ring starts at its oldest.
    Raises ReplayLogError for columns or rows that do not fit, and when the disk refuses: the rows that were
    appended are still here, and `commit` may be retried.
    """

    def __init__(
        self,
        folder: Path,
        columns: Columns,
        *,
        first: int = 0,
        segment_rows: int = 10_000,
        storage: Storage = DISK,
    ) -> None:
        self.folder = Path(folder)
        self.record = record_type(columns)
        if segment_rows < 1:
            raise ReplayLogError(f"replay: segment_rows {segment_rows} must be at least 1")
        self.first = first
        self._segment_rows = segment_rows
        self._storage = storage
        self._segments: list[_Segment] = []
        self._pending = bytearray()
        self._frozen = False  # whether the last segment must not grow
        self._unsynced = False  # whether the folder has a new name that is not yet on the disk
        try:
            names = storage.names(self.folder) if self.folder.is_dir() else []
        except OSError as error:
            raise ReplayLogError(f"replay {self.folder}: {why(error)}") from error
        found = [_SEGMENT.fullmatch(name) for name in names]
        self._serial = max((int(match[1]) for match in found if match), default=-1) + 1

    @classmethod
    def open(
        cls,
        folder: Path,
        columns: Columns,
        committed: Mapping[str, Any],
        *,
        segment_rows: int = 10_000,
        storage: Storage = DISK,
    ) -> ReplayLog:
        """The log as it was at a commit; rows written after it are left out. Every row is verified.

        Raises ReplayLogError naming the segment that is missing, short, a link or damaged, or the
        columns that differ.
        """
        log = cls(folder, columns, segment_rows=segment_rows, storage=storage)
        log.first, claims = _check_commit(committed, log.record, log.folder)
        for name, rows, sha256 in claims:
            digest = hashlib.sha256()
            try:
                handle, size = open_plain(log.folder / name)
                with os.fdopen(handle, "rb") as file:
                    wanted = rows * log.record.itemsize
                    if size < wanted:
                        raise ReplayLogError(
                            f"replay {log.folder / name}: holds {size} bytes, {wanted} were committed"
                        )
                    for start in range(0, wanted, _CHUNK):
                        digest.update(file.read(min(_CHUNK, wanted - start)))
            except OSError as error:
                raise ReplayLogError(f"replay {log.folder}: {why(error)}") from error
            if digest.hexdigest() != sha256:
                raise ReplayLogError(
                    f"replay {log.folder / name}: is damaged, its rows are not those committed"
                )
            log._segments.append(_Segment(name, rows, digest))
            # Rows beyond the commit may be another checkpoint's: they are not overwritten.
            log._frozen = size != wanted
        return log

    @property
    def rows(self) -> int:
        """The number of rows ever appended, those waiting in memory included."""
        return self._stored + len(self._pending) // self.record.itemsize

    @property
    def _stored(self) -> int:
        return self.first + sum(segment.rows for segment in self._segments)

    def append(self, columns: Mapping[str, np.ndarray]) -> None:
        """Adds rows: every column as [n, *shape], of its dtype or one that converts without loss."""
        assert self.record.names is not None
        if set(columns) != set(self.record.names):
            raise ReplayLogError(
                f"replay: rows have columns {sorted(columns)}, expected {sorted(self.record.names)}"
            )
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
        """Puts all rows on the disk and returns what `open` needs to find and verify them, as JSON."""
        self._write()
        return {
            "first": self.first,
            "record": _describe(self.record),
            "segments": [segment.entry() for segment in self._segments],
        }

    def prune(self, keep_rows: int, kept: Iterable[Mapping[str, Any]] = ()) -> None:
        """Lets go of segments before the last `keep_rows` rows, and removes files nobody names.

        `kept` are the commits of every checkpoint that must stay loadable (`checkpoint.kept_files`).
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
                if _SEGMENT.fullmatch(name) and name not in named:
                    self._storage.remove(self.folder / name)
        except OSError as error:
            raise ReplayLogError(f"replay {self.folder}: {why(error)}") from error

    def read(self, first: int, last: int) -> dict[str, np.ndarray]:
        """Rows first to last (exclusive), as one array [last - first, *shape] for each column."""
        if not self.first <= first <= last <= self.rows:
            raise ReplayLogError(
                f"replay: rows {first} to {last} were asked for, {self.first} to {self.rows} are held"
            )
        assert self.record.names is not None
        columns = {
            name: np.empty((last - first, *self.record[name].shape), self.record[name].base)
            for name in self.record.names
        }
        for start, rows in self._pieces(first, last):
            for name, column in columns.items():
                column[start - first : start - first + len(rows)] = rows[name]
        return columns

    def read_tail(self, count: int) -> dict[str, np.ndarray]:
        """The last `count` rows, or all that are held when there are fewer."""
        return self.read(max(self.first, self.rows - count), self.rows)

    def _pieces(self, first: int, last: int) -> Iterator[tuple[int, np.ndarray]]:
        """(number of the first row, records) of each segment's share of rows first to last."""
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
        """Moves waiting rows to the disk; what was written is dropped from memory piece by piece."""
        size = self.record.itemsize
        try:
            while self._pending:
                tail = self._segments[-1] if self._segments else None
                if tail is None or self._frozen or tail.rows >= self._segment_rows:
                    self._storage.make(self.folder)
                    tail = _Segment(f"segment-{self._serial:08d}.rows", 0, hashlib.sha256())
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


def record_type(columns: Columns) -> np.dtype[Any]:
    """The packed little-endian record of one row. Raises ReplayLogError for a column that is not numeric."""
    fields = []
    for name, (shape, dtype) in columns.items():
        kind = np.dtype(dtype)
        if kind.kind not in "biuf" or kind.itemsize > 8:
            raise ReplayLogError(f"replay: column {name} has dtype {kind}, which cannot be stored")
        fields.append((name, kind.newbyteorder("<"), tuple(shape)))
    record = np.dtype(fields)
    if not fields or not record.itemsize:
        raise ReplayLogError("replay: a row needs at least one column of at least one number")
    return record


def _describe(record: np.dtype[Any]) -> list[list[Any]]:
    assert record.names is not None
    return [[name, record[name].base.str, list(record[name].shape)] for name in record.names]


def _check_commit(
    committed: Any, record: np.dtype[Any], folder: Path
) -> tuple[int, list[tuple[str, int, str]]]:
    """(first row, [(segment, rows, sha256)]) of a commit read from a file that a stranger may have made."""
    if not isinstance(committed, Mapping) or set(committed) != {"first", "record", "segments"}:
        raise ReplayLogError(f"replay {folder}: the checkpoint's commit is not one of a replay log")
    if committed["record"] != _describe(record):
        raise ReplayLogError(
            f"replay {folder}: holds rows of {committed['record']}, expected {_describe(record)}"
        )
    claims: dict[str, tuple[str, int, str]] = {}
    entries = committed["segments"]
    for entry in entries if isinstance(entries, list) else [None]:
        match entry:
            case {"name": str(name), "rows": int(rows), "sha256": str(sha256)} if (
                _SEGMENT.fullmatch(name) and name not in claims and _is_count(rows) and rows
            ):
                claims[name] = (name, rows, sha256)
            case _:
                raise ReplayLogError(f"replay {folder}: the commit names a segment {str(entry)[:120]}")
    first = committed["first"]
    if not _is_count(first):
        raise ReplayLogError(f"replay {folder}: the commit's first row is {first!r}")
    return first, list(claims.values())


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53

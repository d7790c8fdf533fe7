"""The commit of a replay log: the rows and files that a checkpoint refers to, and their verification."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from joule.storage.errors import ReplayLogError
from joule.storage.files import why
from joule.storage.reader import open_plain

Columns = Mapping[str, tuple[tuple[int, ...], Any]]
"""Name -> (shape of one row's entry, dtype), for example {"observation": ((17,), "float32")}."""

SEGMENT = re.compile(r"segment-([0-9]{8})\.rows")
SEGMENT_ROWS = 10_000
"""Rows of a segment, at most: no commit may name a sparse file of terabytes, which would be hashed for hours."""
_CHUNK = 8 << 20  # bytes that are hashed at a time: the largest memory that a verification takes


@dataclass
class Segment:
    """One file of rows."""

    name: str
    rows: int
    hash: Any
    """The running SHA-256 of the first `rows` records, a hashlib object."""

    def entry(self) -> dict[str, Any]:
        """The segment as JSON values of a commit."""
        return {"name": self.name, "rows": self.rows, "sha256": self.hash.hexdigest()}


def record_type(columns: Columns) -> np.dtype[Any]:
    """The packed little-endian record of one row.

    Raises:
        ReplayLogError: a column is not boolean, integer or float, or a row would hold no number.
    """
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


def column_names(record: np.dtype[Any]) -> tuple[str, ...]:
    """The column names of a record type, in order."""
    assert record.names is not None
    return record.names


def commit_of(first: int, record: np.dtype[Any], segments: list[Segment]) -> dict[str, Any]:
    """The commit of a log whose oldest row has the number `first`, as JSON values."""
    return {
        "first": first,
        "record": _described(record),
        "segments": [segment.entry() for segment in segments],
    }


def parse_commit(
    committed: Any, record: np.dtype[Any], folder: Path
) -> tuple[int, list[tuple[str, int, str]]]:
    """Reads a commit, which may come from another person.

    Returns:
        The number of the oldest row, and (segment name, rows, sha256) of every segment in order.

    Raises:
        ReplayLogError: it is not the commit of a replay log with these columns.
    """
    if not isinstance(committed, Mapping) or set(committed) != {"first", "record", "segments"}:
        raise ReplayLogError(f"replay {folder}: the checkpoint's commit is not one of a replay log")
    if committed["record"] != _described(record):
        raise ReplayLogError(
            f"replay {folder}: holds rows of {str(committed['record'])[:300]}, expected {_described(record)}"
        )
    claims: dict[str, tuple[str, int, str]] = {}
    entries = committed["segments"]
    for entry in entries if isinstance(entries, list) else [None]:
        match entry:
            case {"name": str(name), "rows": int(rows), "sha256": str(sha256)} if (
                SEGMENT.fullmatch(name)
                and name not in claims
                and _is_count(rows)
                and 0 < rows <= SEGMENT_ROWS
            ):
                claims[name] = (name, rows, sha256)
            case _:
                raise ReplayLogError(f"replay {folder}: the commit names a segment {str(entry)[:120]}")
    first = committed["first"]
    if not _is_count(first):
        raise ReplayLogError(f"replay {folder}: the commit's first row is {first!r}")
    return first, list(claims.values())


def verify_segment(path: Path, rows: int, sha256: str, row_bytes: int) -> tuple[Segment, bool]:
    """Verifies the first `rows` rows of a segment file.

    Returns:
        The segment, and whether the file must not grow: it holds more than these rows, or it has a second name
        (a hard link), as in a backup, which would grow with it.

    Raises:
        ReplayLogError: the file is missing, short, a link, damaged, or cannot be read.
    """
    digest, expected = hashlib.sha256(), rows * row_bytes
    try:
        handle, size = open_plain(path)
        with os.fdopen(handle, "rb") as file:
            names = os.fstat(handle).st_nlink
            if size < expected:
                raise ReplayLogError(f"replay {path}: holds {size} bytes, {expected} were committed")
            for start in range(0, expected, _CHUNK):
                digest.update(file.read(min(_CHUNK, expected - start)))
    except OSError as error:
        raise ReplayLogError(f"replay {path.parent}: {why(error)}") from error
    if digest.hexdigest() != sha256:
        raise ReplayLogError(f"replay {path}: is damaged, its rows are not those committed")
    return Segment(path.name, rows, digest), size != expected or names > 1


def _described(record: np.dtype[Any]) -> list[list[Any]]:
    return [[name, record[name].base.str, list(record[name].shape)] for name in column_names(record)]


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53

"""Tables of raw results: CSV files to which a benchmark adds rows."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a table, all values as text; none where the file does not exist."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Writes the whole table, in place of the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def replaced(rows: Iterable[dict[str, Any]], row: dict[str, Any], key: Sequence[str]) -> list[dict[str, Any]]:
    """The rows with `row` at their end, without those that are equal to it in the columns of `key`."""
    same = [str(row[name]) for name in key]
    return [*(old for old in rows if [str(old[name]) for name in key] != same), row]

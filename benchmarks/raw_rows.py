"""Tables of raw results: CSV files to which a benchmark adds rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from joule.report.evaluations import Run
from joule.storage.files import replace_file

Row = Mapping[str, Any]


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a table, all values as text; none where the file does not exist."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def read_tree(folder: Path) -> list[dict[str, Any]]:
    """The rows of all tables below a folder, each with `folder`, that of its table below this one."""
    return [
        row | {"folder": path.parent.relative_to(folder).as_posix()}
        for path in sorted(folder.rglob("*.csv"))
        for row in read(path)
    ]


def return_at(run: Run, frames: int) -> float | None:
    """The return of the evaluation at exactly so many frames; None where a run has none there."""
    return dict(zip(run.frames.tolist(), run.returns.tolist(), strict=True)).get(frames)


def write(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Writes the whole table, in place of the old one; a crash leaves either."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    replace_file(path, text.getvalue().encode())


def add(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Adds rows at the end of a table. It is read now: another command may have added its own meanwhile."""
    write(path, columns, [*read(path), *rows])


def replaced(rows: Iterable[dict[str, Any]], row: dict[str, Any], key: Sequence[str]) -> list[dict[str, Any]]:
    """The rows with `row` at their end, without those that are equal to it in the columns of `key`."""
    same = [str(row[name]) for name in key]
    return [*(old for old in rows if [str(old[name]) for name in key] != same), row]

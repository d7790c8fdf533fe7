"""Writes changes.csv of a run folder: the settings that a resume changed, and what of the robot had changed."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.configurator.dotted_names import differing, value_of
from agent.configurator.settings import Config
from joule.escaping import csv_cell
from joule.storage.changes_table import COLUMNS, ROBOT, sentence
from joule.storage.files import replace_file
from joule.storage.reader import JSON_BYTES, read_plain


def append_changes(path: Path, before: Config, after: Config, frames: int) -> list[str]:
    """Adds a row for each setting that differs.

    Args:
        path: of the table, which may not exist yet.
        before: the settings until now.
        after: the settings from now on.
        frames: of training so far.

    Returns:
        A sentence for each change but that of the budget.

    Raises:
        OSError: when the file cannot be read, or the disk refuses.
    """
    changes = [(name, value_of(before, name), value_of(after, name)) for name in differing(before, after)]
    _append(path, [(frames, name, str(old), str(new)) for name, old, new in changes])
    return [sentence(frames, name, repr(old), repr(new)) for name, old, new in changes if name != "steps"]


def append_robot(
    path: Path, groups: Sequence[str], before: Mapping[str, str], after: Mapping[str, str], frames: int
) -> list[str]:
    """Adds a row for each group of a robot's physics that differs.

    Args:
        path: as for `append_changes`.
        groups: which differ.
        before: the hashes of all groups until now.
        after: the hashes from now on.
        frames: of training so far.

    Returns:
        A sentence for each.

    Raises:
        OSError: as `append_changes`.
    """
    rows = [(frames, ROBOT + group, before[group], after[group]) for group in groups]
    _append(path, rows)
    return [sentence(*row) for row in rows]


def _append(path: Path, changes: Sequence[tuple[int, str, str, str]]) -> None:
    """Adds rows."""
    try:
        text = read_plain(path, JSON_BYTES)
    except FileNotFoundError:
        text = b""
    rows = io.StringIO(newline="")
    writer = csv.writer(rows)
    if not text:
        writer.writerow(COLUMNS)
    for frames, name, before, after in changes:
        writer.writerow((frames, name, csv_cell(before), csv_cell(after)))
    replace_file(path, text + rows.getvalue().encode())

"""Writes changes.csv of a run folder: the settings that a resume changed."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from agent.configurator.dotted_names import differing, value_of
from agent.configurator.settings import Config
from joule.escaping import csv_cell
from joule.storage.changes_table import COLUMNS
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
    try:
        text = read_plain(path, JSON_BYTES)
    except FileNotFoundError:
        text = b""
    rows = io.StringIO(newline="")
    writer = csv.writer(rows)
    if not text:
        writer.writerow(COLUMNS)
    for name, old, new in changes:
        writer.writerow((frames, name, csv_cell(str(old)), csv_cell(str(new))))
    replace_file(path, text + rows.getvalue().encode())
    return [
        f"from frame {frames:,} on {name} is {new!r}; it was {old!r}"
        for name, old, new in changes
        if name != "steps"
    ]

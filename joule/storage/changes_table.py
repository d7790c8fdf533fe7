"""Reads changes.csv of a run folder: the settings that a resume changed, and what of the robot had changed then."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from joule.storage.reader import JSON_BYTES, read_plain

COLUMNS = ("frames", "setting", "before", "after")
ROBOT = "robot: "
"""Begins the name of a row that is no setting: what of the robot's physics was another at a resume."""


def changes_until(path: Path, frames: int) -> list[str]:
    """What was changed up to so many frames, but for the budget, as sentences; none without a table.

    Raises:
        OSError: when the file cannot be read.
        ValueError: for one that is no such table.
    """
    return [
        sentence(at, name, before, after)
        for at, name, before, after in _rows(path)
        if at <= frames and name != "steps"
    ]


def sentence(frames: int, name: str, before: str, after: str) -> str:
    """What a row says: of a setting its values, of a robot what is another."""
    if name.startswith(ROBOT):
        return f"from frame {frames:,} on the robot has other {name.removeprefix(ROBOT)}"
    return f"from frame {frames:,} on {name} is {after}; it was {before}"


def changed_settings(path: Path) -> list[tuple[int, str]]:
    """The frames from which on a setting, or a part of the robot, is another one, and its name, in order.

    None without a table.

    Raises:
        OSError: when the file cannot be read.
        ValueError: for one that is no such table.
    """
    return [(at, name) for at, name, _, _ in _rows(path)]


def _rows(path: Path) -> list[tuple[int, str, str, str]]:
    """The table, as `changes_until` reads it."""
    try:
        text = read_plain(path, JSON_BYTES).decode()
    except FileNotFoundError:
        return []
    try:
        rows = list(csv.reader(io.StringIO(text)))
    except csv.Error as error:
        raise ValueError(f"{path.name}: {error}") from error
    if rows[:1] != [list(COLUMNS)] or any(len(row) != len(COLUMNS) for row in rows):
        raise ValueError(f"{path.name}: is no table of {', '.join(COLUMNS)}")
    return [(int(at), name, before, after) for at, name, before, after in rows[1:]]

"""What the runs of a sweep have come to: whether they are finished, and their evaluations, collected as CSVs."""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from joule.storage.errors import RunError
from joule.storage.files import DISK, replace_file
from joule.storage.json_files import encode_object, read_object
from joule.storage.reader import EVALUATIONS_BYTES, read_newest_row, read_text
from joule.storage.run_entries import CURVE, SUITE_SETTINGS, SUMMARY
from joule.storage.run_logs import EVALUATIONS, METRICS


def finished(folder: Path, steps: int) -> bool:
    """Whether a run has its budget of `steps` frames and its summary, so that nothing is left to do.

    One with evaluations has its curve too. A run without rewards, or without an environment, has neither.
    """
    if os.path.lexists(folder / EVALUATIONS) and not os.path.lexists(folder / CURVE):
        return False
    try:
        frames = read_object(folder / SUMMARY).get("frames")
    except RunError:
        return False
    return isinstance(frames, int) and frames >= steps


def frames_so_far(folder: Path) -> int:
    """Environment frames of a run at its newest row of metrics or evaluations; 0 before the first."""
    return max(_number(folder / name, "frames") or 0 for name in (METRICS, EVALUATIONS))


def last_return(folder: Path) -> float | None:
    """The mean return of a run's last evaluation, which is its score; None before the first."""
    return _real(folder / EVALUATIONS, "return_mean")


def evaluations(folder: Path) -> list[tuple[int, float]]:
    """Frames and mean return of each evaluation of a run; rows that cannot be read are left out."""
    found = []
    try:
        for row in csv.DictReader(_complete_lines(folder / EVALUATIONS)):
            with contextlib.suppress(KeyError, TypeError, ValueError):
                found.append((int(row["frames"]), float(row["return_mean"])))
    except OSError:
        return []
    return found


def collect(folder: Path, result: Path, given: Mapping[str, Any]) -> None:
    """Copies the evaluations of a run to a file of results, unless this holds more of them.

    Args:
        folder: the run folder.
        result: the file, such as `results/<suite>/<agent>/<env>/seed<k>.csv`; its folders are made.
        given: the settings of the suite; its folder gets them once, as `settings.json`.

    Raises:
        OSError: for evaluations that cannot be read, or a file that cannot be written.
    """
    rows = _complete_lines(folder / EVALUATIONS)
    if len(rows) > 1 and len(rows) >= len(_complete_lines(result)):
        DISK.make(result.parent)
        settings = result.parents[2] / SUITE_SETTINGS
        if given and not os.path.lexists(settings):
            replace_file(settings, encode_object(given))
        replace_file(result, "".join(rows).encode())


def _complete_lines(path: Path) -> list[str]:
    if not os.path.lexists(path):
        return []
    return [line for line in read_text(path, EVALUATIONS_BYTES).splitlines(True) if line.endswith("\n")]


def _real(path: Path, column: str) -> float | None:
    try:
        return float(read_newest_row(path)[column])
    except (OSError, KeyError, TypeError, ValueError):
        return None


def _number(path: Path, column: str) -> int | None:
    value = _real(path, column)
    return None if value is None or not abs(value) < 1e15 else int(value)

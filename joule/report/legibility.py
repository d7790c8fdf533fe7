"""How well an agent reads the readouts of its environment: read back from `readouts.csv`, and as text."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from joule.report.evaluations import ResultsError
from joule.storage.files import why
from joule.storage.log_files import READOUT_COLUMNS as COLUMNS
from joule.storage.reader import READOUTS_BYTES, read_lines
from joule.storage.run_logs import READOUTS
from joule_errors.words import rounded_down

LEGIBLE = 0.8
"""Least R² of a readout that a task or a constraint can act on: `agent.cost.legibility.LEGIBLE`."""
MOST_ILLEGIBLE = 5
"""Illegible quantities that a line names."""


def sentence(legibility: Mapping[str, float | None]) -> str:
    """How many readouts are legible, and which are not. Those without an R² (None, NaN) do not count."""
    total, bad = _illegible(legibility)
    if not total:
        return "no readout varied, so that none has an R²"
    text = f"{total - len(bad)} of {total} readouts legible (R² at least {LEGIBLE:g})"
    return f"{text}, not {_named(bad)}" if bad else text


def counted(legibility: Mapping[str, float | None]) -> tuple[int, int, str]:
    """The number of legible readouts, that of all which vary, and the names of the illegible ones."""
    total, bad = _illegible(legibility)
    return total - len(bad), total, _named(bad)


def _illegible(legibility: Mapping[str, float | None]) -> tuple[int, list[tuple[float, str]]]:
    """How many readouts have an R², and those that are illegible, the least first."""
    known = [
        (value, name) for name, value in legibility.items() if value is not None and not math.isnan(value)
    ]
    return len(known), sorted(pair for pair in known if pair[0] < LEGIBLE)


def _named(bad: list[tuple[float, str]]) -> str:
    # Names of one quantity have exactly the same R², which is said once.
    groups = [(value, [name for _, name in same]) for value, same in groupby(bad, key=itemgetter(0))]
    shown, more = groups[:MOST_ILLEGIBLE], sum(len(names) for _, names in groups[MOST_ILLEGIBLE:])
    text = ", ".join(f"{' = '.join(names)} {_shown(value)}" for value, names in shown)
    return f"{text} and {more} more" if more else text


def _shown(value: float) -> str:
    """Below 0 the mean would be nearer; by how much says nothing."""
    return "below 0" if value < 0 else rounded_down(value)


def read(folder: Path, frames: int | None = None) -> dict[str, float] | None:
    """R² by readout of one evaluation of a run. An incomplete line, left by a kill, is ignored.

    Args:
        folder: the run folder.
        frames: which evaluation; None takes the newest.

    Returns:
        Name -> R², NaN where a readout did not vary; None where there is none.

    Raises:
        ResultsError: for a file that is not such a table.
    """
    path = folder / READOUTS
    found: dict[int, dict[str, float]] = {}
    try:
        lines = csv.reader(read_lines(path, READOUTS_BYTES))
        if tuple(next(lines, ())) != COLUMNS:
            raise ResultsError(f"{path} does not have the columns {', '.join(COLUMNS)}")
        for row in lines:
            if len(row) == len(COLUMNS):
                found.setdefault(int(row[0]), {})[row[1]] = float(row[2] or "nan")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, csv.Error) as error:
        raise ResultsError(f"{path} cannot be read: {why(error)}") from None
    except ValueError as error:
        raise ResultsError(f"{path} holds something that is not a number: {error}") from None
    return found.get(max(found, default=0) if frames is None else frames)

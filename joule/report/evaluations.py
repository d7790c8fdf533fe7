"""The evaluations of one run: what a file `evaluations.csv` or `seed<k>.csv` holds.

One CSV is one run, and one row is one evaluation on held-out seeds. The columns name the agent, the
environment and the seed; the path says only where the file was found.
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joule.storage.files import why
from joule.storage.log_files import EVALUATION_COLUMNS as COLUMNS
from joule.storage.log_files import SUCCESS_COLUMN
from joule.storage.reader import EVALUATIONS_BYTES, read_text, whole_rows
from joule_errors import Refused
from joule_schema.values import LARGEST_COUNT

NUMBERS = ("frames", "decisions", "return_mean", "return_std", "episodes", "cpu_seconds", "wall_seconds")
LARGEST_NUMBER = 1e60
"""In magnitude. Statistics and figures of larger ones would not be finite; no run can come so far."""
TRIVIAL_AGENTS = ("random", "zero")
"""Agents that do not learn: their score is the same at every budget."""


class ResultsError(Refused):
    """Results that cannot be read or compared; the message is one sentence that names the file."""


class NoEvaluations(ResultsError):
    """Of a run that has none, or none yet, and of a file where a run folder was expected."""


@dataclass(frozen=True)
class Run:
    """The evaluations of one run, in order of frames; every array is `[evaluations]`."""

    source: Path
    """The run folder, or the CSV of a tree of results."""
    agent: str
    env: str
    seed: int
    columns: dict[str, NDArray[np.float64]] = field(repr=False)
    """The columns NUMBERS."""
    threads: str
    device: str
    version: str
    suite: str = ""
    """The folder of the results tree; empty for a run folder."""
    settings: dict[str, Any] = field(default_factory=dict, repr=False)
    """The settings of the run by dotted name; empty where none were kept."""
    env_spec: dict[str, Any] = field(default_factory=dict, repr=False)
    """The specification of its environment as JSON values; empty where none was kept."""
    command: str = ""
    failed: bool = False
    """Whether an error ended it, such as learning that was no longer finite."""
    success: NDArray[np.float64] | None = field(default=None, repr=False)
    """Share of each evaluation's episodes that succeeded, NaN where it is not known; None for no such column."""
    label: str = ""
    """The agent's name in tables, with the settings in which runs of this agent differ."""
    task: str = ""
    """The environment's name in tables, with what was changed in it."""

    @property
    def frames(self) -> NDArray[np.float64]:
        """Environment frames of experience at each evaluation."""
        return self.columns["frames"]

    @property
    def returns(self) -> NDArray[np.float64]:
        """Mean return over the episodes of each evaluation."""
        return self.columns["return_mean"]

    @property
    def deviations(self) -> NDArray[np.float64]:
        """Standard deviation of the return over the episodes of each evaluation."""
        return self.columns["return_std"]

    @property
    def cpu_minutes(self) -> NDArray[np.float64]:
        """CPU time of training, without evaluation, at each evaluation."""
        return self.columns["cpu_seconds"] / 60.0

    @property
    def trivial(self) -> bool:
        """Whether the agent does not learn."""
        return self.agent in TRIVIAL_AGENTS

    def at(self, budget: int | None = None) -> int:
        """Index of the last evaluation at or below a budget; it is never the best one.

        Args:
            budget: frames; None takes the last evaluation of all. A trivial agent has no budget.

        Raises:
            ResultsError: where a learning run has no evaluation that early.
        """
        if budget is None or self.trivial:
            return len(self.frames) - 1
        index = int(np.searchsorted(self.frames, budget, side="right")) - 1
        if index < 0:
            raise ResultsError(
                f"{self.source} has no evaluation at or below {budget:,} frames; "
                f"its first is at {int(self.frames[0]):,}"
            )
        return index


def read_evaluations(path: Path) -> Run:
    """The run in one CSV of evaluations.

    Raises:
        ResultsError: for a file that cannot be used; the message names the file and what is wrong with it.
    """
    try:
        reader = csv.DictReader(io.StringIO(whole_rows(read_text(path, EVALUATIONS_BYTES)), newline=""))
        header = reader.fieldnames or []
        rows = list(reader)
    except (OSError, csv.Error) as error:
        raise ResultsError(f"{path} cannot be read: {why(error)}") from None
    if not header:
        raise ResultsError(f"{path} is empty")
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise ResultsError(f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}")
    if not rows:
        raise NoEvaluations(f"{path} holds no evaluation yet, only the header")
    for name in ("agent", "env", "seed"):
        found = sorted({str(row[name]) for row in rows})
        if len(found) > 1:
            raise ResultsError(f"{path} mixes several values of {name}: {', '.join(found)}")
    columns = {
        name: np.array([_number(path, index, name, row) for index, row in enumerate(rows)])
        for name in NUMBERS
    }
    success = None
    if SUCCESS_COLUMN in header:
        shares = [
            _number(path, k, SUCCESS_COLUMN, row) if row[SUCCESS_COLUMN] else math.nan
            for k, row in enumerate(rows)
        ]
        success = np.array(shares)
    if np.any(np.diff(columns["frames"]) <= 0):
        raise ResultsError(f"{path} is out of order: frames must increase from row to row")
    last = rows[-1]
    try:
        seed = int(last["seed"])
    except ValueError:
        raise ResultsError(f"{path} has the seed {last['seed']!r}, which is not a whole number") from None
    if abs(seed) > LARGEST_COUNT:
        raise ResultsError(f"{path} has a seed beyond {LARGEST_COUNT:g}")
    text = {name: str(last[name] or "") for name in ("agent", "env", "threads", "device", "version")}
    return Run(
        path, text["agent"], text["env"], seed, columns, text["threads"], text["device"], text["version"],
        success=success,
    )  # fmt: skip


def _number(path: Path, index: int, name: str, row: dict[str, Any]) -> float:
    try:
        value = float(row[name])
    except (TypeError, ValueError):
        raise ResultsError(
            f"{path} row {index + 2}: {name} is {row[name]!r}, which is not a number"
        ) from None
    if not math.isfinite(value):
        raise ResultsError(f"{path} row {index + 2}: {name} is {row[name]}, which is not finite")
    if abs(value) > LARGEST_NUMBER:
        raise ResultsError(f"{path} row {index + 2}: {name} is {value:g}, which is beyond {LARGEST_NUMBER:g}")
    return value

"""The forecast log of a run read back, and the calibration of its predictions.

A decision predicts the discounted return to the episode's end and the cost of the next step. Each evaluation
writes both into `forecasts.csv`, beside the observed values.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy  # its parts are imported when they are used: scipy.stats takes a second
from numpy.typing import NDArray

from joule.report.amounts import count
from joule.report.evaluations import LARGEST_NUMBER, ResultsError
from joule.storage.files import why
from joule.storage.log_files import FORECAST_COLUMNS as COLUMNS
from joule.storage.reader import FORECASTS_BYTES, read_text
from joule.storage.run_logs import FORECASTS

_VALUES = ("predicted_return", "return", "predicted_cost", "cost")
LEAST_PAIRS = 30
"""Decisions for which correlation and slope are given."""
"""Pairs of a calibration: a line through a few decisions of one episode says nothing."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """How well predicted values agree with observed ones.

    Correlation 1, slope 1 and bias 0 are perfect. NaN is not known.
    """

    decisions: int
    """Number of pairs."""
    correlation: float
    """Pearson's correlation of predicted and observed values."""
    slope: float
    """Of the least-squares line of observed values against predicted ones."""
    bias: float
    """Mean of predicted minus observed; positive where the predictions are too high."""

    def words(self) -> str:
        """The calibration on one line."""
        if not self.decisions:
            return "every decision too near the time limit"
        counted = count(self.decisions, "decision")
        if math.isnan(self.slope):
            return counted
        return f"correlation {self.correlation:.2f}, slope {self.slope:.2f}, {counted}"


def calibration(predicted: Floats, observed: Floats) -> Calibration:
    """The calibration over those pairs of which both values are finite.

    Correlation and slope are NaN with fewer than thirty pairs, or where either value never changes.

    Args:
        predicted: [decisions].
        observed: [decisions], in the same units.
    """
    known = np.isfinite(predicted) & np.isfinite(observed)
    x, y = predicted[known], observed[known]
    bias = float(np.mean(x - y)) if x.size else math.nan
    if x.size < LEAST_PAIRS or not (np.ptp(x) > 0 and np.ptp(y) > 0):
        return Calibration(int(x.size), math.nan, math.nan, bias)

    line = scipy.stats.linregress(x, y)
    return Calibration(int(x.size), float(line.rvalue), float(line.slope), bias)


@dataclass(frozen=True)
class Entries:
    """The decisions of one evaluation; every array is [decisions], NaN where a value is not known."""

    frames: int
    predicted_returns: Floats
    returns: Floats
    predicted_costs: Floats
    costs: Floats

    def of_returns(self) -> Calibration:
        """Calibration of the discounted return to the episode's end."""
        return calibration(self.predicted_returns, self.returns)

    def of_costs(self) -> Calibration:
        """Calibration of the cost of the next step."""
        return calibration(self.predicted_costs, self.costs)


def pooled(of_seeds: Sequence[Entries]) -> Entries:
    """The decisions of several runs as one, at the largest number of frames among them."""
    first, *columns = zip(*(vars(entries).values() for entries in of_seeds), strict=True)
    return Entries(max(first), *(np.concatenate(column) for column in columns))


def read(folder: Path, frames: int | None = None) -> Entries | None:
    """One evaluation of the forecast log in a run folder. An incomplete line, left by a kill, is ignored.

    Args:
        folder: the run folder.
        frames: which evaluation; None takes the newest.

    Returns:
        The entries, or None where there are none.

    Raises:
        ResultsError: for a file that is not a forecast log.
    """
    path = folder / FORECASTS
    try:
        text = read_text(path, FORECASTS_BYTES)
        whole = text[: text.rfind("\n") + 1]
        header, *rows = list(csv.reader(io.StringIO(whole, newline=""))) or [[]]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, csv.Error) as error:
        raise ResultsError(f"{path} cannot be read: {why(error)}") from None
    if tuple(header) != COLUMNS:
        raise ResultsError(f"{path} does not have the columns {', '.join(COLUMNS)}")
    try:
        table = np.array([[float(cell or "nan") for cell in row] for row in rows if len(row) == len(header)])
    except ValueError as error:
        raise ResultsError(f"{path} holds something that is not a number: {error}") from None
    if not len(table):
        return None
    table[np.abs(table) > LARGEST_NUMBER] = math.nan  # not known, as where a prediction diverged
    wanted = table[:, 0].max() if frames is None else frames
    chosen = table[table[:, 0] == wanted]
    if not len(chosen):
        return None
    return Entries(int(wanted), *(chosen[:, COLUMNS.index(name)] for name in _VALUES))

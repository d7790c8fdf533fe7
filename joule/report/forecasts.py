"""The ledger of a run read back: what its decisions foretold, what came, and how well the two agree."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from joule.report.results import ResultsError

COLUMNS = ("frames", "seed", "decision", "foretold_return", "return", "foretold_cost", "cost")
_PAIRS = (("foretold_return", "return"), ("foretold_cost", "cost"))
_LIMIT = 64 << 20  # bytes of a ledger
_FEWEST = 3

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """How well what was foretold agrees with what came; 1, 1 and 0 are perfect, NaN is not known."""

    decisions: int
    correlation: float
    slope: float
    """By how much what came rises when one more is foretold."""
    bias: float
    """How much too high what was foretold is, on average."""

    def words(self) -> str:
        """The calibration on one line."""
        if not self.decisions:
            return "every decision too near the time limit"
        count = f"{self.decisions:,} decision{'s' * (self.decisions != 1)}"
        if math.isnan(self.slope):
            return count
        return f"correlation {self.correlation:.2f}, slope {self.slope:.2f}, {count}"


def calibration(foretold: Floats, came: Floats) -> Calibration:
    """Pearson's correlation, the slope of the least-squares line, and the bias, over the pairs [decisions]
    that are known; undefined where there are fewer than three, or where one of the two never changes."""
    known = np.isfinite(foretold) & np.isfinite(came)
    x, y = foretold[known], came[known]
    bias = float(np.mean(x - y)) if x.size else math.nan
    if x.size < _FEWEST or not (np.ptp(x) > 0 and np.ptp(y) > 0):
        return Calibration(int(x.size), math.nan, math.nan, bias)
    dx, dy = x - x.mean(), y - y.mean()
    together, alone = float(dx @ dy), float(dx @ dx)
    return Calibration(int(x.size), together / math.sqrt(alone * float(dy @ dy)), together / alone, bias)


@dataclass(frozen=True)
class Entries:
    """The decisions of one evaluation; every array is [decisions], NaN where something is not known."""

    frames: int
    foretold_returns: Floats
    returns: Floats
    foretold_costs: Floats
    costs: Floats

    def of_returns(self) -> Calibration:
        """How well discounted returns to the episode's end were foretold."""
        return calibration(self.foretold_returns, self.returns)

    def of_costs(self) -> Calibration:
        """How well the cost of the next step was foretold."""
        return calibration(self.foretold_costs, self.costs)


def pooled(of_seeds: Sequence[Entries]) -> Entries:
    """The decisions of several runs as one, at the most frames of them."""
    first, *columns = zip(*(vars(entries).values() for entries in of_seeds), strict=True)
    return Entries(max(first), *(np.concatenate(column) for column in columns))


def read(folder: Path, frames: int | None = None) -> Entries | None:
    """The newest evaluation in a run folder's ledger, or the one at `frames`; None where there is none.

    A line that a kill cut is left out. Raises ResultsError for a file that is not a ledger.
    """
    path = folder / "ledger.csv"
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > _LIMIT:
            raise ResultsError(f"{path} is larger than a ledger can be.")
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = list(csv.reader(file)) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise ResultsError(f"{path} cannot be read: {fault}.") from None
    if tuple(header) != COLUMNS:
        raise ResultsError(f"{path} does not have the columns {', '.join(COLUMNS)}.")
    try:
        table = np.array([[float(cell or "nan") for cell in row] for row in rows if len(row) == len(header)])
    except ValueError as fault:
        raise ResultsError(f"{path} holds something that is not a number: {fault}.") from None
    if not len(table):
        return None
    wanted = table[:, 0].max() if frames is None else frames
    chosen = table[table[:, 0] == wanted]
    if not len(chosen):
        return None
    places = [COLUMNS.index(name) for pair in _PAIRS for name in pair]
    return Entries(int(wanted), *(chosen[:, place] for place in places))


def scatter(axes: Axes, entries: Entries, colour: str, quiet: str) -> None:
    """Returns that came against those that were foretold, a dot a decision; on the dashed line they agree."""
    x, y = entries.foretold_returns, entries.returns
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    axes.set_box_aspect(1)
    axes.set_xlabel("foretold")
    axes.set_ylabel("came")
    if x.size:
        low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
        margin = 0.06 * (high - low) or 1.0
        ends = (low - margin, high + margin)
        axes.plot(ends, ends, color=quiet, linewidth=1.2, linestyle=(0, (4, 2)))
        axes.scatter(x, y, s=11, color=colour, alpha=0.45, linewidths=0, rasterized=True)
        axes.set_xlim(*ends)
        axes.set_ylim(*ends)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4))
    axes.tick_params(labelsize=9)
    axes.text(
        0.04, 0.96, entries.of_returns().words().replace(", ", "\n"), transform=axes.transAxes,
        va="top", fontsize=9.5, color=quiet,
    )  # fmt: skip

"""Figures of observed returns against predicted ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from joule.report.evaluations import Run
from joule.report.forecasts import Entries, pooled
from joule.report.plot_style import styles, theme


def predicted(forecast_logs: Sequence[tuple[Run, Entries]], *, dark: bool = False) -> Figure:
    """Observed returns against predicted ones, of all seeds of one task and label."""
    figure = Figure(figsize=(3.3, 3.2), layout="constrained")
    with matplotlib.rc_context(theme(dark)):
        figure.set_facecolor(theme(dark)["figure.facecolor"])
        ((colour, _),) = styles([run for run, _ in forecast_logs], dark=dark).values()
        of_seeds = pooled([entries for _, entries in forecast_logs])
        scatter(figure.add_subplot(), of_seeds, colour, theme(dark)["axes.labelcolor"])
    return figure


def scatter(axes: Axes, entries: Entries, colour: str, quiet: str) -> None:
    """Draws observed returns against predicted ones, one dot per decision; on the dashed line they are equal.

    Args:
        axes: where to draw.
        entries: the decisions.
        colour: of the dots.
        quiet: colour of the line and of the text.
    """
    x, y = entries.predicted_returns, entries.returns
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    axes.set_box_aspect(1)
    axes.set_xlabel("predicted")
    axes.set_ylabel("observed")
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
    # On the side of the line on which the dots are not.
    above = bool(x.size) and float(y.mean()) > float(x.mean())
    place: dict[str, Any] = {"ha": "right", "va": "bottom"} if above else {"ha": "left", "va": "top"}
    axes.text(
        *((0.96, 0.04) if above else (0.04, 0.96)), entries.of_returns().words().replace(", ", "\n"),
        transform=axes.transAxes, fontsize=9.5, color=quiet, **place,
    )  # fmt: skip

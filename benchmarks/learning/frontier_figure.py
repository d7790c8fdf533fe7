"""The figure of the frontier: return against CPU-minutes, one panel an environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from benchmarks.contenders import BY_NAME
from benchmarks.learning.frontier_curves import Curve
from joule.report.plot_style import STYLES, save, theme

LOOKS: dict[str, tuple[str, Any]] = {
    **{name: STYLES[name] for name in ("sac", "td3", "tqc", "crossq")},
    "default": STYLES["joule"],
    "strong": ("#003a61", "-"),
    "sac-2-updates": ("#e08a4f", (0, (4, 1.5))),
    "sac-4-updates": ("#a8480a", (0, (2, 1.2))),
    "sac-8-updates": ("#6b2d05", (0, (1, 1))),
}
"""Contender -> colour and line style; the shades of one colour are one agent."""
COLUMNS = 3
FIRST_MINUTE = 0.5
"""Where the axis begins: random actions of a baseline's warm-up take less."""
MEAN_TITLE = "dm_control, mean of 6 tasks"


def draw(panels: Mapping[str, Mapping[str, Curve]], path: Path) -> Figure:
    """Draws the figure and saves it.

    Args:
        panels: environment -> contender -> curve; the environment "" is the mean over tasks.
        path: where to.
    """
    rows = -(-len(panels) // COLUMNS)
    with matplotlib.rc_context(theme(False)):
        figure = Figure(figsize=(12.6, 3.3 * rows + 0.7), layout="constrained")
        grid = figure.subplots(rows, COLUMNS, squeeze=False)
        for axes, (env, curves) in zip(grid.flat, panels.items(), strict=False):
            _panel(axes, env or MEAN_TITLE, curves)
        for axes in grid[:, 0]:
            axes.set_ylabel("evaluation return")
        for axes in grid[-1]:
            axes.set_xlabel("CPU-minutes of training")
        for axes in list(grid.flat)[len(panels) :]:
            axes.set_axis_off()
        shown = {name for curves in panels.values() for name, curve in curves.items() if _drawn(curve)}
        handles = [
            Line2D([], [], color=colour, linestyle=line, linewidth=2.4, label=BY_NAME[name].label)
            for name, (colour, line) in ((name, LOOKS[name]) for name in BY_NAME if name in shown)
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=9, frameon=False, handlelength=2.6)
        save(figure, path)
    return figure


def _drawn(curve: Curve) -> bool:
    return curve.minutes is not None


def _panel(axes: Axes, title: str, curves: Mapping[str, Curve]) -> None:
    axes.set_title(title, loc="left")
    axes.set_xscale("log")
    for name in reversed([name for name in BY_NAME if name in curves]):
        curve = curves[name]
        if curve.minutes is None:
            continue
        colour, line = LOOKS[name]
        axes.fill_between(curve.minutes, curve.low, curve.high, color=colour, alpha=0.14, linewidth=0)
        width = 2.6 if BY_NAME[name].agent == "joule" else 1.9
        axes.plot(curve.minutes, curve.mean, color=colour, linestyle=line, linewidth=width)
        axes.plot(curve.minutes[-1], curve.mean[-1], "o", color=colour, markersize=5)
    if curves:
        axes.set_xlim(left=FIRST_MINUTE)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(MaxNLocator(5))

"""Learning curves: return against frames and against CPU time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from joule.escaping import figure as figure_text
from joule.report.evaluations import Run
from joule.report.forecast_figure import scatter
from joule.report.forecasts import Entries
from joule.report.plot_style import save, styles, theme, wrapped

Array = NDArray[np.float64]
Series = Mapping[str, tuple[Sequence[float] | Array, Sequence[float] | Array]]
"""Name -> (frames, values)."""


def compare(runs: Sequence[Run], path: Path | None = None, *, dark: bool = False) -> Figure:
    """One panel per task: return against frames above, and against CPU-minutes below.

    A line is the mean over seeds, and its band their minimum and maximum, both at equal frames. Against time,
    each such point lies at the mean CPU time of the seeds. Where seeds were evaluated at different frames,
    they are interpolated. Where seeds have different budgets, single seeds are thin lines.

    Args:
        runs: labelled runs.
        path: where to save the figure; None does not save it.
        dark: whether the background is dark.
    """
    tasks = sorted({run.task for run in runs})
    looks = styles(runs, dark=dark)
    columns = {1: 1, 2: 2, 4: 2}.get(len(tasks), 3)
    blocks = math.ceil(len(tasks) / columns)
    figure = Figure(figsize=(max(4.4 * columns, 6.0), 6.2 * blocks + 0.5), layout="constrained")
    with matplotlib.rc_context(theme(dark)):
        figure.set_facecolor(theme(dark)["figure.facecolor"])
        grid = figure.subplots(2 * blocks, columns, squeeze=False)
        for index in range(blocks * columns):
            block, column = divmod(index, columns)
            above, below = grid[2 * block][column], grid[2 * block + 1][column]
            if index >= len(tasks):
                above.set_axis_off()
                below.set_axis_off()
                continue
            of_task = [run for run in runs if run.task == tasks[index]]
            above.set_title(wrapped(tasks[index]), loc="left")
            for axes, axis in ((above, "frames"), (below, "cpu_minutes")):
                draw_curves(axes, of_task, curves_of(of_task, axis), looks, axis)
            if column == 0:
                above.set_ylabel("evaluation return")
                below.set_ylabel("evaluation return")
        _legend(figure, runs, looks)
        if path is not None:
            save(figure, path)
    return figure


def learning_curve(
    run: Run,
    path: Path | None = None,
    *,
    series: Series | None = None,
    entries: Entries | None = None,
    dark: bool = False,
) -> Figure:
    """One run: return against frames, and its standard deviation over episodes as a band.

    Args:
        run: the run.
        path: where to save the figure; None does not save it.
        series: further measurements, each a panel below; those without a finite value are left out.
        entries: decisions of an evaluation; their observed returns are drawn against the predicted ones.
        dark: whether the background is dark.
    """
    extras = [(name, _finite(*pair)) for name, pair in (series or {}).items()]
    extras = [(name, pair) for name, pair in extras if len(pair[0])]
    columns = min(3, len(extras)) or 1
    rows = math.ceil(len(extras) / columns)
    figure = Figure(figsize=(9.0 + 3.4 * (entries is not None), 4.4 + 1.9 * rows), layout="constrained")
    with matplotlib.rc_context(theme(dark)):
        figure.set_facecolor(theme(dark)["figure.facecolor"])
        spec = figure.add_gridspec(1 + rows, 6, height_ratios=[2.6] + [1.0] * rows)
        main = figure.add_subplot(spec[0, : 6 if entries is None else 4])
        colour = next(iter(styles([run], dark=dark).values()))[0]
        low, high = run.returns - run.deviations, run.returns + run.deviations
        _band(main, run.frames, low, high, colour, 0.18)
        main.plot(run.frames, run.returns, color=colour, marker="o", markersize=4.5)
        main.set_title(
            f"{wrapped(run.task or run.env, 60)}   {figure_text(run.label or run.agent, 60)}, seed {run.seed}",
            loc="left",
        )
        main.set_ylabel("evaluation return")
        main.annotate(
            f"{run.returns[-1]:,.4g}", (run.frames[-1], run.returns[-1]), (6, 0), textcoords="offset points",
            color=colour, weight="bold", va="center", annotation_clip=False,
        )  # fmt: skip
        _axis(main, "frames")
        if entries is not None:
            beside = figure.add_subplot(spec[0, 4:])
            beside.set_title(
                "discounted return to the episode's end", loc="left", fontsize=11, fontweight="normal"
            )
            scatter(beside, entries, colour, theme(dark)["axes.labelcolor"])
        for index, (name, (x, y)) in enumerate(extras):
            row, column = divmod(index, columns)
            width = 6 // columns
            axes = figure.add_subplot(spec[1 + row, column * width : (column + 1) * width])
            axes.plot(x, y, color=colour, linewidth=1.4, marker="o" if len(x) == 1 else "", markersize=4.5)
            axes.set_title(figure_text(name, 40), loc="left", fontsize=11, fontweight="normal")
            _axis(axes, "frames", small=True)
        if path is not None:
            save(figure, path)
    return figure


def on_common_grid(runs: Sequence[Run]) -> tuple[Array, Array, Array]:
    """The runs interpolated at the frames that all of them cover.

    Returns:
        Frames [points], CPU-minutes [seeds, points] and returns [seeds, points].
    """
    start, end = max(run.frames[0] for run in runs), min(run.frames[-1] for run in runs)
    grid = np.unique(np.concatenate([run.frames for run in runs]))
    grid = grid[(grid >= start) & (grid <= end)]
    minutes = np.stack([np.interp(grid, run.frames, run.cpu_minutes) for run in runs])
    returns = np.stack([np.interp(grid, run.frames, run.returns) for run in runs])
    return grid, minutes, returns


@dataclass(frozen=True)
class Curve:
    """One line of a panel: the mean over the seeds of a label; every array is [points]."""

    label: str
    seeds: int
    x: Array
    """Frames, or the mean CPU-minutes of the seeds at equal frames."""
    mean: Array
    low: Array
    """Minimum over the seeds."""
    high: Array
    """Maximum over the seeds."""
    level: bool
    """Whether it is one value for every x: that of an agent that does not learn. Its x is empty."""


def curves_of(runs: Sequence[Run], axis: str) -> list[Curve]:
    """The lines of a panel, one per label.

    Args:
        runs: of one task.
        axis: "frames" or "cpu_minutes".
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.label, []).append(run)
    found = []
    for label, members in groups.items():
        if members[0].trivial:
            scores = np.array([[run.returns[-1]] for run in members])
            found.append(_curve(label, np.zeros(0), scores, level=True))
        else:
            frames, minutes, returns = on_common_grid(members)
            found.append(_curve(label, frames if axis == "frames" else minutes.mean(axis=0), returns))
    return found


def draw_curves(
    axes: Axes, runs: Sequence[Run], curves: Sequence[Curve], looks: Mapping[str, tuple[str, Any]], axis: str
) -> None:
    """Draws a panel.

    Args:
        axes: where to draw.
        runs: of one task.
        curves: those of the runs, see `curves_of`.
        looks: label -> colour and line style; the first label is drawn last, above the others.
        axis: "frames" or "cpu_minutes".
    """
    for curve in sorted(curves, key=lambda curve: list(looks).index(curve.label), reverse=True):
        colour, line = looks[curve.label]
        if curve.level:
            axes.axhline(float(curve.mean[0]), color=colour, linestyle=line, linewidth=1.8)
            continue
        members = [run for run in runs if run.label == curve.label]
        if len({float(run.frames[-1]) for run in members}) > 1:
            for run in members:
                own = run.frames if axis == "frames" else run.cpu_minutes
                axes.plot(own, run.returns, color=colour, linestyle=line, linewidth=0.8, alpha=0.45)
        if curve.seeds > 1:
            _band(axes, curve.x, curve.low, curve.high, colour, 0.16)
        marker = "o" if len(curve.x) < 3 else ""
        width = 2.6 if members[0].agent == "joule" else 2.0
        axes.plot(
            curve.x, curve.mean, color=colour, linestyle=line, linewidth=width, marker=marker, markersize=5
        )
    _axis(axes, axis)


def _curve(label: str, x: Array, returns: Array, *, level: bool = False) -> Curve:
    """A line from the returns [seeds, points]."""
    low, high = returns.min(axis=0), returns.max(axis=0)
    return Curve(label, len(returns), x, returns.mean(axis=0), low, high, level)


def _in_one_unit(largest: float) -> Callable[[float, int], str]:
    """Formats all ticks of an axis up to `largest` in one unit: 0.5k and 1k, not 500 and 1k."""
    unit, letter = next((u, x) for u, x in ((1e6, "M"), (1e3, "k"), (1.0, "")) if largest >= u or not x)
    return lambda value, _: f"{value / unit:g}{letter if value else ''}"


def _band(axes: Axes, x: Array, low: Array, high: Array, colour: str, alpha: float) -> None:
    """Fills what is between two lines; of a single point it draws a bar."""
    if len(x) == 1:
        axes.vlines(x, low, high, color=colour, alpha=2.0 * alpha, linewidth=4.5)
    else:
        axes.fill_between(x, low, high, color=colour, alpha=alpha, linewidth=0)


def _axis(axes: Axes, axis: str, *, small: bool = False) -> None:
    first, last = axes.dataLim.intervalx
    if first == last > 0.0:  # a single point has no range of its own: training began at 0
        axes.set_xlim(0.0, 1.05 * last)
    if axis == "frames":
        axes.xaxis.set_major_formatter(FuncFormatter(_in_one_unit(axes.get_xlim()[1])))
    if not small:
        axes.set_xlabel("frames" if axis == "frames" else "CPU-minutes of training")
    axes.xaxis.set_major_locator(MaxNLocator(4 if small else 5, integer=axis == "frames"))
    axes.yaxis.set_major_locator(MaxNLocator(3 if small else 5))
    axes.tick_params(labelsize=9 if small else 11)
    axes.margins(x=0.02)  # where no range is set


def _legend(figure: Figure, runs: Sequence[Run], looks: Mapping[str, tuple[str, Any]]) -> None:
    handles = []
    for label, (colour, line) in looks.items():
        counts = sorted(
            {sum(r.task == task for r in runs if r.label == label) for task in {r.task for r in runs}} - {0}
        )
        seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]}-{counts[-1]}"
        noun = "seed" if counts == [1] else "seeds"
        text = f"{wrapped(label, 48)}  ({seeds} {noun})"
        handles.append(Line2D([], [], color=colour, linestyle=line, linewidth=2.4, label=text))
    longest = max(len(line) for label in looks for line in wrapped(label, 48).split("\n")) + 9
    columns = max(1, min(len(handles), int(figure.get_figwidth() * 11) // (longest + 8)))
    figure.legend(handles=handles, loc="outside upper left", ncols=columns, frameon=False, handlelength=3.2)


def _finite(x: Sequence[float] | Array, y: Sequence[float] | Array) -> tuple[Array, Array]:
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    keep = np.isfinite(xs) & np.isfinite(ys)
    return xs[keep], ys[keep]

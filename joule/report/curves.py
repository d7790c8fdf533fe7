"""Learning curves: return against frames and against CPU time, for a talk and for a README.

Colours are Okabe and Ito's, which colour-blind readers can tell apart, and every agent has a line style of
its own besides, so that a figure survives a grey printer. matplotlib is used through `Figure`, never
through pyplot: no window, no global state, safe in any process.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import IO, Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from joule.report.forecasts import Entries, pooled, scatter
from joule.report.results import Run

Array = NDArray[np.float64]
Series = Mapping[str, tuple[Sequence[float] | Array, Sequence[float] | Array]]
"""Name -> (frames, values)."""

STYLES: dict[str, tuple[str, Any]] = {
    "joule": ("#0072B2", "-"),
    "sac": ("#D55E00", (0, (5, 2))),
    "td3": ("#009E73", (0, (6, 2, 1.5, 2))),
    "tqc": ("#CC79A7", (0, (3, 1.5))),
    "crossq": ("#E69F00", (0, (8, 2, 1.5, 2, 1.5, 2))),
    "ppo": ("#56B4E9", (0, (1.5, 1.5))),
    "random": ("#8a8f98", (0, (1, 2))),
    "zero": ("#b3b7bd", (0, (1, 4))),
}
_OTHERS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#D55E00", "#7f6000")
_DASHES: tuple[Any, ...] = ((0, (4, 1.5)), (0, (7, 2, 1.5, 2)), (0, (2, 1.2)), (0, (9, 2)))
_DARK = {"#0072B2": "#4aa3ec", "#56B4E9": "#a8dcff"}
"""The two blues, lifted to be read on a dark ground."""


def compare(runs: Sequence[Run], path: Path | None = None, *, dark: bool = False) -> Figure:
    """One panel per task, return against frames above and against CPU-minutes below; saved where `path` says.

    A line is the mean over seeds, its band their minimum and maximum, both taken at equal frames; against
    time, each such point lies at the seeds' mean CPU time. Where seeds were evaluated at different frames
    they are interpolated, and beyond the shortest run single seeds go on as thin lines.
    """
    tasks = sorted({run.task for run in runs})
    looks = styles(runs, dark=dark)
    wide = {1: 1, 2: 2, 4: 2}.get(len(tasks), 3)
    blocks = math.ceil(len(tasks) / wide)
    figure = Figure(figsize=(max(4.4 * wide, 6.0), 6.2 * blocks + 0.5), layout="constrained")
    with matplotlib.rc_context(_theme(dark)):
        figure.set_facecolor(_theme(dark)["figure.facecolor"])
        grid = figure.subplots(2 * blocks, wide, squeeze=False)
        for index in range(blocks * wide):
            block, column = divmod(index, wide)
            above, below = grid[2 * block][column], grid[2 * block + 1][column]
            if index >= len(tasks):
                above.set_axis_off()
                below.set_axis_off()
                continue
            here = [run for run in runs if run.task == tasks[index]]
            above.set_title(_wrapped(tasks[index]), loc="left")
            _panel(above, here, looks, "frames")
            _panel(below, here, looks, "cpu_minutes")
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
    """One run: return against frames, its band the deviation over episodes, and a panel per series below.

    Beside it stands what the decisions of an evaluation foretold, against what came.
    """
    extras = [(name, _finite(*pair)) for name, pair in (series or {}).items()]
    extras = [(name, pair) for name, pair in extras if len(pair[0])]
    columns = min(3, len(extras)) or 1
    lines = math.ceil(len(extras) / columns)
    figure = Figure(figsize=(9.0 + 3.4 * (entries is not None), 4.4 + 1.9 * lines), layout="constrained")
    with matplotlib.rc_context(_theme(dark)):
        figure.set_facecolor(_theme(dark)["figure.facecolor"])
        spec = figure.add_gridspec(1 + lines, 6, height_ratios=[2.6] + [1.0] * lines)
        main = figure.add_subplot(spec[0, : 6 if entries is None else 4])
        colour = next(iter(styles([run], dark=dark).values()))[0]
        low, high = run.returns - run.deviations, run.returns + run.deviations
        main.fill_between(run.frames, low, high, color=colour, alpha=0.18, linewidth=0)
        main.plot(run.frames, run.returns, color=colour, marker="o", markersize=4.5)
        main.set_title(
            f"{_wrapped(run.task or run.env, 60)}   {run.label or run.agent}, seed {run.seed}", loc="left"
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
            scatter(beside, entries, colour, _theme(dark)["axes.labelcolor"])
        for index, (name, (x, y)) in enumerate(extras):
            row, column = divmod(index, columns)
            wide = 6 // columns
            axes = figure.add_subplot(spec[1 + row, column * wide : (column + 1) * wide])
            axes.plot(x, y, color=colour, linewidth=1.4)
            axes.set_title(name, loc="left", fontsize=11, fontweight="normal")
            _axis(axes, "frames", small=True)
        if path is not None:
            save(figure, path)
    return figure


def foretold(ledgers: Sequence[tuple[Run, Entries]], *, dark: bool = False) -> Figure:
    """One panel per task and label: the returns that came against those foretold, of all seeds."""
    groups: dict[tuple[str, str], list[Entries]] = {}
    for run, entries in ledgers:
        groups.setdefault((run.task, run.label), []).append(entries)
    wide = min(4, len(groups))
    lines = math.ceil(len(groups) / wide)
    figure = Figure(figsize=(3.3 * wide, 3.7 * lines), layout="constrained")
    with matplotlib.rc_context(_theme(dark)):
        figure.set_facecolor(_theme(dark)["figure.facecolor"])
        colours = styles([run for run, _ in ledgers], dark=dark)
        for index, ((task, label), of_seeds) in enumerate(sorted(groups.items(), key=itemgetter(0))):
            axes = figure.add_subplot(lines, wide, index + 1)
            axes.set_title(f"{_wrapped(task)}\n{_wrapped(label)}", loc="left", fontsize=10.5)
            scatter(axes, pooled(of_seeds), colours[label][0], _theme(dark)["axes.labelcolor"])
    return figure


def save(figure: Figure, target: Path | IO[bytes]) -> None:
    """Writes a figure, as a PNG or SVG by the path's ending and as SVG into a stream.

    No date or version goes in, and SVG ids are salted alike, so that the same numbers give the same file.
    """
    vector = not isinstance(target, Path) or target.suffix == ".svg"
    metadata = {"Date": None} if vector else {"Software": None}
    with matplotlib.rc_context({"svg.hashsalt": "joule"}):
        figure.savefig(
            target,
            dpi=150,
            format="svg" if vector else None,
            metadata=metadata,
            facecolor=figure.get_facecolor(),
        )


def styles(runs: Sequence[Run], *, dark: bool = False) -> dict[str, tuple[str, Any]]:
    """Label -> (colour, line style). A plain agent keeps its own; its variants get the colours still free."""
    labels = list(dict.fromkeys(run.label for run in sorted(runs, key=lambda run: (run.floor, run.label))))
    agents = {run.label: run.agent for run in runs}
    chosen: dict[str, tuple[str, Any]] = {}
    for label in labels:
        own = STYLES.get(agents[label])
        if own is not None and own not in chosen.values():
            chosen[label] = own
    spare = [colour for colour in _OTHERS if colour not in {colour for colour, _ in chosen.values()}] or list(
        _OTHERS
    )
    rest = [label for label in labels if label not in chosen]
    for index, label in enumerate(rest):
        chosen[label] = (spare[index % len(spare)], _DASHES[(index + index // len(spare)) % len(_DASHES)])
    return {
        label: (_DARK.get(colour, colour) if dark else colour, line)
        for label, (colour, line) in chosen.items()
    }


def on_common_grid(runs: Sequence[Run]) -> tuple[Array, Array, Array]:
    """Frames `[points]`, CPU-minutes and returns `[seeds, points]`, on the frames that all seeds cover."""
    start, end = max(run.frames[0] for run in runs), min(run.frames[-1] for run in runs)
    grid = np.unique(np.concatenate([run.frames for run in runs]))
    grid = grid[(grid >= start) & (grid <= end)]
    minutes = np.stack([np.interp(grid, run.frames, run.cpu_minutes) for run in runs])
    returns = np.stack([np.interp(grid, run.frames, run.returns) for run in runs])
    return grid, minutes, returns


def _panel(axes: Axes, runs: Sequence[Run], looks: Mapping[str, tuple[str, Any]], axis: str) -> None:
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.label, []).append(run)
    for label in sorted(groups, key=lambda name: list(looks).index(name), reverse=True):
        members, (colour, line) = groups[label], looks[label]
        if members[0].floor:
            axes.axhline(
                np.mean([run.returns[-1] for run in members]), color=colour, linestyle=line, linewidth=1.8
            )
            continue
        frames, minutes, y = on_common_grid(members)
        x = frames if axis == "frames" else minutes.mean(axis=0)
        if len({float(run.frames[-1]) for run in members}) > 1:
            for run in members:
                axes.plot(
                    getattr(run, axis), run.returns, color=colour, linestyle=line, linewidth=0.8, alpha=0.45
                )
        if len(members) > 1:
            axes.fill_between(x, y.min(axis=0), y.max(axis=0), color=colour, alpha=0.16, linewidth=0)
        marker = "o" if len(x) < 3 else ""
        width = 2.6 if members[0].agent == "joule" else 2.0
        axes.plot(
            x, y.mean(axis=0), color=colour, linestyle=line, linewidth=width, marker=marker, markersize=5
        )
    _axis(axes, axis)


def _in_one_unit(largest: float) -> Callable[[float, int], str]:
    """Writes the ticks of an axis up to `largest` in one unit, so that 0.5k stands beside 1k."""
    unit, letter = next((u, x) for u, x in ((1e6, "M"), (1e3, "k"), (1.0, "")) if largest >= u or not x)
    return lambda value, _: f"{value / unit:g}{letter if value else ''}"


def _axis(axes: Axes, axis: str, *, small: bool = False) -> None:
    if axis == "frames":
        axes.xaxis.set_major_formatter(FuncFormatter(_in_one_unit(axes.get_xlim()[1])))
    if not small:
        axes.set_xlabel("frames" if axis == "frames" else "CPU-minutes of training")
    axes.xaxis.set_major_locator(MaxNLocator(4 if small else 5))
    axes.yaxis.set_major_locator(MaxNLocator(3 if small else 5))
    axes.tick_params(labelsize=9 if small else 11)
    axes.margins(x=0.02)


def _legend(figure: Figure, runs: Sequence[Run], looks: Mapping[str, tuple[str, Any]]) -> None:
    handles = []
    for label, (colour, line) in looks.items():
        counts = sorted(
            {sum(r.task == task for r in runs if r.label == label) for task in {r.task for r in runs}} - {0}
        )
        seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]}-{counts[-1]}"
        noun = "seed" if counts == [1] else "seeds"
        text = f"{_wrapped(label, 48)}  ({seeds} {noun})"
        handles.append(Line2D([], [], color=colour, linestyle=line, linewidth=2.4, label=text))
    longest = max(len(_wrapped(label, 48).split("\n")[0]) for label in looks) + 9
    columns = max(1, min(len(handles), int(figure.get_figwidth() * 11) // (longest + 8)))
    figure.legend(handles=handles, loc="outside upper left", ncols=columns, frameon=False, handlelength=3.2)


def _finite(x: Sequence[float] | Array, y: Sequence[float] | Array) -> tuple[Array, Array]:
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    keep = np.isfinite(xs) & np.isfinite(ys)
    return xs[keep], ys[keep]


def _wrapped(text: str, width: int = 34) -> str:
    """Breaks a long label at its bracket or its middle dot, so that panels keep their width."""
    if len(text) <= width:
        return text
    for mark in (" (", " · "):
        if mark in text:
            head, tail = text.split(mark, 1)
            return f"{head}\n{mark.strip()}{' ' * (mark != ' (')}{tail}"
    return text


def _theme(dark: bool) -> Any:
    ink, quiet, paper, grid = (
        ("#e8eaed", "#a7adb6", "#16191d", "#2c3138") if dark else ("#1d2126", "#5b626c", "#ffffff", "#e6e8eb")
    )
    return {
        "font.family": "DejaVu Sans", "font.size": 12, "text.color": ink, "axes.titlecolor": ink,
        "axes.titlesize": 13, "axes.titleweight": "bold", "axes.labelsize": 11.5, "axes.labelcolor": quiet,
        "axes.edgecolor": quiet, "axes.facecolor": paper, "axes.grid": True, "axes.axisbelow": True,
        "axes.spines.top": False, "axes.spines.right": False, "grid.color": grid, "grid.linewidth": 0.9,
        "xtick.color": quiet, "ytick.color": quiet, "lines.linewidth": 2.2, "legend.labelcolor": ink,
        "figure.facecolor": paper,
    }  # fmt: skip

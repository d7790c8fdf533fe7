"""The learning curves of the page: one small figure per task and axis, with the values that it draws.

matplotlib draws each as an SVG that holds numbers only. Names stand beside it in HTML. Its colours are those of
the page's style, so that one figure serves a light and a dark page. The script of the page finds the values under
the pointer by the two scales of the axes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from joule.escaping import terminal
from joule.report.amounts import count
from joule.report.curves import Curve, curves_of, draw_curves
from joule.report.evaluations import Run
from joule.report.plot_style import encoded, theme

Looks = Mapping[str, tuple[str, Any]]
"""Label -> colour and line style."""

SIZE = (5.0, 3.1)
"""Inches; the text is as large as the page's where a panel is about 360 pixels wide."""
_AXES = (("frames", "frames"), ("cpu_minutes", "CPU-minutes of training"))
_VARIABLES = {
    "#1d2126": "var(--ink)",
    "#5b626c": "var(--quiet)",
    "#ffffff": "var(--paper)",
    "#e6e8eb": "var(--grid)",
    "#0072b2": "var(--blue)",
    "#56b4e9": "var(--sky)",
}
"""Colours of the light theme -> the variables of the page's style."""


def of_tasks(runs: Sequence[Run], looks: Looks) -> list[dict[str, Any]]:
    """The panels of each task: its name, and per axis a figure with its data."""
    found = []
    for number, task in enumerate(sorted({run.task for run in runs})):
        of_task = [run for run in runs if run.task == task]
        panels = [_panel(of_task, looks, axis, title, f"p{number}{axis[0]}-") for axis, title in _AXES]
        found.append({"task": task, "panels": panels})
    return found


def legend(runs: Sequence[Run], looks: Looks) -> list[dict[str, str]]:
    """Label, colour, dashes and number of seeds of each line."""
    entries = []
    for label, look in looks.items():
        tasks: dict[str, int] = {}
        for run in runs:
            if run.label == label:
                tasks[run.task] = tasks.get(run.task, 0) + 1
        low, high = min(tasks.values()), max(tasks.values())
        seeds = count(low, "seed") if low == high else f"{low} to {high} seeds"
        entries.append({"label": label, "seeds": seeds, **_swatch(look)})
    return entries


def _panel(runs: Sequence[Run], looks: Looks, axis: str, title: str, prefix: str) -> dict[str, Any]:
    figure = Figure(figsize=SIZE, dpi=72, layout="constrained")
    curves = curves_of(runs, axis)
    with matplotlib.rc_context({**theme(False), "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.patch.set_alpha(0.0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0.0)
        draw_curves(axes, runs, curves, looks, axis)
        axes.set_xlabel(title)
        axes.set_ylabel("evaluation return")
        drawing = encoded(figure, "svg").decode("utf-8")
    return {
        "svg": _inline(drawing, prefix),
        "title": title,
        "data": _data(figure, axes, curves, looks, "frames" if axis == "frames" else "CPU-min"),
    }


def _data(figure: Figure, axes: Axes, curves: Sequence[Curve], looks: Looks, unit: str) -> dict[str, Any]:
    """The values of a panel, and its two scales in the units of the SVG: place = scale[0] * value + scale[1]."""
    height = 72.0 * SIZE[1]
    figure.set_dpi(72)
    figure.draw_without_rendering()  # it places the axes as the SVG has them
    (x0, y0), (x1, y1) = axes.transData.transform([(0.0, 0.0), (1.0, 1.0)])
    box = axes.bbox
    return {
        "unit": unit,
        "box": [round(value, 1) for value in (box.x0, height - box.y1, box.x1, height - box.y0)],
        "x": [x1 - x0, x0],
        "y": [-(y1 - y0), height - y0],
        "curves": [
            {
                "label": terminal(curve.label),
                "seeds": curve.seeds,
                **_swatch(looks[curve.label]),
                "x": _rounded(curve.x),
                "mean": _rounded(curve.mean),
                "low": _rounded(curve.low),
                "high": _rounded(curve.high),
            }
            for curve in curves
            if len(curve.mean)  # seeds without common frames have no mean
        ],
    }


def _rounded(values: Iterable[float]) -> list[float]:
    return [float(f"{value:.7g}") for value in values]


def _swatch(look: tuple[str, Any]) -> dict[str, str]:
    colour, line = look
    dashes = "" if line == "-" else " ".join(f"{2 * length:g}" for length in line[1])
    return {"colour": _VARIABLES.get(colour.lower(), colour), "dashes": dashes}


def _inline(drawing: str, prefix: str) -> Markup:
    """An SVG as a part of a page: without head and size, its ids unlike those of any other."""
    svg = drawing[drawing.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    return Markup(svg)  # matplotlib's, and holds no name

"""The look of every figure: the theme, the style of each agent, and how a figure is saved.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart. Every agent also has its own
line style, so that a figure can be read without colours. matplotlib is used through `Figure`, never through
pyplot: no window and no global state.
"""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from joule.escaping import figure as figure_text
from joule.report.evaluations import Run
from joule.storage.files import replace_file

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
"""Agent -> colour and line style."""
_OTHERS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#D55E00", "#7f6000")
_DASHES: tuple[Any, ...] = ((0, (4, 1.5)), (0, (7, 2, 1.5, 2)), (0, (2, 1.2)), (0, (9, 2)))
LONGEST_LABEL = 120
"""Characters of a name in a figure."""
_DARK = {"#0072B2": "#4aa3ec", "#56B4E9": "#a8dcff"}
"""The two blues as they are drawn on a dark background."""


def theme(dark: bool) -> Any:
    """matplotlib's settings for a light or a dark background. A dollar sign in a name is no mathematics."""
    ink, quiet, paper, grid = (
        ("#e8eaed", "#a7adb6", "#16191d", "#2c3138") if dark else ("#1d2126", "#5b626c", "#ffffff", "#e6e8eb")
    )
    return {
        "font.family": "DejaVu Sans", "font.size": 12, "text.color": ink, "axes.titlecolor": ink,
        "axes.titlesize": 13, "axes.titleweight": "bold", "axes.labelsize": 11.5, "axes.labelcolor": quiet,
        "axes.edgecolor": quiet, "axes.facecolor": paper, "axes.grid": True, "axes.axisbelow": True,
        "axes.spines.top": False, "axes.spines.right": False, "grid.color": grid, "grid.linewidth": 0.9,
        "xtick.color": quiet, "ytick.color": quiet, "lines.linewidth": 2.2, "legend.labelcolor": ink,
        "figure.facecolor": paper, "text.parse_math": False,
    }  # fmt: skip


def styles(runs: Sequence[Run], *, dark: bool = False) -> dict[str, tuple[str, Any]]:
    """Label -> (colour, line style).

    A label gets the style of its agent. Further labels of that agent get the colours that are still free.
    """
    labels = list(dict.fromkeys(run.label for run in sorted(runs, key=lambda run: (run.trivial, run.label))))
    agents = {run.label: run.agent for run in runs}
    chosen: dict[str, tuple[str, Any]] = {}
    for label in labels:
        own = STYLES.get(agents[label])
        if own is not None and own not in chosen.values():
            chosen[label] = own
    used = {colour for colour, _ in chosen.values()}
    free = [colour for colour in _OTHERS if colour not in used] or list(_OTHERS)
    rest = [label for label in labels if label not in chosen]
    for index, label in enumerate(rest):
        chosen[label] = (free[index % len(free)], _DASHES[(index + index // len(free)) % len(_DASHES)])
    return {
        label: (_DARK.get(colour, colour) if dark else colour, line)
        for label, (colour, line) in chosen.items()
    }


def wrapped(text: str, width: int = 34) -> str:
    """A name for a figure, where it is longer than `width` characters in lines.

    It is broken at its bracket or its middle dot, and what follows between words.
    """
    text = figure_text(text, LONGEST_LABEL)
    if len(text) <= width:
        return text
    for mark in (" (", " · "):
        if mark in text:
            head, tail = text.split(mark, 1)
            rest = f"{mark.strip()}{' ' * (mark != ' (')}{tail}"
            return "\n".join(
                [head, *textwrap.wrap(rest, width, break_long_words=False, break_on_hyphens=False)]
            )
    return text


def save(figure: Figure, path: Path) -> None:
    """Writes a figure into a file: a PNG, or an SVG where the path ends so.

    Raises:
        OSError: as `replace_file`.
    """
    replace_file(path, encoded(figure, path.suffix.removeprefix(".") or "png"))


def encoded(figure: Figure, form: str) -> bytes:
    """A figure as the bytes of a "png" or "svg" file.

    The same numbers give the same bytes: no date or version is written, and SVG ids have a constant salt.
    """
    buffer = io.BytesIO()
    metadata = {"Date": None} if form == "svg" else {"Software": None}
    with matplotlib.rc_context({"svg.hashsalt": "joule"}), warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Glyph .* missing from .*font"
        )  # a name in other letters shows boxes
        figure.savefig(buffer, dpi=150, format=form, metadata=metadata, facecolor=figure.get_facecolor())
    return buffer.getvalue()

"""An explained decision as a figure: pictures, energies, costs and imagined futures of its alternatives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec, SubplotSpec
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from joule.escaping import figure as figure_text
from joule.report.decision.text import (
    Record,
    breaks_a_constraint,
    counted_decisions,
    heading,
    outcome_of,
    over_horizon,
    reason,
    short,
)
from joule.report.film.story import fewer
from joule.report.plot_style import save, theme

Frame = NDArray[np.uint8]

LOOKS: tuple[tuple[str, str], ...] = (("#0072B2", "*"), ("#D55E00", "D"), ("#009E73", "o"), ("#7d838c", "X"))
"""Colour and marker of each alternative, the chosen plan first."""
TERMS = ("#56B4E9", "#E69F00", "#CC79A7", "#8c6bb1", "#b8a200", "#d45c3c", "#6f7ad8")
"""Colours of the energy terms, in their order."""
OBSERVED, QUIET = "#1d2126", "#5b626c"
MOST_CURVES = 4
LONGEST_TITLE = 400
"""Characters of a sentence above the pictures."""
FORBIDDEN = 5e8
"""A plan of a higher energy breaks a constraint: `agent.cost.energy` charges 1e9 or more for that, and at
most a quarter of 1e9 for all other terms."""
TITLES = {"runner-up": "runner-up: best that begins differently", "policy": "policy: without planning"}
"""What the title of a picture says where the name of the alternative is not enough."""


def draw(record: Record, pictures: Sequence[Frame], path: Path | None = None) -> Figure:
    """The figure of a decision.

    Args:
        record: the JSON values of the explanation.
        pictures: one per alternative, uint8 [height, width, 3], or none.
        path: where to save the figure; None does not save it.
    """
    heights = [2.3] * bool(pictures) + [3.4, 2.2 if record["readouts"]["names"] else 0.2]
    with matplotlib.rc_context({**theme(False), "font.size": 10, "axes.labelsize": 9.5}):
        figure = Figure(figsize=(14.0, sum(heights) + 2.9))
        figure.set_facecolor("white")
        height = figure.get_figheight()
        _title(figure, record)
        # Each row has its own place, in inches from the top, because the labels differ in size.
        below = 1.35
        if pictures:
            _pictures(figure, _row(figure, below, heights[0], (0.012, 0.988)), record, pictures)
            below += heights[0] + 0.4
        middle = _row(figure, below, heights[-2], (0.07, 0.985)).subgridspec(
            1, 3, width_ratios=(1.3, 1.0, 1.15), wspace=0.38
        )
        _differences(figure.add_subplot(middle[0]), record)
        _slice(figure, middle[1], record)
        _costs(figure, middle[2], record)
        below += heights[-2] + 0.95
        _futures(figure, _row(figure, below, height - below - 0.75, (0.035, 0.985)), record)
        if path is not None:
            save(figure, path)
    return figure


def _row(figure: Figure, below: float, height: float, sides: tuple[float, float]) -> SubplotSpec:
    """A row of the figure, `below` inches from the top and `height` inches high."""
    whole = figure.get_figheight()
    top, bottom = 1 - below / whole, 1 - (below + height) / whole
    return GridSpec(1, 1, figure, left=sides[0], right=sides[1], top=top, bottom=bottom)[0]


def _title(figure: Figure, record: Record) -> None:
    height = figure.get_figheight()
    title = figure_text(heading(record), LONGEST_TITLE)
    fontsize = 13 * min(1.0, 120 / len(title))  # 120 characters of size 13 fill the width
    figure.text(0.012, 1 - 0.17 / height, title, weight="bold", fontsize=fontsize, va="top")
    for line, sentence in enumerate((reason(record), *outcome_of(record))):
        text = figure_text(f"{sentence[0].upper()}{sentence[1:]}.", LONGEST_TITLE)
        figure.text(0.012, 1 - (0.48 + 0.2 * line) / height, text, va="top", fontsize=9.8, color=QUIET)


def _pictures(figure: Figure, place: SubplotSpec, record: Record, pictures: Sequence[Frame]) -> None:
    seconds = record["seconds_per_decision"] * record["ghosts_ahead"]
    cells = place.subgridspec(1, len(pictures), wspace=0.03)
    for index, (picture, plan) in enumerate(zip(pictures, record["alternatives"], strict=True)):
        axes = figure.add_subplot(cells[index])
        axes.imshow(picture)
        axes.set_axis_off()
        axes.set_title(
            TITLES.get(plan["name"], plan["name"]), color=LOOKS[index][0], fontsize=10.5, loc="left", pad=4
        )
        if not index:
            note = f"ghost: {seconds:.2f} s ahead, as imagined"
            axes.text(
                0.02, 0.03, note, transform=axes.transAxes, color="white", fontsize=8.5,
                bbox={"facecolor": "#14171c", "alpha": 0.7, "edgecolor": "none", "pad": 2.5},
            )  # fmt: skip


def _differences(axes: Axes, record: Record) -> None:
    """How much worse the rejected plans are, term by term; right is worse."""
    shares = [_shares(plan) for plan in record["alternatives"]]
    terms = list(shares[0])
    lowest = highest = 0.0
    for row, (plan, (colour, _)) in enumerate(zip(record["alternatives"], LOOKS, strict=True)):
        left = right = 0.0
        for term, shade in zip(terms, TERMS, strict=False):
            change = shares[row][term] - shares[0][term]
            axes.barh(row, change, left=right if change > 0 else left, height=0.4, color=shade, zorder=2)
            right, left = right + max(change, 0.0), left + min(change, 0.0)
        total = sum(shares[row][name] - shares[0][name] for name in terms)
        axes.plot([total], [row], marker="d", markersize=8, color=OBSERVED if row else colour, zorder=3)
        lowest, highest = min(lowest, left), max(highest, right)
        parts = ", ".join(f"{figure_text(name, 24)} {short(share)}" for name, share in shares[row].items())
        total_energy = f"energy {short(plan['energy'])} = "
        beginning = "breaks a constraint: " if breaks_a_constraint(plan) else total_energy
        axes.text(
            1.0, row - 0.3, f"{beginning}{parts}", transform=axes.get_yaxis_transform(),
            ha="right", fontsize=8.8, color=QUIET, zorder=4,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
        )  # fmt: skip
    axes.axvline(0.0, color=LOOKS[0][0], linewidth=1.6, zorder=1)
    span = (highest - lowest) or 1.0
    axes.set_xlim(lowest - 0.05 * span, highest + 0.05 * span)
    axes.set_ylim(len(LOOKS) - 0.6, -0.65)
    _named_rows(axes, record)
    axes.spines["left"].set_visible(False)
    axes.grid(False)
    axes.set_title("Energy above the chosen plan's", loc="left", fontsize=11)
    worse = "worse \N{RIGHTWARDS ARROW}"
    axes.set_title(worse, loc="right", fontsize=9.5, fontweight="normal", color=QUIET)
    handles: list[Any] = [
        Patch(color=shade, label=figure_text(name, 24)) for name, shade in zip(terms, TERMS, strict=False)
    ]
    handles.append(Line2D([], [], marker="d", color=OBSERVED, linestyle="", label="sum"))
    axes.legend(
        handles=handles, ncols=len(handles), loc="upper left", bbox_to_anchor=(-0.02, -0.09), frameon=False,
        fontsize=9, handlelength=1.0, columnspacing=1.1, borderaxespad=0.0,
    )  # fmt: skip


def _shares(plan: Record) -> dict[str, float]:
    """The terms that have a bar: at most as many as there are colours, the last of them the sum of the others.

    The bar of a broken constraint would be so long that it hides all others.
    """
    return fewer({name: term for name, term in plan["terms"].items() if name != "constraint"})


def _named_rows(axes: Axes, record: Record) -> None:
    """One row per alternative, with its name in its colour."""
    axes.set_yticks(range(len(LOOKS)), [plan["name"] for plan in record["alternatives"]])
    axes.tick_params(axis="y", length=0, labelsize=10.5)
    for label, (colour, _) in zip(axes.get_yticklabels(), LOOKS, strict=True):
        label.set(color=colour, weight="bold")


def _slice(figure: Figure, place: SubplotSpec, record: Record) -> None:
    """The energy over the first action, with the first actions of the plans and of the candidates."""
    axes = figure.add_subplot(place)
    found = record["slice"]
    values, energy = np.array(found["values"]), np.array(found["energy"], np.float64)
    above = energy - record["alternatives"][0]["energy"]
    if record["constraint"]:
        above[energy > FORBIDDEN] = math.nan
        axes.set_facecolor("#2b2f36")
    known = above[np.isfinite(above)]
    firsts = np.array([plan["actions"][0] for plan in record["alternatives"]])[:, found["indices"]]
    candidates = np.array(record["candidates"]["first_actions"])[:, found["indices"]]
    axes.set_title("Energy by first action", loc="left", fontsize=11)
    mark = "dots" if len(found["indices"]) == 2 else "ticks"
    broken = "; dark: breaks a constraint" if record["constraint"] else ""
    axes.set_xlabel(f"{figure_text(found['dimensions'][0], 40)}      ({mark}: candidates{broken})")
    if len(found["indices"]) == 1:
        axes.plot(values, above, color=QUIET, linewidth=1.8)
        lowest, span = (known.min(), np.ptp(known)) if known.size else (0.0, 0.0)
        base = np.full(len(candidates), lowest - 0.06 * (span or 1.0))
        axes.plot(candidates[:, 0], base, "|", color="#9aa2ad", markersize=7)
        for (x,), (colour, marker) in zip(firsts, LOOKS, strict=True):
            axes.plot(
                [x], [np.interp(x, values, above)], marker, color=colour, markeredgecolor="white",
                markersize=15 if marker == "*" else 8,
            )  # fmt: skip
        axes.set_ylabel("above the chosen plan's")
        return
    if known.size and np.ptp(known) > 0:
        levels = np.linspace(known.min(), known.max(), 22)
        filled = axes.contourf(values, values, above, levels=levels, cmap="cividis_r")
        axes.contour(values, values, above, levels=levels, colors="white", linewidths=0.35, alpha=0.5)
        bar = figure.colorbar(
            filled, ax=axes, fraction=0.046, pad=0.03, anchor=(0.0, 1.0), panchor=(0.5, 1.0)
        )
        bar.set_label("above the chosen plan's", fontsize=8.5)
        bar.ax.tick_params(labelsize=8)
        bar.locator = MaxNLocator(5)
        bar.update_ticks()
        bar.outline.set_visible(False)
    axes.scatter(
        candidates[:, 0],
        candidates[:, 1],
        s=5,
        color="white",
        alpha=0.55,
        linewidths=0,
        clip_on=False,
        zorder=3,
    )
    for (x, y), (colour, marker) in reversed(list(zip(firsts, LOOKS, strict=True))):
        axes.plot(
            [x], [y], marker, color=colour, markeredgecolor="white", markeredgewidth=1.2, clip_on=False,
            markersize=18 if marker == "*" else 9.5, zorder=4,
        )  # fmt: skip
    axes.set_ylabel(figure_text(found["dimensions"][1], 40))
    axes.set_aspect("equal", anchor="N")
    axes.set_xlim(-1, 1)
    axes.set_ylim(-1, 1)
    axes.grid(False)


def _costs(figure: Figure, place: SubplotSpec, record: Record) -> None:
    """Predicted and observed costs: by decision for the chosen plan, and summed for every plan."""
    cells = place.subgridspec(2, 1, hspace=0.75)
    above, below = figure.add_subplot(cells[0]), figure.add_subplot(cells[1])
    chosen, outcome = record["alternatives"][0], record["outcome"]["costs"]
    horizon, colour = len(chosen["actions"]), LOOKS[0][0]
    ahead = np.arange(1, max(len(outcome), horizon) + 1)
    above.axvspan(0.5, horizon + 0.5, color=colour, alpha=0.07, linewidth=0)
    above.plot(ahead[: len(outcome)], outcome, color=OBSERVED, marker=".", linewidth=1.4, label="observed")
    if chosen["executed_costs"] is not None:
        executed = chosen["executed_costs"]
        above.plot(
            ahead[: len(executed)], executed, color=colour, marker="o", markerfacecolor="white",
            linewidth=1.2, linestyle=(0, (3, 1.5)), label="executed",
        )  # fmt: skip
    if not record["rewardless"]:
        above.plot(ahead[:horizon], chosen["predicted_costs"], color=colour, marker="o", label="predicted")
    above.set_xlim(0.5, ahead[-1] + 0.5)
    above.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    above.yaxis.set_major_locator(MaxNLocator(4))
    above.set_title("Costs", loc="left", fontsize=11)
    above.set_xlabel("decisions ahead", labelpad=1)
    above.legend(
        frameon=False, fontsize=8.5, ncols=3, loc="lower right", bbox_to_anchor=(1.02, 1.01),
        handlelength=1.1, columnspacing=0.8, borderaxespad=0.0,
    )  # fmt: skip
    for row, (plan, (shade, _)) in enumerate(zip(record["alternatives"], LOOKS, strict=True)):
        predicted, executed = over_horizon(record, plan)
        if not math.isnan(executed):
            below.plot([predicted, executed], [row, row], color=shade, linewidth=1.6, alpha=0.6)
            below.plot([executed], [row], "o", color=shade, markerfacecolor="white", markersize=7.5)
        below.plot([predicted], [row], "o", color=shade, markersize=7.5)
    _named_rows(below, record)
    below.set_ylim(len(LOOKS) - 0.5, -0.5)
    below.margins(x=0.08)
    below.xaxis.set_major_locator(MaxNLocator(5))
    below.set_title(f"Cost of {counted_decisions(record)}", loc="left", fontsize=11)
    marks = "\N{BLACK CIRCLE} predicted   \N{WHITE CIRCLE} executed"
    below.set_title(marks, loc="right", fontsize=9, fontweight="normal", color=QUIET)


def _futures(figure: Figure, place: SubplotSpec, record: Record) -> None:
    """The readouts in which the imagined futures differ most, beside the observed ones; a sentence without any."""
    if not record["readouts"]["names"]:
        axes = figure.add_subplot(place)
        axes.set_axis_off()
        axes.text(0.5, 0.5, "the agent predicts no readouts", ha="center", va="center", color=QUIET)
        return
    futures = np.array([plan["predicted_readouts"] for plan in record["alternatives"]], np.float64)
    outcome = np.array(record["outcome"]["readouts"], np.float64)
    usual = np.array(record["readouts"]["usual_change"], np.float64)
    apart = np.ptp(futures, axis=0).max(axis=0) / np.where(usual > 0, usual, 1.0)
    shown = np.sort(np.argsort(-apart, kind="stable")[:MOST_CURVES])
    horizon = len(record["alternatives"][0]["actions"])
    cells = place.subgridspec(1, len(shown), wspace=0.2)
    for column, readout in enumerate(shown):
        axes = figure.add_subplot(cells[column])
        steps = np.arange(futures.shape[1])
        axes.axvspan(0, horizon, color=LOOKS[0][0], alpha=0.07, linewidth=0)
        for index in reversed(range(len(futures))):
            colour, width = LOOKS[index][0], 2.2 if index == 0 else 1.5
            axes.plot(
                steps[: horizon + 1], futures[index, : horizon + 1, readout], color=colour, linewidth=width
            )
            axes.plot(
                steps[horizon:], futures[index, horizon:, readout], color=colour, linewidth=width,
                linestyle=(0, (2.5, 1.5)),
            )  # fmt: skip
        axes.plot(
            steps[: len(outcome)],
            outcome[:, readout],
            color=OBSERVED,
            linewidth=1.1,
            marker=".",
            markersize=4,
        )
        axes.set_title(figure_text(record["readouts"]["names"][readout], 40), loc="left", fontsize=10.5)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.set_xlim(0, steps[-1])
        axes.set_xlabel("decisions ahead", labelpad=1)
    handles = [
        Line2D([], [], color=colour, linewidth=2, label=plan["name"])
        for plan, (colour, _) in zip(record["alternatives"], LOOKS, strict=True)
    ]
    handles.append(Line2D([], [], color=OBSERVED, linewidth=1.1, marker=".", label="observed"))
    handles.append(Line2D([], [], color=QUIET, linestyle=(0, (2.5, 1.5)), label="after the plan: policy"))
    figure.legend(handles=handles, ncols=len(handles), loc="lower center", frameon=False, fontsize=9.5)

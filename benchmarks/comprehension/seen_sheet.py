"""A sheet of matched pairs as a camera sees them: possible above impossible, and the surprise of both below."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.comprehension.seen_matching import NOTICED
from benchmarks.comprehension.seen_pairs import BEFORE, LEAD, ONSET, SeenClip, SeenPair
from benchmarks.comprehension.seen_surprise import SeenDetector
from benchmarks.comprehension.stills import ALARM, CALM, INK, QUIET
from benchmarks.comprehension.violations import MEANINGS

STEPS = (-1, 1, 2, 4, 8)
"""Decisions since the violation of which there is a picture; 1 is that of its first picture."""
SMALLEST_VIEW, MARGIN = 28, 4
"""Pixels a side of the part of a picture that is shown, at least, and pixels around what differs."""


def sheet(path: Path, pairs: Sequence[SeenPair], detector: SeenDetector) -> None:
    """Writes the sheet as a PNG, one block of three rows for each pair.

    Args:
        path: where to.
        pairs: to be shown.
        detector: gives the surprise.
    """
    figure = Figure(figsize=(9.0, 4.9 * len(pairs)), layout="constrained")
    blocks = figure.subfigures(len(pairs), 1, squeeze=False)[:, 0]
    for block, pair in zip(blocks, pairs, strict=True):
        _block(block, pair, detector)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)


def view(pair: SeenPair) -> tuple[slice, slice]:
    """The part of the pictures of a pair, a square, in which its clips differ visibly."""
    length = min(len(pair.real.pictures), len(pair.edited.pictures))
    one, other = (clip.pictures[:length].astype(np.int16) for clip in (pair.real, pair.edited))
    differs = (np.abs(one - other).max(1) > NOTICED).any(0)
    found = [np.flatnonzero(differs.any(axis)) for axis in (1, 0)]
    sides = [(int(places.min()), int(places.max()) + 1) if len(places) else (0, size)
             for places, size in zip(found, differs.shape, strict=True)]  # fmt: skip
    side = min(max(SMALLEST_VIEW, *(last - first + 2 * MARGIN for first, last in sides)), *differs.shape)
    firsts = [
        int(np.clip((first + last - side) // 2, 0, size - side))
        for (first, last), size in zip(sides, differs.shape, strict=True)
    ]
    return slice(firsts[0], firsts[0] + side), slice(firsts[1], firsts[1] + side)


def _block(figure: Figure, pair: SeenPair, detector: SeenDetector) -> None:
    names: list[Any] = [[f"{row}{step}" for step in STEPS] for row in ("real", "edited")]
    axes = figure.subplot_mosaic([*names, ["curve"] * len(STEPS)], height_ratios=(1.0, 1.0, 0.6))
    figure.suptitle(f"{MEANINGS[pair.kind]} (strength {pair.strength:g})", fontsize=9)
    shown = view(pair)
    for row, clip, colour in (("real", pair.real, INK), ("edited", pair.edited, ALARM)):
        for step in STEPS:
            axis = axes[f"{row}{step}"]
            axis.set_axis_off()
            if ONSET + step < len(clip.pictures):
                axis.imshow(clip.pictures[ONSET + step].transpose(1, 2, 0)[shown], interpolation="nearest")
                axis.set_title(f"{step:+d}", fontsize=7, color=colour)
    curve = axes["curve"]
    sides: tuple[tuple[SeenClip, str, str], ...] = (
        (pair.edited, ALARM, "impossible"), (pair.real, CALM, "possible"),
    )  # fmt: skip
    for clip, colour, name in sides:
        surprise = detector.surprise(clip)[LEAD:]
        curve.plot(np.arange(len(surprise)) - BEFORE + 1, surprise, color=colour, label=name)
    curve.axvline(0.5, color=QUIET, linewidth=1)
    curve.set_xlabel("decisions since the violation", fontsize=7)
    curve.set_ylabel("surprise", fontsize=7)
    curve.tick_params(labelsize=7)
    curve.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    curve.spines[["top", "right"]].set_visible(False)

"""A picture of a violation of physics: frames of the episode above its curve of surprise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from joule.report.film import Frame

INK, CALM, ALARM, QUIET = "#23282f", "#2c7fb8", "#d95f0e", "#9aa2ad"


def stills(
    path: Path,
    frames: Sequence[Frame],
    steps: Sequence[int],
    real: NDArray[np.floating],
    edited: NDArray[np.floating],
    *,
    alarm: float,
    title: str,
) -> None:
    """Writes the picture as a PNG.

    Args:
        path: where to.
        frames: of the edited episode, uint8 [height, width, 3] each.
        steps: when each frame was taken, in steps from the onset of the violation, in rising order.
        real: [steps], surprise of the unedited episode, from `steps[0]` on.
        edited: [steps], surprise of the edited episode, from `steps[0]` on.
        alarm: surprise that is an alarm, drawn as a dashed line.
        title: name of the violation.
    """
    figure = Figure(figsize=(9.0, 3.2), layout="constrained")
    axes = figure.subplot_mosaic(
        [[f"{i}" for i in range(len(frames))], ["curve"] * len(frames)],
        height_ratios=(1.7, 1.0),
    )
    for index, (frame, step) in enumerate(zip(frames, steps, strict=True)):
        axis = axes[f"{index}"]
        height, width = frame.shape[0] // 5, frame.shape[1] // 5  # the margins show nothing of interest
        axis.imshow(frame[height:-height, width:-width], interpolation="antialiased")
        axis.set_title(f"step {step:+d}", fontsize=8, color=ALARM if step > 0 else INK)
        axis.set_axis_off()
    curve, first = axes["curve"], steps[0]
    curve.plot(np.arange(len(edited)) + first + 1, edited, color=ALARM, label=title)
    curve.plot(np.arange(len(real)) + first + 1, real, color=CALM, label="the same episode, unedited")
    curve.axhline(alarm, color=QUIET, linestyle="--", linewidth=1, label="alarm")
    curve.axvline(0.5, color=QUIET, linewidth=1)
    curve.set_ylim(0.0, 1.1 * max(float(np.max(edited)), float(np.max(real)), alarm))
    curve.set_xlabel("steps since the violation", fontsize=8)
    curve.set_ylabel("surprise", fontsize=8)
    curve.tick_params(labelsize=7)
    curve.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    curve.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)

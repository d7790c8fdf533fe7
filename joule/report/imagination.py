"""Predicted readouts beside observed ones, as curves: where no ghost can be drawn."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw

from joule.report.film.canvas import CALM, INK, PAPER, QUIET, RULE, Frame, fitted, font_of

MOST_CURVES = 6
PREDICTED = (240, 110, 205)
"""The colour of predictions: of the ghost, of its caption and of the dots."""
_OVERSAMPLING = 2


class Curves:
    """Observed readouts (solid lines) and predicted ones (dots) of the last frames.

    At most six numbers, spread evenly over all, are shown. The scale of a curve covers all that it has shown
    since `restart`.

    Args:
        sizes: size of each readout by name.
        span: frames shown.
    """

    def __init__(self, sizes: Mapping[str, int], span: int) -> None:
        labels = [f"{name}[{i}]" if size > 1 else name for name, size in sizes.items() for i in range(size)]
        count = min(len(labels), MOST_CURVES)
        self.shown = np.unique(np.linspace(0, len(labels) - 1, count).round().astype(int))
        self.labels = [labels[index] for index in self.shown]
        self.span = span
        self.restart()

    def restart(self) -> None:
        """Begins a new episode."""
        self._observed: deque[np.ndarray] = deque(maxlen=self.span + 1)
        self._predicted: deque[np.ndarray] = deque(maxlen=self.span + 1)
        self._low = np.full(len(self.shown), np.inf)
        self._high = -self._low

    def tell(self, observed: np.ndarray, predicted: np.ndarray | None) -> None:
        """Takes in one frame.

        Args:
            observed: [readouts].
            predicted: [readouts], or None where nothing was predicted for this frame.
        """
        none = np.full(len(self.shown), np.nan)
        self._observed.append(observed[self.shown])
        self._predicted.append(none if predicted is None else predicted[self.shown])
        for row in (self._observed[-1], self._predicted[-1]):
            self._low, self._high = np.fmin(self._low, row), np.fmax(self._high, row)

    def draw(self, width: int, height: int) -> Frame:
        """The curves as a picture, uint8 [height, width, 3]."""
        unit = min(width / 640.0, height / 480.0)
        image = Image.new("RGB", (width * _OVERSAMPLING, height * _OVERSAMPLING), PAPER)
        pen = ImageDraw.Draw(image)
        rows = len(self.shown)
        margin, label = 16 * unit, 104 * unit
        x0, x1 = margin + label, width - margin
        pitch = (height - 2 * margin) / rows
        for row in range(rows):
            top, bottom = margin + pitch * row + 6 * unit, margin + pitch * (row + 1) - 6 * unit
            middle = (top + bottom) / 2
            pen.line(_scaled([(x0, bottom), (x1, bottom)]), fill=RULE, width=_OVERSAMPLING)
            low, high = self._low[row], self._high[row]
            scale = max(high - low, 1e-6)
            for values, ink, dots in ((self._observed, CALM, False), (self._predicted, PREDICTED, True)):
                points = [
                    (
                        x0 + (x1 - x0) * (self.span + 1 - len(values) + i) / self.span,
                        bottom - (v[row] - low) / scale * (bottom - top),
                    )
                    for i, v in enumerate(values)
                ]
                if dots:
                    r = 2.4 * unit
                    for x, y in points:
                        if np.isfinite(y):
                            pen.ellipse(_scaled([(x - r, y - r), (x + r, y + r)]), fill=ink)
                elif len(points) > 1:
                    pen.line(_scaled(points), fill=ink, width=round(2 * unit * _OVERSAMPLING), joint="curve")
            font = font_of(round(14 * unit * _OVERSAMPLING))
            name = fitted(self.labels[row], font, (label - 8 * unit) * _OVERSAMPLING)
            pen.text(_scaled([(margin, middle - 9 * unit)])[0], name, fill=INK, font=font, anchor="lm")
            if self._observed:
                value = f"{self._observed[-1][row]:.2f}"
                pen.text(_scaled([(margin, middle + 9 * unit)])[0], value, fill=QUIET, font=font, anchor="lm")
        return np.asarray(image.resize((width, height), Image.Resampling.BOX))


def _scaled(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(x * _OVERSAMPLING, y * _OVERSAMPLING) for x, y in points]

"""Predicted readouts beside observed ones, as curves: where no ghost can be drawn."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from joule.report.film.canvas import CALM, INK, PAPER, QUIET, RULE, Frame, fitted_with_end, font_of

PREDICTED = (240, 110, 205)
"""The colour of predictions: of the ghost, of its caption and of the dots."""
_OVERSAMPLING = 2
_FEWEST = 20
"""Frames that fit on the axis at first; then it grows with the episode."""
_SMALLEST_TEXT = 9
"""Height of the letters in pixels, in however small a picture."""
_SMALLEST_DOT = 1.2
"""Radius of a dot in pixels, likewise."""


class Curves:
    """Observed numbers (solid lines) and predicted ones (dots) of the last frames.

    The scale of a curve covers all that it has shown since `restart`. The axis of time begins with the episode and
    ends now, so that a short episode fills it as well.

    Args:
        labels: of the numbers that are shown.
        span: frames shown at most.
    """

    def __init__(self, labels: Sequence[str], span: int) -> None:
        self.labels, self.span = list(labels), span
        self.restart()

    def restart(self) -> None:
        """Begins a new episode."""
        self._observed: deque[np.ndarray] = deque(maxlen=self.span + 1)
        self._predicted: deque[np.ndarray] = deque(maxlen=self.span + 1)
        self._low = np.full(len(self.labels), np.inf)
        self._high = -self._low

    def tell(self, observed: np.ndarray, predicted: np.ndarray | None) -> None:
        """Takes in one frame.

        Args:
            observed: [shown].
            predicted: [shown], or None where nothing was predicted for this frame.
        """
        none = np.full(len(self.labels), np.nan)
        self._observed.append(observed)
        self._predicted.append(none if predicted is None else predicted)
        for row in (self._observed[-1], self._predicted[-1]):
            self._low, self._high = np.fmin(self._low, row), np.fmax(self._high, row)

    def draw(self, width: int, height: int) -> Frame:
        """The curves as a picture, uint8 [height, width, 3]."""
        unit = min(width / 640.0, height / 480.0)
        image = Image.new("RGB", (width * _OVERSAMPLING, height * _OVERSAMPLING), PAPER)
        pen = ImageDraw.Draw(image)
        letters = max(14 * unit, _SMALLEST_TEXT)
        font = font_of(round(letters * _OVERSAMPLING))
        margin, gap = 16 * unit, 6 * unit
        x0, x1 = margin, width - margin
        pitch = (height - 2 * margin) / max(len(self.labels), 1)
        steps = max(len(self._observed) - 1, min(_FEWEST, self.span))
        for row, label in enumerate(self.labels):
            start = margin + pitch * row
            # The name has a line of its own, because beside the curve it would be cut.
            line, top, bottom = start + letters / 2, start + letters + gap, start + pitch - gap
            pen.line(_scaled([(x0, bottom), (x1, bottom)]), fill=RULE, width=_OVERSAMPLING)
            low, high = self._low[row], self._high[row]
            scale = max(high - low, 1e-6)
            for values, ink, dots in ((self._observed, CALM, False), (self._predicted, PREDICTED, True)):
                points = [
                    (x0 + (x1 - x0) * i / steps, bottom - (v[row] - low) / scale * (bottom - top))
                    for i, v in enumerate(values)
                ]
                if dots:
                    r = max(2.4 * unit, _SMALLEST_DOT)
                    for x, y in points:
                        if np.isfinite(y):
                            pen.ellipse(_scaled([(x - r, y - r), (x + r, y + r)]), fill=ink)
                elif len(points) > 1:
                    thickness = max(round(2 * unit * _OVERSAMPLING), 1)
                    pen.line(_scaled(points), fill=ink, width=thickness, joint="curve")
            value = f"{self._observed[-1][row]:.2f}" if self._observed else ""
            free = (x1 - x0 - 2 * gap) * _OVERSAMPLING - font.getlength(value)
            name = fitted_with_end(label, font, free)
            pen.text(_scaled([(x0, line)])[0], name, fill=INK, font=font, anchor="lm")
            pen.text(_scaled([(x1, line)])[0], value, fill=QUIET, font=font, anchor="rm")
        return np.asarray(image.resize((width, height), Image.Resampling.BOX))


def _scaled(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(x * _OVERSAMPLING, y * _OVERSAMPLING) for x, y in points]

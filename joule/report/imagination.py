"""What an agent foresaw beside what happened: a caption on a picture, or curves where no ghost can appear."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw

from joule.report.film import CALM, INK, PAPER, QUIET, RULE, Frame, _fitted, _font

MOST_CURVES = 6
FORESEEN = (240, 110, 205)
"""The colour of everything foreseen: of the ghost in the picture, and of its words."""
_SMOOTH = 2


def caption(frame: Frame, text: str) -> Frame:
    """The frame with a line of text on dark ground in its upper left corner."""
    image = Image.fromarray(frame)
    unit = image.width / 640.0
    font, margin = _font(round(15 * unit)), round(12 * unit)
    text = _fitted(text, font, image.width - 5 * margin)
    box = (margin, margin, round(3 * margin + font.getlength(text)), margin + round(28 * unit))
    ground = Image.blend(image.crop(box), Image.new("RGB", (box[2] - box[0], box[3] - box[1]), PAPER), 0.8)
    image.paste(ground, box[:2])
    middle = (box[1] + box[3]) / 2
    ImageDraw.Draw(image).text((2 * margin, middle), text, fill=FORESEEN, font=font, anchor="lm")
    return np.asarray(image)


class Curves:
    """Readouts as they were (solid) and as they were foreseen (dots), over the last `span` frames.

    `sizes` names the readouts; of all their numbers, six spread evenly are shown. The scale of a curve holds
    all that it showed since `restart`.
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
        self._real: deque[np.ndarray] = deque(maxlen=self.span + 1)
        self._foreseen: deque[np.ndarray] = deque(maxlen=self.span + 1)
        self._low = np.full(len(self.shown), np.inf)
        self._high = -self._low

    def tell(self, real: np.ndarray, foreseen: np.ndarray | None) -> None:
        """Takes in the readouts [readouts] of a frame, and what they were foreseen to be, if at all."""
        none = np.full(len(self.shown), np.nan)
        self._real.append(real[self.shown])
        self._foreseen.append(none if foreseen is None else foreseen[self.shown])
        for row in (self._real[-1], self._foreseen[-1]):
            self._low, self._high = np.fmin(self._low, row), np.fmax(self._high, row)

    def draw(self, width: int, height: int) -> Frame:
        """The curves as a picture [height, width, 3]."""
        unit = min(width / 640.0, height / 480.0)
        image = Image.new("RGB", (width * _SMOOTH, height * _SMOOTH), PAPER)
        pen = ImageDraw.Draw(image)
        rows = len(self.shown)
        margin, label = 16 * unit, 104 * unit
        x0, x1 = margin + label, width - margin
        pitch = (height - 2 * margin) / rows
        for row in range(rows):
            top, bottom = margin + pitch * row + 6 * unit, margin + pitch * (row + 1) - 6 * unit
            middle = (top + bottom) / 2
            pen.line(_scaled([(x0, bottom), (x1, bottom)]), fill=RULE, width=_SMOOTH)
            low, high = self._low[row], self._high[row]
            reach = max(high - low, 1e-6)
            for values, ink, dots in ((self._real, CALM, False), (self._foreseen, FORESEEN, True)):
                points = [
                    (
                        x0 + (x1 - x0) * (self.span + 1 - len(values) + i) / self.span,
                        bottom - (v[row] - low) / reach * (bottom - top),
                    )
                    for i, v in enumerate(values)
                ]
                if dots:
                    r = 2.4 * unit
                    for x, y in points:
                        if np.isfinite(y):
                            pen.ellipse(_scaled([(x - r, y - r), (x + r, y + r)]), fill=ink)
                elif len(points) > 1:
                    pen.line(_scaled(points), fill=ink, width=round(2 * unit * _SMOOTH), joint="curve")
            font = _font(round(14 * unit * _SMOOTH))
            name = _fitted(self.labels[row], font, (label - 8 * unit) * _SMOOTH)
            pen.text(_scaled([(margin, middle - 9 * unit)])[0], name, fill=INK, font=font, anchor="lm")
            if self._real:
                value = f"{self._real[-1][row]:.2f}"
                pen.text(_scaled([(margin, middle + 9 * unit)])[0], value, fill=QUIET, font=font, anchor="lm")
        return np.asarray(image.resize((width, height), Image.Resampling.BOX))


def _scaled(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(x * _SMOOTH, y * _SMOOTH) for x, y in points]

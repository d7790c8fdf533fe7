"""Frames in a row, each under its title."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from joule.report.film.canvas import INK, PAPER, Frame, even, fitted, font_of


def side_by_side(frames: Sequence[Frame], titles: Sequence[str]) -> Frame:
    """Frames in a row, such as what happened beside what was predicted.

    Args:
        frames: uint8 [height, width, 3] each; a shorter frame gets a dark area below it.
        titles: one per frame, cut to its width.

    Raises:
        ValueError: where titles and frames differ in number, or a frame has another form.
    """
    if not frames or len(frames) != len(titles):
        raise ValueError(f"there must be as many titles as frames, not {len(titles)} for {len(frames)}")
    pictures = [even(frame) for frame in frames]
    tallest = max(picture.shape[0] for picture in pictures)
    gap = 4
    width = sum(picture.shape[1] for picture in pictures) + gap * (len(pictures) - 1)
    unit = min(picture.shape[1] for picture in pictures) / 640.0
    bar = 2 * round(17 * unit)
    sheet = Image.new("RGB", (width, bar + tallest), PAPER)
    draw = ImageDraw.Draw(sheet)
    left = 0
    for picture, title in zip(pictures, titles, strict=True):
        font = font_of(round(17 * unit), bold=True)
        text = fitted(title, font, picture.shape[1] - 2 * round(16 * unit))
        draw.text((left + round(16 * unit), bar // 2), text, fill=INK, font=font, anchor="lm")
        sheet.paste(Image.fromarray(picture), (left, bar))
        left += picture.shape[1] + gap
    return np.asarray(sheet)

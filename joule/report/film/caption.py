"""A line of text in a frame, on a dark background."""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from joule.report.film.canvas import PAPER, Frame, fitted, font_of


def caption(
    frame: Frame, text: str, ink: tuple[int, int, int], corner: Literal["top", "bottom"] = "top"
) -> Frame:
    """The frame with a line of text in its upper or lower left corner.

    Args:
        frame: uint8 [height, width, 3].
        text: cut to the width of the frame.
        ink: colour of the text.
        corner: where it stands, at the left.
    """
    image = Image.fromarray(frame)
    unit = image.width / 640.0
    font, margin, height = font_of(round(15 * unit)), round(12 * unit), round(28 * unit)
    text = fitted(text, font, image.width - 5 * margin)
    top = margin if corner == "top" else max(0, image.height - margin - height)
    box = (margin, top, round(3 * margin + font.getlength(text)), top + height)
    background = Image.blend(
        image.crop(box), Image.new("RGB", (box[2] - box[0], box[3] - box[1]), PAPER), 0.8
    )
    image.paste(background, box[:2])
    middle = (box[1] + box[3]) / 2
    ImageDraw.Draw(image).text((2 * margin, middle), text, fill=ink, font=font, anchor="lm")
    return np.asarray(image)

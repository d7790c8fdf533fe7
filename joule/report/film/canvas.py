"""What every annotation of a film is drawn with: frames, colours and fonts."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFont

from joule.escaping import figure

Frame = NDArray[np.uint8]
"""A picture [height, width, 3]."""

PAPER, RULE, INK, QUIET = (20, 23, 28), (52, 58, 66), (236, 239, 243), (154, 162, 173)
CALM, ALARM = (86, 180, 233), (240, 138, 60)
COLOURS = (
    (86, 180, 233),
    (230, 159, 0),
    (64, 190, 150),
    (216, 140, 190),
    (240, 228, 66),
    (240, 118, 60),
    (150, 160, 240),
)
"""One per energy term, in its order (those of Okabe and Ito, lightened for a dark background)."""


def even(frame: Frame) -> Frame:
    """The frame with even sides, as video codecs need them; an odd side repeats its last row or column.

    Raises:
        ValueError: for a frame that is not uint8 [height, width, 3].
    """
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        raise ValueError(f"a frame must be uint8 [height, width, 3], not {frame.dtype} {list(frame.shape)}")
    odd_height, odd_width = frame.shape[0] % 2, frame.shape[1] % 2
    if odd_height or odd_width:
        return np.pad(frame, ((0, odd_height), (0, odd_width), (0, 0)), mode="edge")
    return frame


def fitted(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """The text on one line, cut with an ellipsis where it is wider than `width` pixels."""
    text = figure(text)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def fitted_with_end(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """As `fitted`, but cut in the middle: names that differ only at their end stay apart."""
    text = figure(text)
    if font.getlength(text) <= width:
        return text
    kept = len(text) - 1
    while kept and font.getlength(_without_middle(text, kept)) > width:
        kept -= 1
    return _without_middle(text, kept)


def _without_middle(text: str, kept: int) -> str:
    """A text of which so many characters are kept, half of them at each end."""
    end = (kept + 1) // 2
    return f"{text[: kept - end]}…{text[len(text) - end :]}"


@lru_cache(maxsize=64)
def font_of(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans from matplotlib's files: the same letters on every machine, and digits of one width.

    Raises:
        ModuleNotFoundError: where matplotlib is not installed.
    """
    spec = find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the film strip needs matplotlib's fonts: pip install matplotlib")
    fonts = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"
    return ImageFont.truetype(fonts / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"), max(size, 7))

"""Small frames, enlarged by a whole factor, so that what is written in a film can be read."""

from __future__ import annotations

import math

from joule.report.film.canvas import Frame

LEAST_WIDTH = 320
"""Pixels below which a frame is enlarged: letters are so many pixels high in proportion to the width."""
MOST_HEIGHT = 1_080
"""Pixels that an enlarged frame has at most."""


def enlargement(width: int, height: int) -> int:
    """The factor by which a frame of these sides (pixels) is enlarged; 1 for one that is wide enough."""
    return max(1, min(math.ceil(LEAST_WIDTH / width), MOST_HEIGHT // height))


def enlarged(frame: Frame) -> Frame:
    """The frame, each pixel of which is a square of `enlargement` pixels.

    Args:
        frame: uint8 [height, width, 3].
    """
    factor = enlargement(frame.shape[1], frame.shape[0])
    return frame if factor == 1 else frame.repeat(factor, axis=0).repeat(factor, axis=1)

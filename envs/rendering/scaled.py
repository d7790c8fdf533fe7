"""A picture in another size, scaled in one way wherever that is needed: as it is seen, and as it was recorded."""

from __future__ import annotations

import numpy as np


def scaled(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """A picture in another size; each new pixel is the mean of the old ones that it covers, or is interpolated.

    Args:
        picture: uint8 [channels, height, width], grey (1) or RGB (3).
        width: of the result.
        height: of the result.

    Returns:
        uint8 [channels, height, width], in memory of its own.
    """
    if picture.shape[1:] == (height, width):
        return np.array(picture, order="C")
    from PIL import Image

    image = Image.fromarray(picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0))
    array = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), np.uint8)
    return np.ascontiguousarray(array[None] if array.ndim == 2 else array.transpose(2, 0, 1))

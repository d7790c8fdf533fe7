"""Reads the files that a goal may be given as: a picture, and an array of NumPy. Others may have made them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from joule.storage.npz_file import check_header
from joule.storage.reader import read_plain

FILE_BYTES = 16 << 20
"""Of such a file."""
MOST_PIXELS = 64 << 20
"""Of a picture, which may be packed into few bytes."""


def read_picture(path: Path, grey: bool) -> np.ndarray:
    """A picture, uint8 [channels, height, width].

    Raises:
        ValueError: for a file that cannot be read, or is no picture.
    """
    data = _read(path)
    try:
        with Image.open(io.BytesIO(data)) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise ValueError(f"it has more than {MOST_PIXELS} pixels")
            picture = np.asarray(opened.convert("L" if grey else "RGB"), np.uint8)
    except Exception as error:  # a damaged picture raises errors of many kinds
        raise ValueError(f"is no picture: {error}") from error
    return picture[None] if grey else picture.transpose(2, 0, 1)


def read_array(path: Path) -> np.ndarray:
    """The array of a .npy file; no pickle is loaded.

    Raises:
        ValueError: for a file that cannot be read, or is no array of numbers.
    """
    data = _read(path)
    try:
        check_header(io.BytesIO(data), len(data), "it")
        found: np.ndarray = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # a damaged header raises errors of many kinds
        raise ValueError(f"is no array of NumPy: {error}") from error
    return found


def _read(path: Path) -> bytes:
    try:
        return read_plain(path, FILE_BYTES)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror or error}") from error

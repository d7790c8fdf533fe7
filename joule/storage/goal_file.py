"""Reads the files that a goal may be given as: a picture, and an array of NumPy. Others may have made them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from joule.storage.npz_file import check_header
from joule.storage.reader import read_plain

FILE_BYTES = 16 << 20
"""Of such a file."""
MOST_PIXELS = 64 << 20
"""Of a picture, which may be packed into few bytes."""
COLOURLESS = ("1", "L", "LA", "La")
"""Kinds of pictures without a colour, by Pillow's names."""
MORE_BITS = ("I", "F")
"""How Pillow's names begin of pictures with more than 8 bits a number, which it would cut off at 255."""


def read_picture(path: Path, grey: bool) -> tuple[np.ndarray, bool]:
    """A picture, uint8 [channels, height, width], and whether the file has colours.

    A photograph that says how it was held is turned upright.

    Args:
        path: of the file.
        grey: whether the picture is wanted with one channel, else with three.

    Raises:
        ValueError: for a file that cannot be read, is no picture, or is one whose colours would be guessed: it is
            transparent, has more than 8 bits a number, or shows several in turn.
    """
    data = _read(path)
    try:
        with Image.open(io.BytesIO(data)) as opened:
            colours = opened.mode not in COLOURLESS
            problem = _problem(opened)
            if problem is None:
                upright = ImageOps.exif_transpose(opened)
                picture = np.asarray(upright.convert("L" if grey else "RGB"), np.uint8)
    except UnidentifiedImageError:
        raise ValueError("is no picture that can be read; give a PNG or a JPEG") from None
    except Exception as error:  # a damaged picture raises errors of many kinds
        raise ValueError(f"is no picture: {error}") from error
    if problem is not None:
        raise ValueError(problem)
    return (picture[None] if grey else picture.transpose(2, 0, 1)), colours


def _problem(picture: Image.Image) -> str | None:
    """Why the colours of a picture would be guessed, as the end of a sentence; None where they are not."""
    if picture.width * picture.height > MOST_PIXELS:
        return f"has more than {MOST_PIXELS:,} pixels; give a smaller picture"
    # A photograph of two lenses, MPO, has the one that is shown first.
    if getattr(picture, "is_animated", False) and picture.format != "MPO":
        return "shows several pictures in turn; give one of them"
    if picture.mode.startswith(MORE_BITS):
        return "has more than 8 bits a number; save it with 8"
    if picture.has_transparency_data and np.asarray(picture.convert("RGBA"))[..., 3].min() < 255:
        return "is transparent in places, which have no colour; save it without transparency"
    return None


def read_array(path: Path) -> np.ndarray:
    """The array of a .npy file; no pickle is loaded.

    Raises:
        ValueError: for a file that cannot be read, or is no array of numbers.
    """
    data = _read(path)
    if not data.startswith(np.lib.format.MAGIC_PREFIX):
        raise ValueError("is no array of NumPy, as numpy.save writes it; a picture is image:FILE")
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

"""A video as a small animated GIF, for programs that show no videos."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

WIDTH, MOST_FRAMES, FRAMES_PER_SECOND = 320, 100, 10
"""Pixels; frames at most, spread evenly over a longer video; those shown in a second."""
COLOURS = 64


@dataclass(frozen=True)
class Gif:
    """An animated GIF."""

    data: bytes
    width: int
    height: int


def gif_of(path: Path) -> Gif:
    """A small copy of a video, at its speed or, where it is long, faster.

    Raises:
        OSError, RuntimeError: for a file that ffmpeg cannot read.
        ImportError: without ffmpeg.
    """
    import imageio.v2 as imageio
    from PIL import Image

    about: Any = imageio.get_reader(path, format="FFMPEG")  # type: ignore[arg-type]
    with about:
        meta = about.get_meta_data()
    width, height = meta["size"]
    size = (WIDTH, max(2, round(height * WIDTH / width)))
    seconds = max(float(meta["duration"]), 1e-3)
    rate = min(float(FRAMES_PER_SECOND), MOST_FRAMES / seconds)
    with imageio.get_reader(path, format="FFMPEG", fps=rate) as reader:  # type: ignore[arg-type]
        frames: Any = reader
        pictures = [
            Image.fromarray(np.asarray(frame))
            .resize(size, Image.Resampling.BOX)
            .quantize(COLOURS, method=Image.Quantize.FASTOCTREE)
            for frame, _ in zip(frames, range(MOST_FRAMES), strict=False)
        ]
    if not pictures:
        raise RuntimeError(f"{path.name} has no frames")
    buffer = io.BytesIO()
    shown = round(1000 / FRAMES_PER_SECOND)
    pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:], duration=shown, loop=0)
    return Gif(buffer.getvalue(), *size)

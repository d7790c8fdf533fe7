"""Videos: frames written as an mp4 file."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from envs.faults.errors import FilmNotWritten, RenderError


def write_mp4(path: str | Path, frames: Iterable[np.ndarray], fps: float) -> bool:
    """Writes uint8 frames [height, width, 3] as an H.264 video.

    An odd height or width loses a row or a column. A frame of another size is resized to that of the first.

    The encoder writes to `path` as it is and follows a link there: give a temporary path, such as
    `joule.storage.files.replacing` hands out, so that the video appears complete or not at all.

    Args:
        path: the file, in a folder that exists.
        frames: the frames; an exception that they raise is passed on.
        fps: frames per second.

    Returns:
        False, and no file, where there is no frame.

    Raises:
        RenderError: without ffmpeg, for a frame or a rate of another kind, or when the file cannot be written
            (`FilmNotWritten`).
    """
    import imageio.v2 as imageio

    if not 0 < fps < math.inf:
        raise RenderError(f"a video needs a positive number of frames per second, not {fps:g}")
    path = Path(path)
    stream = iter(frames)
    first = next(stream, None)
    if first is None:
        return False
    height, width = first.shape[0] // 2 * 2, first.shape[1] // 2 * 2
    if min(height, width) < 2:
        raise RenderError(f"a frame of {first.shape[1]} x {first.shape[0]} pixels is too small for a video")
    with _render_errors():
        writer: Any = imageio.get_writer(
            path.absolute(),  # otherwise ffmpeg reads a name such as "tcp:film.mp4" as an address
            format="FFMPEG",  # type: ignore[arg-type]
            fps=fps,
            codec="libx264",
            pixelformat="yuv420p",
            macro_block_size=2,
            quality=8,
            ffmpeg_log_level="quiet",  # what matters is said in a sentence
        )
    try:
        frame: np.ndarray | None = first
        while frame is not None:
            with _render_errors():
                writer.append_data(_fitted(frame, height, width))
            # Outside of the context: an error in making a frame is no error of the video.
            frame = next(stream, None)
    except BaseException:
        # Ctrl-C reaches ffmpeg too: that it has ended must not hide why this process ends.
        with contextlib.suppress(Exception):
            writer.close()
        raise
    with _render_errors():
        writer.close()
        if path.stat().st_size == 0:
            raise FilmNotWritten("no video was made: the encoder wrote nothing")
    _check_opens(path)
    return True


def _check_opens(path: Path) -> None:
    """Raises RenderError for a video without the index that comes last: ffmpeg ends silently on a full disk."""
    import imageio.v2 as imageio

    try:
        imageio.get_reader(path.absolute(), format="FFMPEG").close()  # type: ignore[arg-type]
    except (OSError, RuntimeError, ValueError) as error:
        raise FilmNotWritten("no video was made: its file is not complete; is the disk full?") from error


@contextlib.contextmanager
def _render_errors() -> Iterator[None]:
    """Turns errors of imageio and of the file system into RenderError."""
    try:
        yield
    except RenderError:
        raise
    except (ImportError, RuntimeError) as error:
        if "can not handle the given uri" in str(error):
            raise RenderError("no video was made: give its file a name that ends in .mp4") from error
        raise RenderError(
            f'no video was made, ffmpeg is missing: pip install "imageio[ffmpeg]" ({error})'
        ) from error
    except OSError as error:
        if isinstance(error, BrokenPipeError) or "Broken pipe" in str(error):
            raise FilmNotWritten("no video was made: the encoder has ended; is the disk full?") from error
        raise FilmNotWritten(f"no video was made: {str(error).splitlines()[0]}") from error


def _fitted(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """`frame` at height x width: without its odd row or column, or resized if it is of another size."""
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise RenderError(f"a frame must be uint8 [height, width, 3], not {frame.dtype} {list(frame.shape)}")
    if frame.shape[0] // 2 * 2 == height and frame.shape[1] // 2 * 2 == width:
        return np.ascontiguousarray(frame[:height, :width])
    from PIL import Image

    return np.asarray(Image.fromarray(frame).resize((width, height)))

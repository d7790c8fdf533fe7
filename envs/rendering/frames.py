"""Frames and videos on a machine with or without a screen; training never comes here."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from envs.faults.errors import RenderError
from envs.physics import dm_control_env, find_physics

HINT = (
    "no OpenGL library was found, so there will be no frames: "
    "apt-get install libegl1 libgl1 (or libosmesa6) and set MUJOCO_GL=egl (or osmesa)"
)
_LIBRARY = {"egl": "libEGL.so.1", "osmesa": "libOSMesa.so.8"}
_OFF = ("disable", "disabled", "off", "false", "0")


def ensure_gl() -> str | None:
    """Choose MUJOCO_GL before MuJoCo is first imported; returns a one-sentence hint if no frames can be made.

    A value that the user set and that works is never changed. One under which `import mujoco` itself would
    fail is replaced, because training needs no frames and must go on.
    """
    asked = os.environ.get("MUJOCO_GL", "").strip().lower()
    if asked in _OFF:
        return "MUJOCO_GL turns rendering off, so there will be no frames: unset it or set MUJOCO_GL=egl"
    if not sys.platform.startswith("linux"):
        return None
    if asked == "glfw" or (asked in _LIBRARY and _loads(asked)):
        return None
    if not asked and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return None
    chosen = next((name for name in _LIBRARY if _loads(name)), "off")
    os.environ["MUJOCO_GL"] = chosen
    if asked and chosen != "off":
        return f"MUJOCO_GL={asked} does not work on this machine, {chosen} is used instead"
    return HINT if chosen == "off" else None


def _loads(backend: str) -> bool:
    """Whether the library of a GL backend can be loaded here."""
    try:
        ctypes.CDLL(_LIBRARY[backend])
    except OSError:
        return False
    return True


def follow_body(env: gymnasium.Env[Any, Any]) -> None:
    """Keep a moving body in view, where its model has a camera that tracks one and nobody chose another view.

    Gymnasium's default view is a free camera that stands still, so a runner leaves the picture in seconds,
    and its floor ends where a fast one still runs.
    """
    physics = find_physics(env)
    if physics is None:
        return
    import mujoco
    from gymnasium.envs.mujoco import MujocoEnv

    tracking = (int(mujoco.mjtCamLight.mjCAMLIGHT_TRACK), int(mujoco.mjtCamLight.mjCAMLIGHT_TRACKCOM))
    cameras = [row for row, mode in enumerate(physics.model.cam_mode) if int(mode) in tracking]
    base: Any = env.unwrapped
    if dm_control_env(env) is not None:
        camera = cameras[0] if cameras else min(physics.model.ncam, 1) - 1
        base.render_kwargs.setdefault("camera_id", camera)
    elif cameras and isinstance(base, MujocoEnv) and base.camera_id is None and base.camera_name is None:
        endless_floor(physics.model)
        renderer = base.mujoco_renderer
        renderer.camera_id = None
        renderer.default_cam_config = {
            "elevation": -20.0,
            **(renderer.default_cam_config or {}),
            "type": int(mujoco.mjtCamera.mjCAMERA_TRACKING),
            "trackbodyid": int(physics.model.cam_bodyid[cameras[0]]),
        }


def endless_floor(model: Any) -> None:
    """Draw planes to the horizon, their texture as coarse as before: its repeats are over a plane that
    ends, and per metre of one that does not. Size is what is drawn of a plane; contacts know no end.
    """
    import mujoco

    if (model.sensor_type == int(mujoco.mjtSensor.mjSENS_RANGEFINDER)).any():
        return  # rays do know an end
    resized = set()
    for plane in np.flatnonzero(model.geom_type == int(mujoco.mjtGeom.mjGEOM_PLANE)):
        size, material = model.geom_size[plane, :2], int(model.geom_matid[plane])
        if size.all() and material >= 0 and not model.mat_texuniform[material] and material not in resized:
            model.mat_texrepeat[material] /= 2.0 * size
            resized.add(material)
        size[:] = 0.0


def write_mp4(path: str | Path, frames: Iterable[np.ndarray], fps: float) -> bool:
    """Write uint8 frames [height, width, 3] as an H.264 video that every player opens.

    Sizes are made even by cutting a row or a column; a frame of another size is fitted to the first. Without
    any frame nothing is written and False comes back. The file appears whole or not at all.

    Raises:
        RenderError: without ffmpeg, or when the file cannot be written. What `frames` raises goes through.
    """
    import imageio.v2 as imageio

    path = Path(path)
    stream = iter(frames)
    first = next(stream, None)
    if first is None:
        return False
    height, width = first.shape[0] // 2 * 2, first.shape[1] // 2 * 2
    if min(height, width) < 2:
        raise RenderError(f"a frame of {first.shape[1]} x {first.shape[0]} pixels is too small for a video")
    part = path.with_name(f".{path.stem}.part{os.getpid()}.mp4")
    try:
        with _writing():
            path.parent.mkdir(parents=True, exist_ok=True)
            part.touch()  # a place that cannot be written is named here, not in ffmpeg's own words
            writer: Any = imageio.get_writer(
                part,
                format="FFMPEG",  # type: ignore[arg-type]
                fps=fps,
                codec="libx264",
                pixelformat="yuv420p",
                macro_block_size=2,
                quality=8,
            )
        try:
            frame: np.ndarray | None = first
            while frame is not None:
                with _writing():
                    writer.append_data(_fitted(frame, height, width))
                # What fails while a frame is made is no fault of the video, and goes up as it is.
                frame = next(stream, None)
        finally:
            with _writing():
                writer.close()
        with _writing():
            os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return True


@contextmanager
def _writing() -> Iterator[None]:
    """Turns what imageio and the file system raise into one sentence."""
    try:
        yield
    except RenderError:
        raise
    except (ImportError, RuntimeError) as error:
        raise RenderError(
            f'no video was made, ffmpeg is missing: pip install "imageio[ffmpeg]" ({error})'
        ) from error
    except OSError as error:
        raise RenderError(f"no video was made: {str(error).splitlines()[0]}") from error


def _fitted(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """`frame` at height x width: cut by the odd row or column, resized if it is of another size."""
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise RenderError(f"a frame must be uint8 [height, width, 3], not {frame.dtype} {list(frame.shape)}")
    if frame.shape[0] // 2 * 2 == height and frame.shape[1] // 2 * 2 == width:
        return np.ascontiguousarray(frame[:height, :width])
    from PIL import Image

    return np.asarray(Image.fromarray(frame).resize((width, height)))

"""What `render()` of an environment gives, checked."""

from typing import Any

import gymnasium
import numpy as np

from envs.faults.errors import RenderError, described


def checked_frame(frame: Any, env: str, says_mode: bool = True) -> np.ndarray:
    """The frame, uint8 [height, width, 3].

    Args:
        frame: what `render()` gave.
        env: the id of the environment, for the message.
        says_mode: whether the environment has a render mode.

    Raises:
        RenderError: for anything else.
    """
    if frame is None and not says_mode:
        raise RenderError(
            f"{env} has no render_mode: its constructor must set self.render_mode to what it is given, by "
            "Gymnasium's API"
        )
    if not isinstance(frame, np.ndarray):
        found = type(frame).__name__
    elif frame.dtype != np.uint8 or frame.shape[2:] != (3,) or not frame.size:
        found = f"{frame.dtype} {list(frame.shape)}"
    else:
        return frame
    raise RenderError(
        f"render() of {env} must return a frame by Gymnasium's API for rgb_array, "
        f"uint8 [height, width, 3], not {found}"
    )


def drawing_error(error: Exception, mujoco: bool) -> RenderError:
    """Why `render()` gave no frame.

    Args:
        error: what it raised.
        mujoco: whether the environment has MuJoCo physics.
    """
    if isinstance(error, gymnasium.error.DependencyNotInstalled):
        return RenderError(f"no frame could be made: {error}")
    hint = "; try another MUJOCO_GL: egl, osmesa or glfw" if mujoco else ""
    return RenderError(f"no frame could be made: render {described(error)}{hint}")

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


def draws_itself(env: gymnasium.Env[Any, Any]) -> bool:
    """Whether the class of an environment has a `render()` of its own."""
    return type(env.unwrapped).render is not gymnasium.Env.render


def nothing_to_draw(env: str) -> str:
    """Says that the environment with this id has neither MuJoCo physics nor a `render()`."""
    return f"{env} has no MuJoCo physics to take pictures of, and no render() of its own"


def drawing_error(error: Exception, env: gymnasium.Env[Any, Any], name: str, mujoco: bool) -> RenderError:
    """Why `render()` gave no frame.

    Args:
        error: what it raised.
        env: the environment.
        name: its id, for the message.
        mujoco: whether it has MuJoCo physics.
    """
    if isinstance(error, gymnasium.error.DependencyNotInstalled):
        return RenderError(f"no frame could be made: {error}")
    if isinstance(error, NotImplementedError) and not mujoco and not draws_itself(env):
        return RenderError(f"no frame could be made: {nothing_to_draw(name)}")
    hint = "; try another MUJOCO_GL: egl, osmesa or glfw" if mujoco else ""
    return RenderError(f"no frame could be made: render {described(error)}{hint}")

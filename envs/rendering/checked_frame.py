"""What `render()` of an environment gives, checked."""

from typing import Any

import numpy as np

from envs.faults.errors import RenderError


def checked_frame(frame: Any, env: str) -> np.ndarray:
    """The frame, uint8 [height, width, 3].

    Args:
        frame: what `render()` gave.
        env: the id of the environment, for the message.

    Raises:
        RenderError: for anything else.
    """
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

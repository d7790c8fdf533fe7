"""What an environment without MuJoCo physics draws of itself, as a small picture at every decision."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from envs.faults.boundary import Boundary, call_step
from envs.faults.errors import EnvError, RenderError, described
from envs.rendering.checked_frame import checked_frame
from envs.rendering.pixels import PixelSettings
from envs.rendering.scaled import scaled


class Rendered:
    """Frames of the environment's own `render()`, scaled to the size that an agent sees.

    Args:
        env: made with `render_mode="rgb_array"`.
        name: what the user calls it, for messages.
        settings: the size; there is no camera to choose.

    Raises:
        EnvError: where a camera was asked for, and where it draws nothing.
    """

    own = False

    def __init__(self, env: gymnasium.Env[Any, Any], name: str, settings: PixelSettings) -> None:
        if settings.camera:
            raise EnvError(
                f"obs_camera: {name} draws itself, without MuJoCo, and has no camera {settings.camera!r}"
            )
        self._env, self._name, self._size = env, name, settings.size
        try:
            Boundary(env).reset()
            self.frame()
        except Exception as error:
            why = str(error) if isinstance(error, RenderError) else f"{name}: reset {described(error)}"
            raise EnvError(f"obs: {why}; use --obs state") from error

    def frame(self) -> np.ndarray:
        """What the environment draws now, uint8 [3, size, size].

        Raises:
            RenderError: where it draws nothing.
        """
        try:
            drawn = call_step(self._env.render)
        except Exception as error:
            raise RenderError(
                f"no picture of {self._name} could be made: render {described(error)}"
            ) from error
        frame = checked_frame(drawn, self._name)
        return scaled(frame.transpose(2, 0, 1), self._size, self._size)

    def close(self) -> None:
        """See `PictureSource`."""

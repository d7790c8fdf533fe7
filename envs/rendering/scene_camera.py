"""A camera of Joule's own for films, in MuJoCo environments whose own renderer nothing can be added to."""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from envs.faults.errors import RenderError
from envs.physics import Physics, find_physics
from envs.rendering.camera import film_camera
from envs.rendering.opengl import ensure_gl

AddToScene = Callable[[Any], None]
"""Adds to a `mujoco.MjvScene` before it is drawn."""


class SceneCamera:
    """Draws an environment that has MuJoCo's `model` and `data`, from a camera of the model.

    It is the first camera that tracks a body, else the first one, else one that has the whole scene in view.

    Args:
        env: with MuJoCo physics.
        name: what the user calls it, for messages.
        width: of a frame in pixels.
        height: of a frame in pixels.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], name: str, width: int, height: int) -> None:
        self._env, self._name, self._width, self._height = env, name, width, height
        self._model: Any = None
        self._renderer: Any = None

    def draw(self, add: AddToScene) -> np.ndarray:
        """The scene now with what is added to it, uint8 [height, width, 3].

        Raises:
            RenderError: where no frame can be made, with what is missing.
        """
        physics = find_physics(self._env)
        if physics is None:
            raise RenderError(f"{self._name} has no MuJoCo physics to take pictures of")
        if physics.model is not self._model:
            self._make(physics)
        self._renderer.update_scene(physics.data, film_camera(physics.model))
        add(self._renderer.scene)
        return np.array(self._renderer.render())

    def close(self) -> None:
        """Frees the OpenGL context."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = self._model = None

    def _make(self, physics: Physics) -> None:
        """A renderer for the model of now; an environment may make a new one at a reset."""
        if (hint := ensure_gl()) is not None:
            raise RenderError(hint)
        import mujoco

        self.close()
        buffer = physics.model.vis.global_
        before = buffer.offwidth, buffer.offheight
        # A frame cannot be larger than the buffer that the model asks for, by default 640 x 480.
        buffer.offwidth, buffer.offheight = max(before[0], self._width), max(before[1], self._height)
        try:
            self._renderer = mujoco.Renderer(physics.model, self._height, self._width)
        except Exception as error:
            raise RenderError(f"{self._name}: no frame could be made: {error}") from error
        finally:
            buffer.offwidth, buffer.offheight = before
        # EGL ends itself at exit; a context that is freed later prints a traceback.
        atexit.register(_close, weakref.ref(self))
        self._model = physics.model


def _close(reference: weakref.ref[SceneCamera]) -> None:
    """Frees the context of a camera that still exists."""
    camera = reference()
    if camera is not None:
        camera.close()

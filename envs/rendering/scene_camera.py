"""A camera of Joule's own for films, in MuJoCo environments that draw nothing or that nothing can be added to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from envs.faults.errors import RenderError
from envs.physics import find_physics
from envs.rendering.camera import film_camera
from envs.rendering.model_renderer import ModelRenderer

AddToScene = Callable[[Any], None]
"""Adds to a `mujoco.MjvScene` before it is drawn."""


class SceneCamera:
    """Draws an environment that has MuJoCo's `model` and `data`, from a camera of the model.

    It is the first camera that tracks a body, else the first one, else one that has in view what the robot reaches.

    Args:
        env: with MuJoCo physics.
        name: what the user calls it, for messages.
        width: of a frame in pixels.
        height: of a frame in pixels.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], name: str, width: int, height: int) -> None:
        self._env, self._name = env, name
        self._renderer = ModelRenderer(name, width, height)

    def draw(self, add: AddToScene | None = None) -> np.ndarray:
        """The scene now, with what is added to it, uint8 [height, width, 3].

        Raises:
            RenderError: where no frame can be made, with what is missing.
        """
        physics = find_physics(self._env)
        if physics is None:
            raise RenderError(f"{self._name} has no MuJoCo physics to take pictures of")
        scene = self._renderer.look(physics, film_camera(physics.model))
        if add is not None:
            add(scene)
        return np.array(self._renderer.render())

    def close(self) -> None:
        """Frees the OpenGL context."""
        self._renderer.close()

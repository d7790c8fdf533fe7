"""What a camera in the environment sees, as a small picture at every decision: fast, and without a screen.

Shadows, reflections, the sky and multisampling are left out, and round shapes have fewer facets, which makes a
small frame several times faster. A film of the same environment has them: what is switched off here is switched off
for this camera alone.
"""

from __future__ import annotations

import operator
from collections import deque
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from envs.faults.boundary import attribute
from envs.faults.errors import EnvError
from envs.physics import Physics, find_physics
from envs.rendering.model_renderer import ModelRenderer

PIXELS = "pixels"
"""Name of the part of an observation that a camera sees."""
CHANNELS = 3
LEFT_OUT = ("SHADOW", "REFLECTION", "SKYBOX", "FOG", "HAZE")
"""Of a scene, by MuJoCo's names."""
MOST_SLICES, MOST_STACKS = 28, 16
"""Facets around and along a round shape at most, which are MuJoCo's own default. Models for films have more, and a
frame takes as long as it has facets, whatever its size in pixels."""
MOST = {"offsamples": 0, "shadowsize": 0, "numslices": MOST_SLICES, "numstacks": MOST_STACKS}
"""Quality of a frame at most, by MuJoCo's names."""


@dataclass(frozen=True)
class PixelSettings:
    """What an agent sees of an environment."""

    size: int = 64
    """Height and width in pixels."""
    camera: str = ""
    """Name of a camera of the model; empty takes its first one, or one that has in view what the robot reaches."""
    stack: int = 3
    """Frames of an observation: of the newest decisions, so that speed can be seen."""
    with_state: bool = False
    """Whether the observation has the state too."""


def camera_names(physics: Physics) -> list[str]:
    """The cameras of a model in their order; one without a name has the empty text."""
    return [physics.model.camera(number).name for number in range(physics.model.ncam)]


class Camera:
    """Renders frames of one environment.

    Args:
        env: with MuJoCo physics.
        name: what the user calls it, for messages.
        settings: size and camera.

    Raises:
        EnvError: for an environment without MuJoCo physics, without this camera, or with an attribute
            `unseen_groups` that names no groups.
    """

    own = False

    def __init__(self, env: gymnasium.Env[Any, Any], name: str, settings: PixelSettings) -> None:
        self._env, self._name, self._settings = env, name, settings
        self._renderer = ModelRenderer(
            name,
            settings.size,
            settings.size,
            most=MOST,
            left_out=LEFT_OUT,
            unseen_groups=_unseen_groups(env, name),
        )
        self._view: int | str = -1
        cameras = camera_names(self._physics())
        if settings.camera:
            if settings.camera not in cameras:
                there = f"; there are {', '.join(filter(None, cameras))}" if any(cameras) else "; it has none"
                raise EnvError(f"obs_camera: {name} has no camera {settings.camera!r}{there}")
            self._view = settings.camera
        elif cameras:
            self._view = 0

    def frame(self) -> np.ndarray:
        """What the camera sees now, uint8 [3, size, size].

        Raises:
            RenderError: where no frame can be made, with what is missing.
        """
        self._renderer.look(self._physics(), self._view)
        return np.ascontiguousarray(self._renderer.render().transpose(2, 0, 1))

    def close(self) -> None:
        """Frees the OpenGL context."""
        self._renderer.close()

    def _physics(self) -> Physics:
        physics = find_physics(self._env)
        if physics is None:
            raise EnvError(f"obs: {self._name} has no MuJoCo physics to take pictures of; use its state")
        return physics


def _unseen_groups(env: gymnasium.Env[Any, Any], name: str) -> tuple[int, ...]:
    """Groups of geoms and sites that the environment wants left out of pictures; raises EnvError for others."""
    import mujoco

    groups = attribute(env.unwrapped, "unseen_groups")
    try:
        found = tuple(operator.index(group) for group in groups or ())
    except TypeError:
        found = (-1,)
    if not all(0 <= group < mujoco.mjNGROUP for group in found):
        raise EnvError(
            f"obs: unseen_groups of {name} must be groups of geoms in a tuple, such as (2,), each from 0 to "
            f"{mujoco.mjNGROUP - 1}, not {groups!r:.80}"
        )
    return found


class FrameStack:
    """The newest frames of an episode; at its start the first one repeats.

    Args:
        stack: how many.
    """

    def __init__(self, stack: int) -> None:
        self._stack = stack
        self._frames: deque[np.ndarray] = deque(maxlen=stack)

    def begin(self, frame: np.ndarray) -> None:
        """An episode begins."""
        self._frames.extend([frame] * self._stack)

    def add(self, frame: np.ndarray) -> None:
        """The next frame of the episode."""
        self._frames.append(frame)

    def repeat(self) -> None:
        """A decision without a new frame."""
        self._frames.append(self._frames[-1])

    @property
    def pixels(self) -> np.ndarray:
        """All of them, oldest first, uint8 [stack * 3, size, size]."""
        return np.concatenate(list(self._frames))

    @pixels.setter
    def pixels(self, pixels: np.ndarray) -> None:
        self._frames.extend(np.split(pixels, self._stack))

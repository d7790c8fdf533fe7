"""MuJoCo's renderer for the model that an environment has now: it may make a new one at a reset."""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from envs.faults.errors import RenderError
from envs.physics import Physics
from envs.rendering.current_context import current_kept, make_empty_current
from envs.rendering.free_view import free_camera
from envs.rendering.opengl import chosen_too_late, ensure_gl

_forgotten: list[Any] = []
"""Renderers of MuJoCo whose `ModelRenderer` was collected as garbage. They are freed before the next frame, because
that may happen in the midst of one."""


class ModelRenderer:
    """Draws frames of one size, without a screen.

    Args:
        name: what the user calls the environment, for messages.
        width: of a frame in pixels.
        height: of a frame in pixels.
        most: field of `model.vis.quality` -> its greatest value in these frames.
        left_out: what is not drawn, by MuJoCo's names of its flags.
        unseen_groups: groups of geoms and sites that are not drawn.
    """

    def __init__(
        self,
        name: str,
        width: int,
        height: int,
        *,
        most: Mapping[str, int] | None = None,
        left_out: Sequence[str] = (),
        unseen_groups: Sequence[int] = (),
    ) -> None:
        self._name, self._width, self._height = name, width, height
        self._most, self._left_out, self._unseen_groups = most or {}, left_out, list(unseen_groups)
        self._option: Any = None
        self._free: Any = None
        """The camera -1 of this model, once it was asked for: to find it draws poses."""
        self._model: Any = None
        self._renderer: Any = None
        self._finalizer: weakref.finalize[..., Any] | None = None

    def look(self, physics: Physics, camera: int | str) -> Any:
        """Takes in where everything is now, and returns the `mujoco.MjvScene` that `render` draws.

        Args:
            physics: with the model and where everything is.
            camera: row or name of a camera of the model; -1 has in view what the robot reaches.

        Raises:
            RenderError: where no frame can be made, with what is missing.
        """
        if physics.model is not self._model:
            self._make(physics.model)
        if camera == -1:
            camera = self._free = self._free or free_camera(physics.model)
        self._renderer.update_scene(physics.data, camera, self._option)
        return self._renderer.scene

    def render(self) -> np.ndarray:
        """The scene as uint8 [height, width, 3]."""
        with current_kept():
            _free_forgotten()
            picture: np.ndarray = self._renderer.render()
        return picture

    def close(self) -> None:
        """Frees the OpenGL context."""
        if self._renderer is not None:
            assert self._finalizer is not None
            self._finalizer.detach()
            with current_kept():
                make_empty_current()
                self._renderer.close()
            self._renderer = self._model = None

    def _make(self, model: Any) -> None:
        if (hint := ensure_gl()) is not None:
            raise RenderError(hint)
        import mujoco

        self.close()
        quality, buffer = model.vis.quality, model.vis.global_
        changes = [(quality, field, min(getattr(quality, field), most)) for field, most in self._most.items()]
        # A frame cannot be larger than the buffer that the model asks for, by default 640 x 480.
        changes += [(buffer, "offwidth", self._width), (buffer, "offheight", self._height)]
        before = [(part, field, getattr(part, field)) for part, field, _ in changes]
        for part, field, value in changes:
            setattr(part, field, value)
        try:
            with current_kept():
                self._renderer = mujoco.Renderer(model, self._height, self._width)
        except Exception as error:
            why = f"{error}{chosen_too_late()}"
            raise RenderError(f"{self._name}: no frame could be made: {why}") from error
        finally:
            for part, field, value in before:
                setattr(part, field, value)
        self._finalizer = weakref.finalize(self, _forgotten.append, self._renderer)
        self._finalizer.atexit = False
        # EGL ends itself at exit; a context that is freed later prints a traceback.
        atexit.register(_close, weakref.ref(self))
        self._model, self._option, self._free = model, mujoco.MjvOption(), None
        self._option.geomgroup[self._unseen_groups] = 0
        self._option.sitegroup[self._unseen_groups] = 0
        for name in self._left_out:
            self._renderer.scene.flags[getattr(mujoco.mjtRndFlag, f"mjRND_{name}")] = 0


def _free_forgotten() -> None:
    """Frees the renderers that nobody closed."""
    if _forgotten:
        make_empty_current()
        while _forgotten:
            _forgotten.pop().close()


def _close(reference: weakref.ref[ModelRenderer]) -> None:
    """Frees the context of a renderer that still exists, and of those that nobody closed."""
    with suppress(Exception):  # the process ends, and dm_control may have ended EGL before
        _free_forgotten()
        renderer = reference()
        if renderer is not None:
            renderer.close()

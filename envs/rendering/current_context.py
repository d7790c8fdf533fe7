"""Which OpenGL context is current where several renderers draw in one thread.

OpenGL draws, and deletes objects by their numbers, in the context that is current. Renderers of MuJoCo and
Gymnasium are freed in whichever is: that of another renderer loses what it draws with, and its pictures are wrong
from then on, without an error. So no context of Joule's is left current after a frame, of a camera of Joule's or of
a renderer of the environment. A context that was current before is made current again: it is of a renderer outside
Joule, which may take its own for current still.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import gymnasium

from envs.faults.boundary import attribute
from envs.physics import dm_control_env, is_of_shimmy, parts

_threads = threading.local()


def make_empty_current() -> None:
    """Makes a context current in which nothing is drawn, and nothing is lost: one for each thread.

    Where none can be made, there is no OpenGL, and so nothing to lose.
    """
    context = getattr(_threads, "empty", None)
    if context is None:
        with suppress(Exception):
            from mujoco.gl_context import GLContext

            class Kept(GLContext):  # type: ignore[misc, valid-type]
                """Is freed with its thread. At the end of the process EGL may have ended itself before."""

                def __del__(self) -> None:
                    if not sys.is_finalizing():
                        self.free()

            context = _threads.empty = Kept(1, 1)
    if context is not None:
        context.make_current()


@contextmanager
def current_kept() -> Iterator[None]:
    """After the block, the context of before it is current again, or where there was none, the empty one."""
    make_current = _of_before()
    try:
        yield
    finally:
        make_empty_current()
        if make_current is not None:
            with suppress(Exception):  # it was freed in the block
                make_current()


@contextmanager
def drawing(env: gymnasium.Env[Any, Any]) -> Iterator[None]:
    """In the block, an environment draws with its own renderer; none of its contexts is left current."""
    with current_kept():
        make_own_current(env)
        yield


def _of_before() -> Callable[[], Any] | None:
    """What makes the present context current again; None where there is none, or the empty one."""
    empty = getattr(getattr(_threads, "empty", None), "_context", None)
    if "mujoco.glfw" in sys.modules:
        import glfw

        # It warns where it has not been initialised. A filter of warnings would show all earlier ones again.
        reporting, glfw.ERROR_REPORTING = glfw.ERROR_REPORTING, "ignore"
        try:
            window = glfw.get_current_context()
        finally:
            glfw.ERROR_REPORTING = reporting
        if window:
            return None if window == empty else lambda: glfw.make_context_current(window)
    if "mujoco.egl" in sys.modules:
        from OpenGL import EGL

        context = EGL.eglGetCurrentContext()
        if context and context.address != getattr(empty, "address", None):
            display = EGL.eglGetCurrentDisplay()
            drawn, read = EGL.eglGetCurrentSurface(EGL.EGL_DRAW), EGL.eglGetCurrentSurface(EGL.EGL_READ)
            return lambda: EGL.eglMakeCurrent(display, drawn, read, context)
    return None


def make_own_current(env: gymnasium.Env[Any, Any]) -> None:
    """Makes the context of an environment's own renderer the current one, where it has drawn before.

    OpenGL draws into the context that is current. A camera of Joule's makes its own current, and Gymnasium's and
    dm_control's renderers take theirs for current still: without this their next frame is black.
    """
    control = dm_control_env(env)
    if control is not None:
        _make_current_of_dm_control(control.physics)
        return
    for renderer in renderers_of_gymnasium(env):
        make_current = attribute(attribute(renderer, "viewer"), "make_context_current")
        if callable(make_current):
            make_current()


def free_viewers(env: gymnasium.Env[Any, Any]) -> None:
    """Frees what Gymnasium's renderers of an environment draw with, before it is closed.

    Gymnasium frees the contexts alone. The rest is deleted when Python forgets the renderer, in another context.
    """
    for renderer in renderers_of_gymnasium(env):
        viewers = attribute(renderer, "_viewers")
        for viewer in viewers.values() if isinstance(viewers, dict) else ():
            drawn_with, make_current = attribute(viewer, "con"), attribute(viewer, "make_context_current")
            if drawn_with is not None and callable(make_current):
                with suppress(Exception):  # it is current in another thread, and stays as Gymnasium leaves it
                    make_current()
                    drawn_with.free()


def renderers_of_gymnasium(env: gymnasium.Env[Any, Any]) -> Iterator[Any]:
    """Those that an environment keeps as an attribute. Only Gymnasium's own classes call it `mujoco_renderer`."""
    rendering = sys.modules.get("gymnasium.envs.mujoco.mujoco_rendering")
    if rendering is None:
        return
    for part in parts(env):
        for kept in tuple(getattr(part, "__dict__", {}).values()):
            if isinstance(kept, rendering.MujocoRenderer):
                yield kept


def free_dm_control(env: gymnasium.Env[Any, Any]) -> None:
    """Frees the context of a dm_control that another environment keeps, which shimmy's wrapper does itself.

    dm_control's own end of the process would come after OpenGL's, and print a traceback.
    """
    control = dm_control_env(env)
    if control is not None and not is_of_shimmy(env):
        with suppress(ReferenceError):  # it has closed itself
            control.physics.free()


def _make_current_of_dm_control(physics: Any) -> None:
    """Does so in the thread that dm_control draws in."""
    context = attribute(attribute(physics, "_contexts"), "gl")
    make_current = attribute(context, "_platform_make_current")
    if callable(make_current):
        with context.make_current() as thread:
            thread.call(make_current)

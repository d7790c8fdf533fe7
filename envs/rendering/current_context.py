"""The OpenGL context of an environment's own renderer, beside a camera of Joule's in the same thread."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import gymnasium

from envs.faults.boundary import attribute
from envs.physics import dm_control_env, is_of_shimmy, parts


def make_own_current(env: gymnasium.Env[Any, Any]) -> None:
    """Makes the context of an environment's own renderer the current one, where it has drawn before.

    OpenGL draws into the context that is current. A camera of Joule's makes its own current, and Gymnasium's and
    dm_control's renderers take theirs for current still: without this their next frame is black.
    """
    control = dm_control_env(env)
    if control is not None:
        _make_current_of_dm_control(control.physics)
        return
    for part in parts(env):
        make_current = attribute(
            attribute(attribute(part, "mujoco_renderer"), "viewer"), "make_context_current"
        )
        if callable(make_current):
            make_current()


def free_own(env: gymnasium.Env[Any, Any]) -> None:
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

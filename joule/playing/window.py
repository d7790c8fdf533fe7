"""MuJoCo's own viewer, in a window of this machine: `joule play RUN --render human`.

A double click selects a link; Ctrl and a drag push it, with the right button of the mouse by a force, with the left
one by a torque. The space bar pauses, Backspace begins the next episode, and the arrow to the right takes one step.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from agent.errors import ConfigError
from envs.rendering.camera import tracked_link
from envs.rendering.ghost import OPACITY, TINT, add_parts
from joule.playing.player import Player
from joule.playing.simulation import Moment

ELEVATION = -20.0
"""Of the first view of a robot that moves about, in degrees."""
JOIN_SECONDS = 5.0
"""How long the end of a window is waited for."""
SPACE, BACKSPACE, RIGHT = 32, 259, 262
"""Keys as GLFW numbers them."""


def check_display() -> None:
    """Raises ConfigError where no window can be opened."""
    otherwise = "leave --render out for the page in the browser, which needs none"
    on_linux = sys.platform.startswith("linux")
    if on_linux and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise ConfigError(f"--render: human needs a display, and DISPLAY is not set; {otherwise}")
    if on_linux:  # MuJoCo would wait for ever for a window that cannot be opened
        import glfw

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            opened = glfw.init()
        if not opened:
            raise ConfigError(
                f"--render: human needs a display, and that of DISPLAY does not open; {otherwise}"
            )
        glfw.terminate()


class Window:
    """A window that shows a simulation. It is a `Display`.

    Args:
        player: plays the simulation.
    """

    def __init__(self, player: Player) -> None:
        self._player = player
        self._viewer: Any = None
        self._model: Any = None
        self._threads: set[threading.Thread] = set()
        """Those that draw the window."""

    def launch(self) -> None:
        """Opens the window, again where an episode has a model of its own. Raises ConfigError where it cannot."""
        import mujoco.viewer

        self.close()
        physics = self._player.simulation.physics
        before = set(threading.enumerate())
        try:
            self._viewer = mujoco.viewer.launch_passive(
                physics.model,
                physics.data,
                key_callback=self._pressed,
                show_left_ui=False,
                show_right_ui=False,
            )
        except RuntimeError as error:
            raise ConfigError(f"--render: human cannot open a window: {error}") from error
        self._threads = set(threading.enumerate()) - before
        self._model = physics.model
        tracked = tracked_link(physics.model)
        if tracked is not None:
            with self._viewer.lock():
                self._viewer.cam.type = mujoco.mjtCamera.mjCAMERA_TRACKING
                self._viewer.cam.trackbodyid = tracked
                self._viewer.cam.elevation = ELEVATION

    def close(self) -> None:
        """Closes the window."""
        if self._viewer is not None:
            self._viewer.close()
        # One that still draws when the process ends would end it with a fault of memory.
        for thread in self._threads:
            thread.join(JOIN_SECONDS)

    def watched(self) -> bool:
        """See `Display`."""
        return True

    def closed(self) -> bool:
        """See `Display`."""
        return not self._viewer.is_running()

    def show(self, moment: Moment) -> None:
        """See `Display`."""
        if self._player.simulation.physics.model is not self._model:
            self.launch()
        with self._viewer.lock():
            self._draw_ghost(moment.ghost)
        self._viewer.set_texts(self._texts(moment))
        self._viewer.sync()

    def say(self, sentence: str) -> None:
        """See `Display`."""
        print(sentence, flush=True)

    def _draw_ghost(self, pose: np.ndarray | None) -> None:
        """Adds the ghost to what the viewer draws beside the model."""
        scene, ghost = self._viewer.user_scn, self._player.simulation.ghost
        scene.ngeom = 0
        if ghost is not None and pose is not None:
            ghost.robot.set(pose)
            add_parts(scene, ghost.robot, (*TINT[:3], OPACITY))

    def _texts(self, moment: Moment) -> list[tuple[None, None, str, str]]:
        """The numbers of a moment, as the viewer writes them over the picture."""
        rows = {"return": moment.total_return, **moment.energies}
        if moment.surprise is not None:
            rows["surprise"] = moment.surprise
        names, numbers = "\n".join(rows), "\n".join(f"{value:,.2f}" for value in rows.values())
        return [(None, None, names, numbers)]

    def _pressed(self, key: int) -> None:
        """Takes a key, in the thread of the window."""
        player = self._player

        def pause() -> None:
            player.paused = not player.paused

        acts = {SPACE: pause, BACKSPACE: lambda: player.reset(self), RIGHT: lambda: player.step(self)}
        if key in acts:
            player.requests.ask(f"key {key}", acts[key])


@contextmanager
def window(player: Player) -> Iterator[Window]:
    """Inside, a window shows a simulation. Raises ConfigError where none can be opened."""
    shown = Window(player)
    shown.launch()
    try:
        yield shown
    finally:
        shown.close()

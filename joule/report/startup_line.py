"""A line that says that a command has begun, where its start takes long: torch, MuJoCo, a slow environment."""

from __future__ import annotations

import contextlib
import threading
from types import TracebackType

from joule.callbacks.callback import Callback, RunStart

SECONDS = 4.0
"""Before the line is printed; a start within this time needs none."""


class StartupLine(Callback):
    """Prints a line on stdout unless the run begins first. A context manager.

    Args:
        text: the line.
        seconds: how long it waits.
    """

    def __init__(self, text: str, seconds: float = SECONDS) -> None:
        self._timer = threading.Timer(seconds, _print, (text,))
        self._timer.daemon = True

    def __enter__(self) -> StartupLine:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()

    def on_start(self, start: RunStart) -> None:
        """The display takes over."""
        self._timer.cancel()


def _print(text: str) -> None:
    with contextlib.suppress(OSError):  # a pipe whose reader has left, or a full disk: the command says it
        print(text, flush=True)

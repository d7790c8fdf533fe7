"""A watch over environments that never return from a step: it ends the process, and says where it hung.

Nothing can be asked of a thread that is stuck in somebody else's code, so the process ends; the last
checkpoint is whole, as it is after any kill. The watch counts its own wakings, not the clock: while a
process is stopped (Ctrl-Z, a debugger, a laptop that sleeps) nothing is counted. It cannot see a hang in
C code that keeps the interpreter's lock.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable

LOOKS = 20
"""Wakings that make up the limit, or more where that would be less than one a second."""


class Watchdog:
    """One thread that sleeps, for all environments of the process; a watched call costs two assignments."""

    def __init__(self) -> None:
        self._inside: tuple[float, Callable[[str], str]] | None = None
        self._entered = 0
        self._thread: threading.Thread | None = None
        self._watched = 0

    def begin(self, seconds: float, describe: Callable[[str], str]) -> None:
        """Until `end` at most `seconds` may pass, else the process says `describe(where)` and ends."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="hang watch", daemon=True)
            self._watched = threading.get_ident()
            self._thread.start()
        self._entered += 1
        self._inside = seconds, describe

    def end(self) -> None:
        self._inside = None

    def forget_thread(self) -> None:
        """For a forked child, which has this object but not its thread."""
        self._thread, self._inside = None, None

    def _watch(self) -> None:
        seen, spent, pause = 0, 0.0, 0.0
        while True:
            time.sleep(pause)
            inside, entered = self._inside, self._entered
            if inside is None or entered != seen:
                seen, spent = entered, 0.0
                pause = 1.0 if inside is None else min(inside[0] / LOOKS, 1.0)
                continue
            spent += pause  # what was slept on purpose, however long it was in truth
            if spent > inside[0]:
                self._stop(inside[1])

    def _stop(self, describe: Callable[[str], str]) -> None:
        frame = sys._current_frames().get(self._watched)
        where = "" if frame is None else f", at {os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
        show_cursor = "\x1b[?25h" if sys.stdout.isatty() else ""  # a live display had hidden it
        os.write(2, f"{show_cursor}stopped: {describe(where)}\n".encode(errors="replace"))
        os._exit(1)


WATCHDOG = Watchdog()
os.register_at_fork(after_in_child=WATCHDOG.forget_thread)

"""The watchdog: it ends the process when a call of an environment does not return, and says where it is.

A thread that is inside the user's code cannot be stopped, so the process ends. The last checkpoint is whole,
as it is after any kill. The watchdog counts its own sleeps, not the clock: while a process is stopped
(Ctrl-Z, a debugger, a laptop that sleeps) nothing is counted. It cannot act while C code holds the
interpreter's lock.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable

from joule_errors.printable import printable

SLEEPS_PER_LIMIT = 20
"""How many sleeps make up the time limit; a limit above 20 s is made of sleeps of 1 s."""


class Watchdog:
    """One sleeping thread for all environments of the process. A monitored call costs two assignments."""

    def __init__(self) -> None:
        self._call: tuple[float, Callable[[str], str]] | None = None
        self._calls = 0
        self._thread: threading.Thread | None = None
        self._monitored_thread = 0

    def begin(self, seconds: float, describe: Callable[[str], str]) -> None:
        """Starts to monitor a call; `end` must follow within the time limit.

        Args:
            seconds: the time limit. After it the process prints the description and ends with exit code 1.
            describe: gives the sentence to print, from the place in the source where the call is.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
            self._monitored_thread = threading.get_ident()
            self._thread.start()
        self._calls += 1
        self._call = seconds, describe

    def end(self) -> None:
        """Says that the monitored call has returned."""
        self._call = None

    def forget_thread(self) -> None:
        """For a forked child process, which has this object but not its thread."""
        self._thread, self._call = None, None

    def _run(self) -> None:
        last_call, slept, pause = 0, 0.0, 0.0
        while True:
            time.sleep(pause)
            call, calls = self._call, self._calls
            if call is None or calls != last_call:
                last_call, slept = calls, 0.0
                pause = 1.0 if call is None else min(call[0] / SLEEPS_PER_LIMIT, 1.0)
                continue
            slept += pause  # the sleep asked for, however long it took
            if slept > call[0]:
                self._stop(call[1])

    def _stop(self, describe: Callable[[str], str]) -> None:
        frame = sys._current_frames().get(self._monitored_thread)
        where = "" if frame is None else f", at {os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
        show_cursor = "\x1b[?25h" if sys.stdout.isatty() else ""  # a progress display hides it
        os.write(2, f"{show_cursor}stopped: {printable(describe(where))}\n".encode(errors="replace"))
        os._exit(1)


WATCHDOG = Watchdog()
"""The watchdog of this process."""
os.register_at_fork(after_in_child=WATCHDOG.forget_thread)

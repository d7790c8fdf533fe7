"""The watchdog: it ends the process when a call of an environment does not return, and says where it is.

A thread that is inside the user's code cannot be stopped, so the process ends. The last checkpoint is whole,
as it is after any kill. The watchdog counts its own sleeps, not the clock: while a process is stopped
(Ctrl-Z, a debugger, a laptop that sleeps) nothing is counted. It cannot act while C code holds the
interpreter's lock.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from collections.abc import Callable

from joule_errors.printable import printable

SLEEPS_PER_LIMIT = 20
"""How many sleeps make up the time limit; a limit above 20 s is made of sleeps of 1 s."""


class Watchdog:
    """One sleeping thread for all environments of the process, each of which may be in a thread of its own."""

    def __init__(self) -> None:
        self._calls: dict[int, tuple[int, float, Callable[[str], str]]] = {}
        """Thread -> its call that has not returned: the call's number, its time limit and its description."""
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        self.descriptor = 2
        """Of the file that it writes to: stderr, but where that is dropped."""

    def begin(self, seconds: float, describe: Callable[[str], str]) -> None:
        """Starts to monitor a call; `end` must follow in the same thread, within the time limit.

        Args:
            seconds: the time limit. After it the process prints the description and ends with exit code 1.
            describe: gives the sentence to print, from the place in the source where the call is.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
            self._thread.start()
        self._calls[threading.get_ident()] = next(self._numbers), seconds, describe

    def end(self) -> None:
        """Says that the monitored call has returned."""
        self._calls.pop(threading.get_ident(), None)

    def forget_thread(self) -> None:
        """For a forked child process, which has this object but not its thread."""
        self._thread = None
        self._calls.clear()

    def _run(self) -> None:
        slept: dict[int, tuple[int, float]] = {}
        pause = 0.0
        while True:
            time.sleep(pause)
            slept, pause = self._look(slept, pause)

    def _look(
        self, known: dict[int, tuple[int, float]], pause: float
    ) -> tuple[dict[int, tuple[int, float]], float]:
        """Stops the process where a call takes too long. While it sleeps, it holds no environment.

        Args:
            known: thread -> its call at the last look, and for how long it had been seen.
            pause: the sleep since, in seconds.

        Returns:
            The same of now, and the next sleep.
        """
        calls, slept = self._calls.copy(), dict[int, tuple[int, float]]()
        for thread, (number, seconds, describe) in calls.items():
            before, so_far = known.get(thread, (-1, 0.0))
            # The sleep asked for, however long it took.
            so_far = so_far + pause if before == number else 0.0
            if so_far > seconds:
                self._stop(thread, describe)
            slept[thread] = number, so_far
        return slept, min([1.0, *(seconds / SLEEPS_PER_LIMIT for _, seconds, _ in calls.values())])

    def _stop(self, thread: int, describe: Callable[[str], str]) -> None:
        frame = sys._current_frames().get(thread)
        where = "" if frame is None else f", at {os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
        show_cursor = "\x1b[?25h" if sys.stdout.isatty() else ""  # a progress display hides it
        os.write(
            self.descriptor, f"{show_cursor}stopped: {printable(describe(where))}\n".encode(errors="replace")
        )
        os._exit(1)


WATCHDOG = Watchdog()
"""The watchdog of this process."""
os.register_at_fork(after_in_child=WATCHDOG.forget_thread)

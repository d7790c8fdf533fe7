"""Ends a process that a signal should have ended.

Python calls a signal handler between two instructions of the main thread. A simulator that hangs in its own
machine code keeps it from that, and an exception that the handler raises can be lost. A thread sees each signal at
once, because Python's C code writes its number to a pipe.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Collection

BOUNCE_SECONDS = 0.1
"""Signals so close to each other are one: `timeout`, for example, sends it to a process and to its group."""
GRACE_SECONDS = 2.0
"""From the second Ctrl-C to the end of the process."""
LOST_SECONDS = 10.0
"""From a signal that raised an exception to the end of the process, where nothing has caught it."""


def watch(numbers: Collection[int], lost: Callable[[], int | None]) -> None:
    """Starts the thread. GRACE_SECONDS after a second SIGINT the process ends, with exit code 130.

    Args:
        numbers: the signals that count as the first.
        lost: is asked LOST_SECONDS after a signal. It returns the exit code where the process should have
            ended meanwhile, or None.
    """
    before = signal.set_wakeup_fd(-1)
    if before != -1:  # this process has a watch, or an event loop of its own
        signal.set_wakeup_fd(before)
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader, numbers, lost), name="signals", daemon=True).start()


def _watch(reader: int, numbers: Collection[int], lost: Callable[[], int | None]) -> None:
    first: float | None = None
    asked: float | None = None
    while True:
        wait = None if asked is None else max(0.0, asked - time.monotonic())
        if not select.select([reader], [], [], wait)[0]:
            if (code := lost()) is not None:
                os._exit(code)
            asked = None
            continue
        for number in os.read(reader, 64):
            now = time.monotonic()
            if number not in numbers:
                continue
            asked = asked or now + LOST_SECONDS
            if first is None:
                first = now
            elif number == signal.SIGINT and now - first > BOUNCE_SECONDS:
                time.sleep(GRACE_SECONDS)
                os._exit(128 + signal.SIGINT)

"""Ends a process at the second Ctrl-C where it cannot end itself.

Python calls a signal handler between two instructions of the main thread. A simulator that hangs in its own
machine code keeps it from that. A thread sees each signal at once, because Python's C code writes its number to a
pipe.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Collection

BOUNCE_SECONDS = 0.1
"""Signals so close to each other are one: `timeout`, for example, sends it to a process and to its group."""
GRACE_SECONDS = 2.0
"""From the second Ctrl-C to the end of the process."""


def watch_for_second_interrupt(numbers: Collection[int], code: int) -> None:
    """Starts the thread. GRACE_SECONDS after a second SIGINT the process ends, with an exit code.

    Args:
        numbers: the signals that count as the first.
        code: the exit code.
    """
    before = signal.set_wakeup_fd(-1)
    if before != -1:  # this process has a watch, or an event loop of its own
        signal.set_wakeup_fd(before)
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    watch = threading.Thread(target=_watch, args=(reader, numbers, code), name="second Ctrl-C", daemon=True)
    watch.start()


def _watch(reader: int, numbers: Collection[int], code: int) -> None:
    first = None
    while True:
        for number in os.read(reader, 64):
            now = time.monotonic()
            if first is None:
                first = now if number in numbers else None
            elif number == signal.SIGINT and now - first > BOUNCE_SECONDS:
                time.sleep(GRACE_SECONDS)
                os._exit(code)

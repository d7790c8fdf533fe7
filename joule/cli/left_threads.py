"""The end of a process in which threads are left that do not end.

Python waits for every thread that is no daemon. An environment may have started one that waits for something
itself: a window, a simulator on another machine. The command has done its work by then, and must not hang.
"""

from __future__ import annotations

import os
import threading
import time

GRACE_SECONDS = 5.0
"""Threads may take this long to end."""


def limit_wait(code: int) -> None:
    """Ends the process with `code` where threads that are left keep Python from ending it within the grace."""
    if left():
        threading.Thread(target=_end, args=(code,), name="end", daemon=True).start()


def left() -> list[str]:
    """The names of the threads that Python waits for, apart from the main one."""
    waited_for = (thread for thread in threading.enumerate() if not thread.daemon)
    return [thread.name for thread in waited_for if thread is not threading.main_thread()]


def _end(code: int) -> None:
    time.sleep(GRACE_SECONDS)
    text = f"the process ends without threads that do not end: {', '.join(left())}\n"
    os.write(2, text.encode(errors="replace"))
    os._exit(code)

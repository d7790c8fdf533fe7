"""The end of a process in which threads or child processes are left that do not end.

Python waits for every thread and for every process of `multiprocessing` that is no daemon. An environment may
have started one that waits for something itself: a window, a simulator on another machine. The command has done
its work by then, and must not hang.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

GRACE_SECONDS = 5.0
"""Threads may take this long to end."""


def limit_wait(code: int) -> None:
    """Ends the process with `code` where what is left keeps Python from ending it within the grace."""
    if left():
        threading.Thread(target=_end, args=(code,), name="end", daemon=True).start()


def left() -> list[str]:
    """The names of the threads and child processes that Python waits for, apart from the main thread."""
    threads = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    return [one.name for one in (*threads, *_children()) if not one.daemon]


def _children() -> list[Any]:
    """The processes that were started by `multiprocessing`, where it is in use."""
    module = sys.modules.get("multiprocessing")
    return [] if module is None else list(module.active_children())


def _end(code: int) -> None:
    time.sleep(GRACE_SECONDS)
    text = f"the process ends without threads or processes that do not end: {', '.join(left())}\n"
    os.write(2, text.encode(errors="replace"))
    for child in _children():
        child.kill()
    os._exit(code)

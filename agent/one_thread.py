"""One thread at a time makes an agent, learns or evaluates: torch's random generators belong to the process."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from agent.errors import InputError

SECONDS = 10.0
"""A thread waits so long for another one, which may only be making an agent."""
_lock = threading.RLock()


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, no other thread of this process makes an agent, learns or evaluates; the same thread may enter again.

    Raises:
        InputError: where another thread does so for more than SECONDS.
    """
    if not _lock.acquire(timeout=SECONDS):
        raise InputError(
            "another thread of this process is learning or evaluating, and torch's random generators are one for "
            "all threads; let agents learn one after the other, or each in a process of its own"
        )
    try:
        yield
    finally:
        _lock.release()


def check_not_learning(learning: bool) -> None:
    """Raises InputError where an agent learns, and its own `on_step` has it learn or plan for another task."""
    if learning:
        raise InputError("this agent is learning already; let on_step return, and call it then")


def _forget() -> None:
    """For a forked child process, which does not have the thread that holds the lock."""
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_forget)

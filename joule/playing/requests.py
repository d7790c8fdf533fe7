"""What a person asks for while the agent acts, kept for the moment between two decisions."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Requests:
    """Takes requests from any thread, and carries them out in the thread that plays.

    A slider that is dragged asks many times between two decisions: of requests with one key only the last counts.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, Callable[[], object]] = {}

    def ask(self, key: str, request: Callable[[], object]) -> None:
        """Keeps a request in place of an earlier one with the same key."""
        with self._lock:
            self._waiting.pop(key, None)
            self._waiting[key] = request

    def take(self) -> list[Callable[[], object]]:
        """The requests since the last call, the earliest first."""
        with self._lock:
            taken, self._waiting = list(self._waiting.values()), {}
        return taken

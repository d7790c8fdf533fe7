"""Measures how long an agent has learned, over all processes of its run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class Clock:
    """Adds up seconds of this process's CPU time (`cpu`) and of wall time (`wall`) while it runs."""

    def __init__(self) -> None:
        self._spent = {"cpu": 0.0, "wall": 0.0}
        self._since: dict[str, float] | None = None

    def seconds(self) -> dict[str, float]:
        """The seconds so far, by name."""
        if self._since is None:
            return dict(self._spent)
        now = _now()
        return {name: spent + now[name] - self._since[name] for name, spent in self._spent.items()}

    def set(self, seconds: Mapping[str, float]) -> None:
        """Continues from the `seconds` of another clock. Raises KeyError or ValueError for other values."""
        self._spent = {name: float(seconds[name]) for name in self._spent}

    @contextmanager
    def running(self, on: bool = True) -> Iterator[None]:
        """Runs inside the block, or stops there when not `on`; afterwards it does what it did before."""
        before = self._since is not None
        self._switch(on)
        try:
            yield
        finally:
            self._switch(before)

    def _switch(self, on: bool) -> None:
        self._spent = self.seconds()
        self._since = _now() if on else None


def _now() -> dict[str, float]:
    return {"cpu": time.process_time(), "wall": time.monotonic()}

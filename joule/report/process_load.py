"""What this process takes of the machine: CPU time and memory."""

from __future__ import annotations

import os
import sys
import time

SHORTEST = 1.0
"""Seconds over which the CPU share is measured at least."""


class ProcessLoad:
    """Measures the CPU share of this process, all its threads together, between two looks."""

    def __init__(self) -> None:
        self._before = (time.monotonic(), time.process_time())
        self.cpu_share: float | None = None
        """1 is one core; None in the first second."""

    def look(self) -> float | None:
        """Measures, where the last measurement is old enough. Returns `cpu_share`."""
        now = (time.monotonic(), time.process_time())
        if now[0] - self._before[0] >= SHORTEST:
            self.cpu_share = (now[1] - self._before[1]) / (now[0] - self._before[0])
            self._before = now
        return self.cpu_share


def memory_bytes() -> int | None:
    """Main memory of this process now; at most so far where the system does not say it; None on Windows."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        pass
    if sys.platform == "win32":
        return None
    import resource

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024

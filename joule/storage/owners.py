"""Who writes a temporary file or folder: its name says the process, and the machine on which that runs.

Machines may share a folder, and a number of a process says nothing on another machine, or in another container.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from pathlib import Path

SECONDS_ELSEWHERE = 7 * 24 * 3600.0
"""After so long nobody on another machine writes a file or a folder any more."""
PATTERN = "(?:([0-9a-f]{6})\\.)?([0-9]{1,10})"
"""A regular expression of what `owner` returns: the machine, which older names do not have, and the process."""


def _machine() -> str:
    try:
        container = os.readlink("/proc/self/ns/pid")
    except OSError:  # another system than Linux
        container = ""
    return hashlib.sha256(f"{socket.gethostname()} {container}".encode()).hexdigest()[:6]


MACHINE = _machine()
"""This machine, or the container whose numbers of processes these are."""


def owner() -> str:
    """This process, as the name of a temporary file says it."""
    return f"{MACHINE}.{os.getpid()}"


def left_behind(path: Path, machine: str | None, process: int) -> bool:
    """Whether what a process wrote is of nobody now.

    Of one on another machine nobody here can say: it is, where it has not been changed for SECONDS_ELSEWHERE.
    """
    if machine not in (None, MACHINE):
        try:
            return time.time() - path.lstat().st_mtime > SECONDS_ELSEWHERE
        except OSError:  # it is gone meanwhile
            return False
    return process == os.getpid() or not alive(process)


def alive(process: int) -> bool:
    """Whether a process with this number exists on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True

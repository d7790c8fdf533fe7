"""Processes that answer messages on a pipe: how one is started, and how it begins. See `joule.messages`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import BinaryIO


def start(module: str, bufsize: int = -1) -> subprocess.Popen[bytes]:
    """Starts a process that runs the function `serve` of a module, with pipes to its stdin and from its stdout.

    Args:
        module: its full name.
        bufsize: as for `subprocess.Popen`.

    Raises:
        OSError: where no process can be started.
    """
    command = (
        "import sys; sys.path[:1] = [p for p in sys.path[:1] if p]; "  # else files here may be taken for modules
        f"from {module} import serve; serve()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", command],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=bufsize,
        start_new_session=True,  # a signal of the terminal is for the process that starts it alone
    )  # fmt: skip


def exit_code(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """The exit code of a process whose pipe is closed; None where it has not ended after so many seconds."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def answers() -> BinaryIO:
    """Called first in such a process: where it writes its answers.

    It ends when its stdin does, not by a signal: the process that started it decides.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    written = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what an environment prints does not belong among the messages
    return written

"""stdin, stdout and stderr of a command, however it was started: closed, a full disk, a terminal without "±"."""

from __future__ import annotations

import contextlib
import io
import os
import sys


def prepare() -> None:
    """Opens the streams that are closed, and lets the others print what their encoding lacks as "?".

    A file that is opened later must not get the number of a closed stream: what is printed would go into it.
    """
    for number in range(3):
        with contextlib.suppress(OSError):
            if not _is_open(number):
                # The lowest free number is taken, which is this one. Programs that are started need it too.
                os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for name in ("stdin", "stdout", "stderr"):
        if vars(sys)[name] is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  open to the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def why_lost() -> OSError | None:
    """Why stdout takes no more, such as a full disk or a closed pipe; None where it takes all."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return error
    return None


def discard_stdout() -> None:
    """Throws away what stdout still holds and what is printed later, also by the interpreter at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    with contextlib.suppress(OSError, ValueError):
        os.dup2(null, sys.stdout.fileno())
        sys.stdout.flush()
    os.close(null)


def print_error(sentence: str) -> None:
    """Prints a sentence on stderr, where stderr takes it."""
    with contextlib.suppress(OSError):
        print(sentence, file=sys.stderr, flush=True)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True

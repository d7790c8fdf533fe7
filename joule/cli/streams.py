"""stdin, stdout and stderr of a command, however it was started: closed, a full disk, a terminal without "±"."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any


class Output(io.FileIO):
    """stdout. It keeps the error that a write raised, so that it is known from an error of another file."""

    lost: OSError | None = None
    needed: bool = True
    """Whether the command has failed when its output is lost."""
    replaced: io.TextIOWrapper | None = None
    """The stream before. It is kept: it would close the file with it."""

    def write(self, data: Any) -> int:
        """Writes bytes. Raises OSError as the system does."""
        try:
            return super().write(data)
        except OSError as error:
            self.lost = error
            raise


_output: Output | None = None


def open_closed() -> None:
    """Opens stdin, stdout and stderr where they are closed.

    It comes before another file is opened: that one would get the number of a closed stream, and what is printed
    would go into it.
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


def prepare() -> Output:
    """Lets stdout and stderr print what their encoding lacks as "?". Returns where stdout goes."""
    global _output
    output = _output = Output(1, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    if type(sys.stdout) is io.TextIOWrapper and sys.stdout.fileno() == 1:
        sys.stdout.flush()
        output.replaced = sys.stdout
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(output),
            encoding=sys.stdout.encoding,
            errors="replace",
            line_buffering=sys.stdout.line_buffering,
        )
    return output


def continue_without_stdout() -> None:
    """From here on the command does what is asked of it also where stdout is lost."""
    if _output is not None:
        _output.needed = False


def flush() -> OSError | None:
    """Writes what stdout still holds. Returns the error where it cannot be written."""
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

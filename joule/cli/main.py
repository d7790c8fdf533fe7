"""Runs a command and ends the process with its exit code."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from joule_errors import JouleError


def run_command(main: Callable[[Sequence[str]], int], arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs `main` with the arguments (default: those of the process) and ends the process with its exit code.

    Bad input is one sentence on stderr and exit code 2. A run that cannot go on is exit code 1.
    `--debug` shows the traceback. Any other exception is a defect and keeps its traceback.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    # On SIGTERM a command ends as it does otherwise, and leaves no half-written file behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal that knows no "±"
    try:
        code = main(given)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output has left, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except KeyboardInterrupt:
        code = 130
    except MemoryError:
        print("stopped: memory is short", file=sys.stderr)
        code = 1
    except JouleError as error:
        code = error.exit_code
        if "--debug" in given:
            traceback.print_exception(error)
        else:
            print(f"{'error' if code == 2 else 'stopped'}: {error}", file=sys.stderr)
    sys.exit(code)

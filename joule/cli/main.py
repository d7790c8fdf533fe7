"""The command `joule`, and how every command ends: with a sentence for a mistake, and an exit code."""

from __future__ import annotations

import difflib
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NoReturn

from joule.cli.command_line import command_words
from joule_errors import JouleError, Refused

COMMANDS = {
    "train": "train an agent, or resume a run",
    "evaluate": "evaluate a trained agent on held-out seeds",
    "render": "film a trained agent",
    "explain": "explain one decision of a trained agent",
    "compare": "compare runs in a table, with curves and a page",
}
"""Name -> what `--help` says. Each is the module `joule.commands.<name>`."""


def dispatch(arguments: Sequence[str]) -> int:
    """Runs the command that the first argument names.

    Raises:
        Refused: for an unknown command, with the nearest one.
    """
    program = shlex.join(command_words("train")[:-1])
    name, *others = arguments or ["--help"]
    if name in ("-h", "--help"):
        print(help_text(program))
        return 0
    if name == "--version":
        from joule.storage.provenance import version

        print(f"joule {version()}")
        return 0
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
        raise Refused(f"unknown command {name}; {hint}")
    command: Callable[[Sequence[str]], int] = import_module(f"joule.commands.{name}").main
    return command(others)


def help_text(program: str) -> str:
    """The commands, and how to get the help of one."""
    lines = [f"  {name:<10}{text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            f"usage: {program} COMMAND [options]",
            "",
            "Joule: agents that learn a world model of a MuJoCo environment, and act by minimising energy.",
            "",
            *lines,
            "",
            f"{program} COMMAND --help shows the options of a command.",
        ]
    )


def run_command(main: Callable[[Sequence[str]], int], arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs a command and ends the process with its exit code.

    Bad input is one sentence on stderr and exit code 2. A run that cannot continue is exit code 1. `--debug`
    shows the traceback. Any other exception is a defect and keeps its traceback.

    Args:
        main: takes the arguments, and returns the exit code.
        arguments: by default those of the process.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    # On SIGTERM a command ends as it does otherwise, and leaves no incomplete file.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal without "±"
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

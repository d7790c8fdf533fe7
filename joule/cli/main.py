"""The command `joule`, and how every command ends: with a sentence for a mistake, and an exit code."""

from __future__ import annotations

import difflib
import errno
import gc
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NoReturn

from joule.cli import advice, left_threads, signals, streams
from joule.cli.command_line import command_words, shell_line
from joule.terminal import print_printable
from joule_errors import JouleError, Refused
from joule_errors.memory import is_short

COMMANDS = {
    "demo": "see a trained agent at once: an episode, and a film",
    "train": "train an agent, or resume a run",
    "evaluate": "evaluate a trained agent on held-out seeds",
    "render": "film a trained agent",
    "explain": "explain one decision of a trained agent",
    "compare": "compare runs in a table, with curves and a page",
    "export": "export a trained agent as ONNX files",
    "play": "play with a trained agent in the browser: push it, change gravity, costs, the planner",
    "push": "share a trained agent on the Hugging Face Hub",
    "pull": "fetch a shared agent; nothing of it is executed",
    "sweep": "train many runs: agents, environments, seeds, settings; here or on a cluster",
}
"""Name -> what `--help` says. Each is the module `joule.commands.<name>`."""
LONGEST_SENTENCE = 4_000
"""Characters of an error that are printed; `--debug` prints them all."""


def dispatch(arguments: Sequence[str]) -> int:
    """Runs the command that the first argument names.

    Raises:
        Refused: for an unknown command, with the nearest one.
    """
    program = shell_line(command_words("train")[:-1])
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


def as_typed(sentence: str, given: Sequence[str]) -> str:
    """A message about a setting, such as `eval_episodes: ...`, which begins with the option where it was typed."""
    name = sentence.partition(":")[0]
    option = f"--{name.replace('_', '-')}"
    typed = re.fullmatch(r"[a-z_.]+", name) and any(one.partition("=")[0] == option for one in given)
    return option + sentence[len(name) :] if typed else sentence


def run_process(main: Callable[[Sequence[str]], int]) -> NoReturn:
    """Runs a command in a process of its own, with its streams open and its signals handled; see `run_command`."""
    streams.open_closed()
    signals.install()
    try:
        run_command(main)
    except BaseException as end:
        # The interpreter collects garbage twice while it ends, which takes a second with torch. Nothing needs it.
        gc.freeze()
        left_threads.limit_wait(end.code if isinstance(end, SystemExit) and isinstance(end.code, int) else 1)
        raise


def run_command(main: Callable[[Sequence[str]], int], arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs a command and ends the process with its exit code.

    Bad input is one sentence on stderr and exit code 2. A run that cannot continue is exit code 1. `--debug`
    shows the traceback. Any other exception is a defect and keeps its traceback.

    Args:
        main: takes the arguments, and returns the exit code.
        arguments: by default those of the process.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    output = streams.prepare()
    print_printable()
    advice.show_on_one_line()
    help_only = not {"-h", "--help"}.isdisjoint(given)
    code: Any
    lost: OSError | None = None
    try:
        if not help_only:
            _check_current_directory()
        code = main(given)
    except SystemExit as end:
        code = end.code
        if not help_only:
            streams.print_error("stopped: the environment or a library has ended the process, by sys.exit()")
            code = 1
    except KeyboardInterrupt:
        code = 130
    except signals.Ended as ended:
        ended.caught()
        code = ended.exit_code
    except JouleError as error:
        code = error.exit_code
        if "--debug" in given:
            traceback.print_exception(error)
        else:
            sentence = as_typed(str(error), given)
            if len(sentence) > LONGEST_SENTENCE:
                sentence = f"{sentence[:LONGEST_SENTENCE]}… ({len(sentence):,} characters; --debug shows all)"
            streams.print_error(f"{'error' if code == 2 else 'stopped'}: {sentence}")
    except (MemoryError, RuntimeError, ValueError) as error:
        if not is_short(error):
            raise
        streams.print_error("stopped: memory is short")
        code = 1
    except OSError as error:
        if error is not output.lost:
            raise
        lost, code = error, 0
    if (lost := lost or streams.flush() or output.lost) is not None:
        streams.discard_stdout()
        if lost.errno != errno.EPIPE and code == 0:  # EPIPE: the reader has left, as in `| head`
            code = int(output.needed)
            kind = "stopped" if output.needed else "warning"
            streams.print_error(f"{kind}: the output cannot be written: {lost.strerror}")
    sys.exit(code)


def _check_current_directory() -> None:
    """Raises Refused where the current directory was removed: torch's libraries end the process there."""
    try:
        os.getcwd()
    except OSError as error:
        raise Refused(
            f"the current directory cannot be used ({error.strerror}); change to one that exists"
        ) from None

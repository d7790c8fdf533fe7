"""The words of a shell command that runs Joule, in the form in which this process was started."""

from __future__ import annotations

import functools
import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.configurator.settings import NO_PERTURBATION
from joule_errors.printable import printable

_ROOT = Path(__file__).resolve().parents[2]
"""The checkout with the scripts, where this is one."""
_SCRIPTS = (
    "demo.py", "train.py", "evaluate.py", "render.py", "explain.py", "compare.py", "export.py", "play.py",
    "push.py", "pull.py", "sweep.py",
)  # fmt: skip


def command_words(command: str, arguments: Sequence[str] = ()) -> list[str]:
    """The words that run `command` in the folder in which this process was started.

    A process that was started as `python train.py` gives `python <command>.py` of the same checkout. One that was
    started as `joule train` gives `joule <command>`. Every other process, such as `python -m joule train` or a
    notebook, gives `python -m joule <command>`.

    Args:
        command: the name of the command, such as "train".
        arguments: its arguments.

    Returns:
        The words; `shlex.join` makes them a line for a shell.
    """
    program = sys.argv[0] if sys.argv else ""
    folder, name = os.path.split(program)
    python = sys.orig_argv[0] if sys.orig_argv else "python"
    if name in _SCRIPTS and _is_root(folder):
        return [python, os.path.join(folder, f"{command}.py"), *arguments]
    if name in ("joule", "joule.exe"):
        on_path = shutil.which("joule")
        same = on_path is not None and os.path.realpath(on_path) == os.path.realpath(program)
        return ["joule" if same else program, command, *arguments]
    return [python, "-m", "joule", command, *arguments]


@functools.cache  # the current directory may be removed later
def _is_root(folder: str) -> bool:
    try:
        return Path(folder).resolve() == _ROOT
    except OSError:
        return False


def shell_line(words: Sequence[str]) -> str:
    """The words as a line for a shell, all of it printable.

    A word that is not, such as a path that is not UTF-8, is quoted as `$'caf\\xe9'`, which bash and zsh read.
    """
    return " ".join(shlex.quote(word) if printable(word) == word else _escaped(word) for word in words)


def setting_words(given: Mapping[str, Any]) -> list[str]:
    """The options of `joule train` that give these settings.

    Args:
        given: values by dotted name; None is left out.
    """
    words: list[str] = []
    for name, value in given.items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        elif isinstance(value, (tuple, list)):
            # Said in so many words: a run with --init-from would else have those of the other run.
            texts = NO_PERTURBATION if name == "perturb" and not value else value
            words += [f"{flag}={text}" for text in texts]
        elif isinstance(value, dict):
            words.append(f"{flag}={json.dumps(value)}")
        elif value is not None:
            words.append(f"{flag}={value}")  # one word: a value may begin with a dash
    return words


def _escaped(word: str) -> str:
    plain = range(0x20, 0x7F)
    signs = (
        chr(byte) if byte in plain and chr(byte) not in "'\\" else f"\\x{byte:02x}"
        for byte in os.fsencode(word)
    )
    return f"$'{''.join(signs)}'"

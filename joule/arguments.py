"""Arguments of Joule's functions that a command line cannot get wrong, and a program can.

It imports neither NumPy nor torch: a command sets their threads before they are imported.
"""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from agent.errors import ConfigError

MOST = 4_000_000_000
"""Of a number without a bound of its own: seeds of NumPy and of dm_control have 32 bits."""


def whole(name: str, value: Any, least: int, most: int = MOST) -> int:
    """A whole number.

    Args:
        name: of the argument, as the command line writes it, without its dashes.
        value: what was given.
        least: the smallest that is allowed.
        most: the largest that is allowed.

    Raises:
        ConfigError: for what is none, or out of the range.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise ConfigError(f"--{name}: found {value!r:.80}, expected a whole number")
    number = int(value)
    if number < least:
        raise ConfigError(f"--{name}: {number!r:.80} is less than {least}")
    if number > most:
        raise ConfigError(f"--{name}: {number!r:.80} is more than {most:,}")
    return number


def positive(name: str, value: Any) -> float:
    """A finite number above 0. Raises ConfigError for what is none; `name` as for `whole`."""
    known = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not known:
        raise ConfigError(f"--{name}: found {value!r:.80}, expected a number")
    try:
        number = float(value)
    except OverflowError:  # a whole number of Python may be beyond every float
        number = math.inf
    if not 0.0 < number < math.inf:
        raise ConfigError(f"--{name}: {value!r:.80} is not a finite number above 0")
    return number


def as_path(name: str, value: Any, wanted: str = "a path") -> Path:
    """A path. Raises ConfigError for what is none; `name` is what it is of, `wanted` what to give in its place."""
    if not isinstance(value, str | os.PathLike) or not isinstance(text := os.fspath(value), str):
        raise ConfigError(f"{name}: found {value!r:.80}; give {wanted}")
    if "\0" in text:
        raise ConfigError(f"{name}: found {text!r:.80}; a path cannot hold a NUL")
    return at_home(Path(text))


def at_home(path: Path) -> Path:
    """The path, where a `~` at its beginning stands for the home folder: a shell leaves it in `--out=~/runs`."""
    try:
        return path.expanduser()
    except RuntimeError:  # there is no such user
        return path


def as_paths(name: str, values: Any) -> list[Path]:
    """Several paths; one alone will do. Raises ConfigError for what is none."""
    if isinstance(values, str | os.PathLike):
        return [as_path(name, values)]
    if not isinstance(values, Sequence) or isinstance(values, bytes):
        raise ConfigError(f"{name}: found {values!r:.80}; give a list of paths")
    return [as_path(name, value) for value in values]


def texts_in(given: object) -> tuple[str, ...] | None:
    """Texts in a list or the like; one alone will do. None for what is none."""
    texts = (given,) if isinstance(given, str) else given
    if not isinstance(texts, Collection) or not all(isinstance(text, str) for text in texts):
        return None
    return tuple(texts)


def check_methods(name: str, given: object, methods: Sequence[str], wanted: str) -> None:
    """Raises ConfigError for an object that lacks one of the methods; `wanted` says what to give in its place."""
    if lacking := [method for method in methods if not callable(getattr(given, method, None))]:
        raise ConfigError(f"{name}: {type(given).__name__} has no method {lacking[0]}; give {wanted}")


def check_writable(name: str, path: Path) -> None:
    """Checks that a file can be written there. Raises ConfigError where it cannot; `name` is what it is of."""
    from joule.storage.files import why
    from joule.storage.links import check_plain

    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise ConfigError(f"{name}: {path} cannot be written; give a file in a folder that can be written to")
    try:
        check_plain(path)
    except OSError as error:
        raise ConfigError(f"{name}: {path} cannot be written: {why(error)}") from error

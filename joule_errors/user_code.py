"""What code of a user raised, as a part of a sentence: the exception, and the line of that code."""

from __future__ import annotations

import os
import re
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from joule_errors import JouleError, Refused

LONGEST_TEXT = 400
"""Characters of an exception's text that a sentence quotes."""
_HOME = Path(__file__).resolve().parents[1]
OF_JOULE = ("agent", "envs", "joule", "joule_errors", "joule_schema", "planners")
"""Packages of Joule, which a user's own may be called like."""
_OF_OTHERS = (
    sysconfig.get_path("stdlib") + os.sep,
    *(f"{_HOME / package}{os.sep}" for package in OF_JOULE),
)
"""Beginnings of the paths of code that no user has written."""
_INSTALLED = re.compile(r"[\\/](site|dist)-packages[\\/]")
"""In the path of an installed package."""


def one_line(error: BaseException) -> str:
    """The text of an exception on one line, at most LONGEST_TEXT characters of it."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001  the exception is the user's, and so may be its text
        return ""
    return f"{text[:LONGEST_TEXT]}..." if len(text) > LONGEST_TEXT else text


def raised(error: BaseException) -> str:
    """What a call did that raised `error`, on one line: it continues a sentence such as "step ..."."""
    text = one_line(error)
    return f"raised {type(error).__name__}{': ' if text else ''}{text}{_place(error)}"


@contextmanager
def making(what: str, module: str, refusal: type[Refused]) -> Iterator[None]:
    """Inside, an exception of the user's own class becomes a refusal, which says what the class raised.

    Args:
        what: is made, such as `planner my_module:MyPlanner`.
        module: the module of its class. An exception of a class of Joule is a defect, and passes.
        refusal: the class of the error.

    Raises:
        Refused: for an exception of a class of the user's own.
    """
    try:
        yield
    except (JouleError, MemoryError):
        raise
    except Exception as error:
        if module.partition(".")[0] in OF_JOULE:
            raise
        raise refusal(f"{what}: making it {raised(error)}") from error


def _place(error: BaseException) -> str:
    """The innermost line of the user's own code that an exception came through; empty without one."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_own(frame.filename)]
    if not own:
        return ""
    return f", at {_shown(own[-1].filename)}:{own[-1].lineno}"


def _is_own(filename: str) -> bool:
    """Whether a file is neither of Python nor of Joule nor of an installed package."""
    others = filename.startswith(_OF_OTHERS) or _INSTALLED.search(filename)
    return os.path.isabs(filename) and not others


def _shown(filename: str) -> str:
    """A file as seen from the working folder, where it lies below."""
    try:
        near = os.path.relpath(filename)
    except (OSError, ValueError):  # the folder is gone, or on another drive
        return filename
    return filename if near.startswith(os.pardir) else near

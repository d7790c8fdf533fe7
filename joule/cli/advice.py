"""Advice to the user of a command, as one line on stderr in place of Python's form of a warning."""

from __future__ import annotations

import re
import warnings
from pathlib import PurePath

from joule.escaping import terminal
from joule_errors import Advice

GYMNASIUM = "gymnasium"
"""Its registry advises to use the newest version of an environment."""
OUT_OF_DATE = ".*is out of date"


def show_on_one_line() -> None:
    """Has Python print each `joule_errors.Advice` of this process as `warning: …`.

    So it does with the advice that Gymnasium gives about a version of an environment. Each sentence is printed
    once, although a command makes the environment several times: Python forgets what it has shown at every
    `warnings.catch_warnings`.
    """
    plain, told = warnings.formatwarning, set[str]()

    def once(text: str) -> str:
        known = text in told
        told.add(text)
        return "" if known else f"warning: {terminal(text)}\n"

    def formatted(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
    ) -> str:
        if issubclass(category, Advice):
            return once(str(message))
        if GYMNASIUM in PurePath(filename).parts and re.match(OUT_OF_DATE, str(message), re.DOTALL):
            text = re.sub(r"\x1b\[[0-9;]*m", "", str(message)).removeprefix("WARN: ")
            return once(text)
        return plain(message, category, filename, lineno, line)

    warnings.formatwarning = formatted

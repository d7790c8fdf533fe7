"""Advice to the user of a command, as one line on stderr in place of Python's form of a warning."""

from __future__ import annotations

import warnings

from joule.escaping import terminal
from joule_errors import Advice


def show_on_one_line() -> None:
    """Has Python print each `joule_errors.Advice` of this process as `warning: …`."""
    plain = warnings.formatwarning

    def formatted(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
    ) -> str:
        if issubclass(category, Advice):
            return f"warning: {terminal(str(message))}\n"
        return plain(message, category, filename, lineno, line)

    warnings.formatwarning = formatted

"""What an exception of another process is here: a sentence, and the traceback of where it was raised."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any


class RemoteTraceback(Exception):
    """The traceback of an exception in another process, as the cause of the one that is raised here.

    Args:
        text: of the traceback.
    """

    def __str__(self) -> str:
        """The traceback, below a line of its own."""
        return f"\n{super().__str__()}"


def failure(error: BaseException) -> dict[str, Any]:
    """The answer of a process that failed: `failed`, a sentence, and `traceback`."""
    return {
        "failed": str(error) or type(error).__name__,
        "traceback": "".join(traceback.format_exception(error)),
    }


def cause(answer: Mapping[str, Any]) -> RemoteTraceback | None:
    """The traceback in an answer of `failure`; None where it has none."""
    text = answer.get("traceback")
    return RemoteTraceback(text) if text else None

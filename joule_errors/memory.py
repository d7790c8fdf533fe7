"""Memory that could not be had: the libraries say it in several ways, a command in one sentence."""

from __future__ import annotations

from joule_errors import Stopped

_WORDS = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "array is too big",
    "unable to allocate",
)
"""Of the errors of torch and NumPy, in lower case."""


class MemoryShort(Stopped):
    """Memory that could not be had; the message is one sentence."""


def is_short(error: BaseException) -> bool:
    """Whether an error says that memory could not be had."""
    if isinstance(error, (MemoryError, MemoryShort)):
        return True
    text = str(error).lower()
    return isinstance(error, (RuntimeError, ValueError)) and any(words in text for words in _WORDS)

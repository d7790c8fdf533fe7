"""The error of this package, and how a value that was found is shown in it."""

from __future__ import annotations

from typing import Any

from joule_errors import Refused

_LONGEST = 60
"""Characters of a value in a message."""


class SchemaError(Refused):
    """A value that is missing, of another type, or out of range; the message is one sentence."""


def shown(value: Any) -> str:
    """A value as a short piece of a sentence, without line ends and terminal codes."""
    if isinstance(value, (dict, list)):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    text = ascii(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."

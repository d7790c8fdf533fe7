"""Reads the text of a term of a task or a constraint: its arguments and its numbers."""

import math
import re

from agent.errors import ConfigError

Arguments = dict[str, str]
"""Key -> value."""


def numbers(kind: str, name: str, text: str) -> list[float]:
    """Finite numbers separated by commas.

    Args:
        kind: the kind of the term, for the message.
        name: the key, for the message.
        text: the value.

    Raises:
        ConfigError: for text that is something else.
    """
    try:
        found = [float(part) for part in text.split(",")]
        if not all(map(math.isfinite, found)):
            raise ValueError
        return found
    except ValueError:
        raise ConfigError(
            f"{kind}: {name}={text} is not a number without a unit, or several with commas between"
        ) from None


def arguments(kind: str, text: str, example: str) -> Arguments:
    """`key=value,key=value`; a part without `=` continues the value before it, or is a key without value.

    Args:
        kind: the kind of the term, for the message.
        text: what follows the colon.
        example: a term of this kind, for the message.

    Raises:
        ConfigError: for text that cannot be read, and for a key that comes twice.
    """
    found: Arguments = {}
    last = None
    for part in text.split(","):
        # The sign of a limit, as in `keep:speed<=8`, stands before no value.
        key, *value = (piece.strip() for piece in re.split(r"(?<![<>])=", part, maxsplit=1))
        if not key:
            raise ConfigError(f"{kind}: {text!r} cannot be read; an example is {example}")
        if value or last is None:
            if key in found:
                raise ConfigError(f"{kind}: {key} comes twice")
            found[key], last = "".join(value), key if value else None
        else:
            found[last] = f"{found[last]},{key}"
    return found

"""Reads the text of a term of a task or a constraint: its arguments and its numbers."""

import math

from agent.errors import ConfigError

Arguments = dict[str, str]
"""Key -> value."""


def numbers(kind: str, name: str, text: str, sign: str = "=") -> list[float]:
    """Finite numbers separated by commas.

    Args:
        kind: the kind of the term, for the message.
        name: the key, for the message.
        text: the value.
        sign: what stands between key and value, for the message.

    Raises:
        ConfigError: for text that is something else.
    """
    try:
        found = [float(part) for part in text.split(",")]
        if not all(map(math.isfinite, found)):
            raise ValueError
        return found
    except ValueError:
        several = "without a unit" if sign != "=" else "or several with commas between"
        raise ConfigError(f"{kind}: {name}{sign}{text} is not a number, {several}") from None


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
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not key:
            raise ConfigError(f"{kind}: {text!r} cannot be read; an example is {example}")
        if equals or last is None:
            if key in found:
                raise ConfigError(f"{kind}: {key} comes twice")
            found[key], last = value, key if equals else None
        else:
            found[last] = f"{found[last]},{key}"
    return found

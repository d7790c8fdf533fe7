"""Words of messages that several packages use."""

import math
from typing import Any

_KINDS = {int: "a whole number", float: "a number", bool: "true or false"}


def unfit(value: Any, kind: type, low: float | None = None, high: float | None = None) -> str:
    """Why a value is no setting of a kind: the end of a sentence that begins with its name; empty where it is one.

    Args:
        value: what was given.
        kind: `int`, `float` or `bool`. A whole number is a number, and true is none.
        low: least number that fits; None where all do.
        high: greatest number that fits.
    """
    is_bool = isinstance(value, bool)
    if not (
        is_bool if kind is bool else isinstance(value, (int, float) if kind is float else int) and not is_bool
    ):
        return f"found {value!r}, expected {_KINDS[kind]}"
    if low is not None and high is not None and not low <= value <= high:
        return f"{value!r} is outside {range_text(low, high)}"
    return ""


def range_text(low: float, high: float) -> str:
    """A range as a message says it, such as `1 to 10,000`."""
    return f"{_number(low)} to {_number(high)}"


def rounded_down(value: float) -> str:
    """A number with two decimals, not above it: one that is just below a bound does not read as the bound."""
    return f"{math.floor(100 * value + 1e-6) / 100:.2f}"


def _number(value: float) -> str:
    return f"{int(value):,}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:g}"

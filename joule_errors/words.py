"""Words of messages that several packages use."""


def range_text(low: float, high: float) -> str:
    """A range as a message says it, such as `1 to 10,000`."""
    return f"{_number(low)} to {_number(high)}"


def _number(value: float) -> str:
    return f"{int(value):,}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:g}"

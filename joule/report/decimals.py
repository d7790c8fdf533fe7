"""Numbers with a few decimals, of which small ones stay visible."""

from __future__ import annotations


def decimals(value: float, places: int) -> str:
    """A number with so many decimals, or with two significant digits where these decimals would all be zero."""
    text = f"{value:,.{places}f}"
    return f"{value:.2g}" if value and not text.strip("-0.") else text

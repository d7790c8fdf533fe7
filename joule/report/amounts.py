"""Amounts with their nouns, and lists, in texts for people."""

from collections.abc import Sequence


def count(amount: int, noun: str) -> str:
    """An amount with its noun, which gets an "s" unless the amount is 1."""
    return f"{amount:,} {noun}{'s' * (amount != 1)}"


def listed(texts: Sequence[str]) -> str:
    """Texts one after the other, the last two with "and" between them."""
    return " and ".join(part for part in (", ".join(texts[:-1]), texts[-1]) if part)

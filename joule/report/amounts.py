"""Amounts with their nouns, in texts for people."""


def count(amount: int, noun: str) -> str:
    """An amount with its noun, which gets an "s" unless the amount is 1."""
    return f"{amount:,} {noun}{'s' * (amount != 1)}"

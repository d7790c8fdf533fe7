"""Counts on the command line of a benchmark: a number below the least would only fail, or be ignored, much later."""

from __future__ import annotations

import argparse

from joule.cli.parser import whole_number


def count(text: str) -> int:
    """A whole number of at least 1, also one written as 1e4. Raises ArgumentTypeError."""
    return _from(1, text)


def count_or_none(text: str) -> int:
    """A whole number of at least 0. Raises ArgumentTypeError."""
    return _from(0, text)


def _from(least: int, text: str) -> int:
    value = whole_number(text)
    if value < least:
        raise argparse.ArgumentTypeError(f"{text} is less than {least}")
    return value

"""A claim: a text of a page with a place for each number, and how the numbers follow from raw files."""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.claim_numbers import Numbers

NUMBER = r"(-?\d[\d,]*(?:\.\d+)?)"


@dataclass(frozen=True)
class Claim:
    """A text of a page that has numbers."""

    text: str
    """With a place for each number, as `str.format` reads it."""
    numbers: Callable[[], Numbers]
    """Computes them from the raw files."""
    page: str = "README.md"

    @property
    def pattern(self) -> str:
        """A regular expression that finds the text, whatever its numbers and line breaks are; a group for each."""
        parts = string.Formatter().parse(self.text)
        return "".join(_words(text) + ("" if place is None else NUMBER) for text, place, _, _ in parts)

    def shown(self) -> list[str]:
        """The numbers of the raw files, as the text shows them."""
        parts = string.Formatter().parse(self.text)
        places = [form or "" for _, place, form, _ in parts if place is not None]
        return [format(number, form) for number, form in zip(self.numbers(), places, strict=True)]

    def sentence(self) -> str:
        """The text with the numbers of the raw files."""
        return self.text.format(*self.numbers())

    def found(self, text: str) -> re.Match[str]:
        """Where a page has the claim.

        Raises:
            SystemExit: where it does not have it exactly once.
        """
        matches = list(re.finditer(self.pattern, text))
        if len(matches) != 1:
            raise SystemExit(f"{self.page} has {len(matches)} texts of the form {self.text!r}")
        return matches[0]


def _words(text: str) -> str:
    return r"\s+".join(re.escape(word) for word in re.split(r"\s+", text))

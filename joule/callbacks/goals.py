"""Callbacks of an evaluation of goals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class GoalCallback:
    """Is told how far an evaluation of goals is."""

    def begins(self, subject: Mapping[str, Any]) -> None:
        """What is evaluated, before the first attempt; JSON values."""

    def progress(self, done: int, total: int) -> None:
        """How many of all attempts have ended."""

    def ended(self, name: str, result: Mapping[str, Any]) -> None:
        """All attempts of what acts by this name have ended; the values of their summary."""

    def note(self, sentence: str) -> None:
        """A sentence for the user."""

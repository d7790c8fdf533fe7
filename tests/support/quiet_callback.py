"""A callback of a run that remembers its notes, and prints nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class QuietCallback:
    """See `joule.training.trainer.RunCallback`."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def progress(self, frames: int, metrics: Mapping[str, float]) -> None: ...

    def evaluated(self, row: Mapping[str, Any]) -> None: ...

    def saved(self, frames: int) -> None: ...

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)

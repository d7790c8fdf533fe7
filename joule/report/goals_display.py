"""What the command `evaluate --goals` shows: a line for everything that acts, and how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from joule.callbacks.goals import GoalCallback
from joule.report.episode_display import EpisodeDisplay
from joule.report.goals_text import HEADER, heading, row


class GoalsDisplay(GoalCallback):
    """Shows an evaluation of goals. A context manager."""

    def __init__(self) -> None:
        self._display = EpisodeDisplay(
            "reaching goals", 1, lambda seed, total_return, decisions: "", "attempt"
        )

    def __enter__(self) -> GoalsDisplay:
        self._display.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.__exit__(kind, error, trace)

    def begins(self, subject: Mapping[str, Any]) -> None:
        """See `GoalCallback`."""
        for line in (heading(subject), "", HEADER):
            self._display.say(line)

    def progress(self, done: int, total: int) -> None:
        """See `GoalCallback`."""
        self._display.ended, self._display.episodes = done, total
        self._display.progress(done / total)

    def ended(self, name: str, result: Mapping[str, Any]) -> None:
        """See `GoalCallback`."""
        self._display.say(row(name, result))

    def note(self, sentence: str) -> None:
        """See `GoalCallback`."""
        self._display.note(sentence)

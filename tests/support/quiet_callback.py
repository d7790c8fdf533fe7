"""A callback of a run that remembers its notes, and prints nothing."""

from __future__ import annotations

from joule.callbacks.callback import Callback


class QuietCallback(Callback):
    """See `joule.callbacks.callback.Callback`."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def on_note(self, sentence: str) -> None:
        self.notes.append(sentence)

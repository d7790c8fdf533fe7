"""Callbacks of what plays episodes with a trained agent: an evaluation, a film."""

from __future__ import annotations

import warnings
from typing import Any, Literal, Protocol

from joule.arguments import check_methods
from joule.callbacks.callback import Activity, Callback

METHODS = ("progress", "episode", "note")
"""Of an `EpisodeCallback`."""


class EpisodeCallback(Protocol):
    """Is told how far an evaluation or a film is."""

    def progress(self, share: float) -> None:
        """The share of all episodes that is done, from 0 to 1; called after every decision."""
        ...

    def episode(self, seed: int, total_return: float, decisions: int) -> None:
        """The episode with this seed has ended."""
        ...

    def note(self, sentence: str) -> None:
        """A sentence for the user."""
        ...


class NoEpisodeCallback:
    """Is told, and only warns."""

    def progress(self, share: float) -> None:
        """See `EpisodeCallback`."""

    def episode(self, seed: int, total_return: float, decisions: int) -> None:
        """See `EpisodeCallback`."""

    def note(self, sentence: str) -> None:
        """See `EpisodeCallback`."""
        warnings.warn(sentence, RuntimeWarning, stacklevel=2)


def episode_callback(given: Any) -> EpisodeCallback:
    """What is told: the object that was given, or for None one that only warns.

    Raises:
        ConfigError: for an object that lacks a method, before an episode is played.
    """
    if given is None:
        return NoEpisodeCallback()
    wanted = "an object with the methods progress(share), episode(seed, total_return, decisions) and note(sentence)"
    check_methods("callback", given, METHODS, wanted)
    told: EpisodeCallback = given
    return told


class EpisodesOfRun:
    """Passes on to the callback of a training run what it evaluates or films.

    Args:
        callback: of the run.
        name: what is done.
        episodes: how many are played.
    """

    def __init__(self, callback: Callback, name: Literal["evaluating", "filming"], episodes: int) -> None:
        self.callback, self.name, self.episodes = callback, name, episodes
        self._ended = 0

    def progress(self, share: float) -> None:
        """See `EpisodeCallback`. At 1 all begins anew, for the next evaluation."""
        self.callback.on_activity(Activity(self.name, share, self._ended, self.episodes))
        if share >= 1.0:
            self._ended = 0

    def episode(self, seed: int, total_return: float, decisions: int) -> None:
        """See `EpisodeCallback`."""
        self._ended += 1

    def note(self, sentence: str) -> None:
        """See `EpisodeCallback`."""
        self.callback.on_note(sentence)

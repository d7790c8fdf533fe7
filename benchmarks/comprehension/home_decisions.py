"""How often an agent that watches for changes raises an alarm although nothing has changed."""

from __future__ import annotations

from collections.abc import Hashable, Iterable


def counted_once(parts: Iterable[tuple[Hashable, int, int]]) -> tuple[int, int]:
    """Decisions without a change, and the false alarms in them.

    Before its change, an episode of the same agent and seed is the same whatever the change is: it counts once.

    Args:
        parts: of episodes, before any change: what names the episode, its decisions, its false alarms.
    """
    longest: dict[Hashable, tuple[int, int]] = {}
    for episode, decisions, alarms in parts:
        longest[episode] = max(longest.get(episode, (0, 0)), (decisions, alarms))
    return sum(decisions for decisions, _ in longest.values()), sum(alarms for _, alarms in longest.values())

"""What episodes in a changed world return, by networks that adapt and by others that are kept: which should act?

An agent that was robust may lose by adapting: what it learns from a few episodes is not always better than what it
learned from all of training. So in a new world both act in turn, and then whichever had the higher return. The
adapted networks learn in all episodes, and are tried again. Those kept are first those of before the change. When
adapted ones have returned more for some time, these are kept in their place: what is learned later may be worse.
Where those kept return as much as without a change, the adapted ones are not tried.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import fmean

NEWEST = 3
"""Episodes of the adapted networks that count: they change. So many returns are compared before they are kept."""
LONGEST_WITHOUT = 2
"""Episodes without the adapted networks that are followed by one with them."""


@dataclass
class TrialReturns:
    """The returns of whole episodes in one changed world, in the order of time."""

    kept_first: bool = False
    """Who acts until both have: those kept, if kept ones returned more in the world before this one, or if they
    have adapted to this one."""
    adapted: list[float] = field(default_factory=list)
    """Of episodes in which the adapted networks acted."""
    kept: list[float] = field(default_factory=list)
    """Of those in which the kept networks acted."""
    since_adapted: int = 0
    """How many episodes have begun since the adapted networks acted from the start of one."""
    total: float = 0.0
    """Of the episode in progress."""
    counts: bool = False
    """Whether the episode in progress is one of this world from its start."""
    over: bool = False
    """Whether it has terminated, or was truncated."""
    interrupted: bool = False
    """Whether it counted before another model came into use."""
    acts_kept: bool = False
    """Whether the kept networks act in it."""
    enough: float = math.inf
    """Return of those kept from which on nothing is to be gained by others: what is usual without a change."""
    kept_adapted: bool = False
    """Whether those kept have adapted to this world, and are no longer those of before it."""

    def begin(self, kept: bool) -> None:
        """An episode begins; it counts if nothing interrupts it. `kept` says who acts."""
        self.total, self.counts, self.over, self.interrupted = 0.0, True, False, False
        self.acts_kept = kept
        self.since_adapted = self.since_adapted + 1 if kept else 0

    def interrupt(self) -> None:
        """The episode in progress is not of one world, or not of one agent, unless `resume` follows."""
        self.counts, self.interrupted = False, self.counts

    def resume(self, reward: float) -> None:
        """The interruption was short, and of the same episode: this counts, with what was rewarded meanwhile."""
        self.counts, self.interrupted = self.interrupted, False
        self.total += reward

    def break_off(self) -> None:
        """Another episode begins: one that is not over returned less, or cost less, than a whole one."""
        self.counts = self.counts and self.over

    def end(self) -> None:
        """The episode in progress is over."""
        if self.counts:
            (self.kept if self.acts_kept else self.adapted).append(self.total)
        self.counts = False

    @property
    def earned(self) -> bool:
        """Whether the adapted networks are to be kept from now on: each of their newest episodes returned more.

        More than every one of those kept, because these are lost then, and a mean may be higher by chance.
        """
        newest = self.adapted[-NEWEST:]
        return len(newest) == NEWEST and bool(self.kept) and min(newest) > max(self.kept)

    def keep_adapted(self) -> None:
        """The adapted networks are those kept from now on, and have their newest returns."""
        self.kept, self.adapted, self.since_adapted = self.adapted[-NEWEST:], [], 1
        self.kept_first = self.kept_adapted = True

    @property
    def kept_suffices(self) -> bool:
        """Whether those kept returned enough, when they acted last."""
        return bool(self.kept) and self.kept[-1] >= self.enough

    @property
    def prefers_kept(self) -> bool:
        """Whether those kept returned more."""
        if not self.adapted or not self.kept:
            return self.kept_first or self.kept_suffices
        return fmean(self.kept) > fmean(self.adapted[-NEWEST:])

    def next_kept(self) -> bool:
        """Whether those kept act in the next episode."""
        if self.kept_suffices:
            return True
        if self.since_adapted == LONGEST_WITHOUT:
            return False
        if not self.kept:
            return self.kept_first or bool(self.adapted)
        if not self.adapted:  # in turn: an episode in which the adapted ones fail may not count
            return self.since_adapted == 0
        # As long as the newest episode was better, the next one may be too, whatever the ones before it returned.
        return self.adapted[-1] < fmean(self.kept)

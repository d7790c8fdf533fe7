"""What episodes in a changed world return, to the agent that adapts and to the one of before: which one should act?

An agent that was robust may lose by adapting: what it learns from a few episodes is not always better than what it
learned from all of training. So in a new world both act in turn, and then whichever had the higher return. The
adapted networks learn in all episodes, and are tried again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import fmean

NEWEST = 3
"""Episodes of the adapted networks that count: they change."""
LONGEST_WITHOUT = 2
"""Episodes without the adapted networks that are followed by one with them."""


@dataclass
class TrialReturns:
    """The returns of whole episodes in one changed world, in the order of time."""

    unadapted_first: bool = False
    """Who acts until both have: the networks of before, if they returned more in the world before this one, too."""
    adapted: list[float] = field(default_factory=list)
    """Of episodes in which the adapted networks acted."""
    unadapted: list[float] = field(default_factory=list)
    """Of those in which the networks of before the change acted."""
    since_adapted: int = 0
    """How many episodes have begun since the adapted networks acted from the start of one."""
    total: float = 0.0
    """Of the episode in progress."""
    counts: bool = False
    """Whether the episode in progress is one of this world from its start."""
    over: bool = False
    """Whether it has terminated, or was truncated."""

    def begin(self, unadapted: bool) -> None:
        """An episode begins; it counts if nothing interrupts it. `unadapted` says who acts."""
        self.total, self.counts, self.over = 0.0, True, False
        self.since_adapted = self.since_adapted + 1 if unadapted else 0

    def interrupt(self) -> None:
        """The episode in progress is not of one world, or not of one agent."""
        self.counts = False

    def break_off(self) -> None:
        """Another episode begins: one that is not over returned less, or cost less, than a whole one."""
        self.counts = self.counts and self.over

    def end(self, unadapted: bool) -> None:
        """The episode in progress is over; `unadapted` says who acted."""
        if self.counts:
            (self.unadapted if unadapted else self.adapted).append(self.total)
        self.counts = False

    @property
    def prefers_unadapted(self) -> bool:
        """Whether the agent of before the change returned more."""
        if not self.adapted or not self.unadapted:
            return self.unadapted_first
        return fmean(self.unadapted) > fmean(self.adapted[-NEWEST:])

    def next_unadapted(self) -> bool:
        """Whether the agent of before the change acts in the next episode."""
        if self.since_adapted == LONGEST_WITHOUT:
            return False
        if not self.adapted or not self.unadapted:
            return not self.unadapted and (self.unadapted_first or bool(self.adapted))
        # As long as the newest episode was better, the next one may be too, whatever the ones before it returned.
        return self.adapted[-1] < fmean(self.unadapted)

"""Decisions by a deadline: what still fits before it is predicted from how long the last decisions took.

A decision with a search has three parts: what comes before the end of the search's first iteration (the
policy's proposals among it), each further iteration, and what follows the search. Where the first and the last
part do not fit, the search is left out and the policy acts; see `Actor.without_search` for what it does not know.
Where another iteration and the last part do not fit, the search ends with the best plan so far. The last decisions
are no promise: a decision that something else holds up misses its deadline.
"""

import time
from collections import deque
from collections.abc import Callable

from agent.actor.decision_timing import DecisionTiming

REMEMBERED = 32
"""Measurements of each part that predict the next."""
ALLOWANCE = 1.25
"""Factor on a predicted time."""
LONGEST_PAUSE_DECISIONS = 1_024
"""Decisions at most until a part that did not fit is tried again."""

SecondsClock = Callable[[], float]
"""Seconds from any moment on; it never goes back."""


class PartTime:
    """The seconds that one part of a decision took in the newest decisions.

    A part that does not fit any more is not measured any more. So it is tried again after it was left out in 1, 2,
    4, … decisions, at most LONGEST_PAUSE_DECISIONS: an agent comes back to planning after a slow moment, and one
    that is too slow for its deadline misses few of them.
    """

    def __init__(self) -> None:
        self.seconds: deque[float] = deque(maxlen=REMEMBERED)
        self.on_trial = False
        self._pause_decisions, self._left_out = 1, 0

    def predicted(self) -> float:
        """The seconds to allow for the next: those that nine in ten of the last ones kept to, and a quarter more.

        So a single decision that something else held up changes nothing. It is 0 where nothing was measured.
        """
        if not self.seconds:
            return 0.0
        longest_first = sorted(self.seconds, reverse=True)
        return ALLOWANCE * longest_first[len(longest_first) // 10]

    def is_made(self, fits: bool) -> bool:
        """Whether the part is made: it is predicted to fit, or it is time to try it."""
        self.on_trial = not fits and self._left_out >= self._pause_decisions
        if not fits and not self.on_trial:
            self._left_out += 1
            return False
        self._left_out = 0
        if fits:
            self._pause_decisions = 1
        return True

    def judge(self, in_time: bool) -> None:
        """Ends a trial by whether the decision was in time."""
        if self.on_trial:
            self._pause_decisions = 1 if in_time else min(2 * self._pause_decisions, LONGEST_PAUSE_DECISIONS)
            self.on_trial = False

    def forget_all_but_newest(self) -> None:
        """The times of a slow moment count no more."""
        while len(self.seconds) > 1:
            self.seconds.popleft()


class Pace:
    """How long the parts of an actor's decisions take.

    Args:
        clock: measures.
    """

    def __init__(self, clock: SecondsClock = time.perf_counter) -> None:
        self.clock = clock
        self.first, self.further, self.rest = PartTime(), PartTime(), PartTime()

    def deadline(self, milliseconds: float) -> "Deadline":
        """The deadline of a decision that begins now, after so many milliseconds."""
        return Deadline(self, milliseconds)


class Deadline:
    """The deadline of one decision.

    Args:
        pace: of the actor that decides; it is told how long the parts took.
        milliseconds: from now on.
    """

    def __init__(self, pace: Pace, milliseconds: float) -> None:
        self.pace, self.milliseconds = pace, milliseconds
        self.iterations = 0
        """Iterations of the search that have begun."""
        self.fell_back = False
        """Whether the decision is made without a search."""
        self._begun = self._part_begun = pace.clock()
        self._at = self._begun + milliseconds / 1e3
        self._ended = False

    def search_fits(self) -> bool:
        """Whether the search is made, with one iteration at least. Asked once, before all that it needs."""
        first, rest, now = self.pace.first, self.pace.rest, self.pace.clock()
        if now >= self._at or not first.is_made(now + first.predicted() + rest.predicted() <= self._at):
            self.fell_back = True
            return False
        self.iterations, self._part_begun = 1, now
        return True

    def proceed(self) -> bool:
        """Whether the search makes another iteration; see `planners.base.Planner.plan`."""
        now, first, further = self._measured(), self.pace.first, self.pace.further
        # The second iteration of all is predicted to take no longer than the first part did.
        needed = (further.predicted() or first.predicted()) + self.pace.rest.predicted()
        made = now + needed <= self._at
        if self.iterations == 1 and now < self._at and not first.on_trial:
            made = further.is_made(made)
        if made:
            self.iterations += 1
        self._ended = not made
        return made

    def search_ended(self) -> None:
        """The search has ended."""
        if not self._ended:
            self._measured()
            self._ended = True

    def finish(self) -> DecisionTiming:
        """The decision is made. Returns how long it took."""
        now, pace = self.pace.clock(), self.pace
        latency_ms = 1e3 * (now - self._begun)
        timing = DecisionTiming(latency_ms, self.milliseconds, self.iterations, self.fell_back)
        if self.iterations:
            pace.rest.seconds.append(now - self._part_begun)
            for part in (pace.first, pace.further):
                if part.on_trial and not timing.missed:
                    part.forget_all_but_newest()
                    pace.rest.forget_all_but_newest()
                part.judge(not timing.missed)
        return timing

    def _measured(self) -> float:
        """Stores how long the part took that ends now. Returns the time."""
        now = self.pace.clock()
        part = self.pace.first if self.iterations == 1 else self.pace.further
        part.seconds.append(now - self._part_begun)
        self._part_begun = now
        return now

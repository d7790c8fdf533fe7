"""How long decisions by a deadline took: of one decision, and of many."""

from collections import deque
from dataclasses import dataclass

import numpy as np

NEWEST_DECISIONS = 10_000
"""Decisions whose latencies are kept for percentiles; counts are of all."""


@dataclass(frozen=True)
class DecisionTiming:
    """The time that one decision took, from the observation to the action."""

    latency_ms: float
    deadline_ms: float
    iterations: int
    """Iterations of the search; 0 where there was no search."""
    fell_back: bool
    """Whether there was no search because not even one iteration would have fitted."""

    @property
    def missed(self) -> bool:
        """Whether the action came after the deadline."""
        return self.latency_ms > self.deadline_ms


class TimingStatistics:
    """Counts and percentiles of the decisions since it was made, or since `clear`."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forgets all decisions, such as those before the robot moves."""
        self.decisions = self.missed = self.fell_back = self.iterations = 0
        self._latencies: deque[float] = deque(maxlen=NEWEST_DECISIONS)

    def add(self, timing: DecisionTiming) -> None:
        """Takes in a decision."""
        self.decisions += 1
        self.missed += timing.missed
        self.fell_back += timing.fell_back
        self.iterations += timing.iterations
        self._latencies.append(timing.latency_ms)

    def latency_ms(self, percentile: float) -> float:
        """A percentile of the latencies of the newest 10,000 decisions; NaN where there is none."""
        return (
            float(np.percentile(np.array(self._latencies), percentile)) if self._latencies else float("nan")
        )

    def summary(self) -> dict[str, float]:
        """The statistics by name.

        Returns:
            `decisions`; `median_ms`, `p99_ms` and `longest_ms` of their latencies (of the newest 10,000 of them);
            `missed_share`, the share of decisions that came after their deadline; `fell_back_share`, the share in
            which no search was made; `iterations`, the mean number of iterations of the search
            in a decision. Without a decision, all but `decisions` are NaN.
        """
        count = self.decisions or float("nan")
        return {
            "decisions": self.decisions,
            "median_ms": self.latency_ms(50),
            "p99_ms": self.latency_ms(99),
            "longest_ms": self.latency_ms(100),
            "missed_share": self.missed / count,
            "fell_back_share": self.fell_back / count,
            "iterations": self.iterations / count,
        }

"""A curve of one line of text, and the values that it is drawn from."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

BLOCKS, ASCII = "▁▂▃▄▅▆▇█", "_.-=+*#@"
"""From low to high, for a terminal with Unicode and for one without."""


def sparkline(values: Sequence[float], width: int, levels: str = BLOCKS) -> str:
    """At most `width` characters, each the mean of some neighbouring values; no character without a finite value.

    Args:
        values: oldest first.
        width: characters at most.
        levels: characters from low to high.
    """
    known = [value for value in values if math.isfinite(value)]
    if not known or width < 1:
        return ""
    count = min(width, len(known))
    edges = [round(i * len(known) / count) for i in range(count + 1)]
    means = [sum(known[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]
    low, high = min(means), max(means)
    if high <= low:
        return levels[len(levels) // 2] * count
    # Half the values first: the difference of two very large ones is not finite.
    scale = (len(levels) - 1) / (high / 2 - low / 2)
    return "".join(levels[round((value / 2 - low / 2) * scale)] for value in means)


class History:
    """The values of a long series, in bounded memory: when it is full, neighbours become their mean.

    Args:
        capacity: values kept at most, an even number.
    """

    def __init__(self, capacity: int = 512) -> None:
        self.capacity = capacity
        self.values: list[float] = []
        """Oldest first; each is the mean of `of_each` values."""
        self.of_each = 1
        self._sum, self._count = 0.0, 0

    def add(self, value: float) -> None:
        """Adds the newest value."""
        self._sum, self._count = self._sum + value, self._count + 1
        if self._count < self.of_each:
            return
        self.values.append(self._sum / self._count)
        self._sum, self._count = 0.0, 0
        if len(self.values) >= self.capacity:
            pairs = zip(self.values[::2], self.values[1::2], strict=True)
            self.values = [(one + other) / 2 for one, other in pairs]
            self.of_each *= 2

"""Shortest paths among axis-aligned boxes in the plane."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class ShortestPaths:
    """Exact lengths of shortest paths around boxes.

    A shortest path bends only at corners of boxes (Lozano-Pérez and Wesley, 1979). So a graph of the corners
    that see one another is enough.

    Args:
        boxes: [boxes, 2, 2], the low and the high corner of each (m).
        margin: least distance between a path and a box (m).
    """

    def __init__(self, boxes: NDArray[np.float64], margin: float) -> None:
        grown = boxes + np.array([[-margin, -margin], [margin, margin]])
        # Slightly smaller, so that rounding does not block a line along a side or through a corner.
        self._insides = grown + np.array([[1e-9, 1e-9], [-1e-9, -1e-9]])
        low, high = grown[:, 0], grown[:, 1]
        corners = np.concatenate([low, high, np.c_[low[:, 0], high[:, 1]], np.c_[high[:, 0], low[:, 1]]])
        self._corners = corners[self._visible(corners, corners).diagonal()]
        distances = np.linalg.norm(self._corners[:, None] - self._corners[None], axis=-1)
        self._between = np.where(self._visible(self._corners, self._corners), distances, np.inf)
        for via in range(len(self._corners)):  # Floyd and Warshall
            detour = self._between[:, via, None] + self._between[None, via]
            self._between = np.minimum(self._between, detour)

    def length(self, start: NDArray[np.float64], end: NDArray[np.float64]) -> float:
        """Length of the shortest path from `start` to `end`, both [2] (m); infinite where there is none."""
        ends = np.stack([start, end])
        if self._visible(ends[:1], ends[1:])[0, 0]:
            return float(np.linalg.norm(end - start))
        to_corners = np.linalg.norm(ends[:, None] - self._corners[None], axis=-1)
        to_corners = np.where(self._visible(ends, self._corners), to_corners, np.inf)
        return float(np.min(to_corners[0, :, None] + self._between + to_corners[1]))

    def _visible(self, sources: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether the straight line from a source to a target meets no box: [sources, targets]."""
        start = sources[:, None, None]
        line = targets[None, :, None] - start
        # A line parallel to a side gets huge quotients: of both signs between the sides, of one sign beyond.
        line = np.where(line == 0.0, 1e-200, line)
        enter, leave = (self._insides[:, 0] - start) / line, (self._insides[:, 1] - start) / line
        first = np.minimum(enter, leave).max(-1).clip(min=0.0)
        last = np.maximum(enter, leave).min(-1).clip(max=1.0)
        return ~(first < last).any(-1)

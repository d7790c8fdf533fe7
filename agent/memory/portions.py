"""Rows of a replay buffer, divided so that the observations of a portion fit in memory together."""

import numpy as np

from agent.memory.replay_buffer import ReplayBuffer

MOST_ROWS = 4096
MOST_BYTES = 64 << 20
"""Of the observations in a portion, as the environment gives them. As float32 a picture takes four times that."""


def portions(buffer: ReplayBuffer, places: np.ndarray) -> list[np.ndarray]:
    """Places in order, divided into as few portions of nearly equal length as stay within both limits.

    Args:
        buffer: has the observations.
        places: [rows], or numbers of rows; without any there is no portion.
    """
    if not len(places):
        return []
    most = max(1, min(MOST_ROWS, MOST_BYTES // max(1, buffer.observation_bytes)))
    return np.array_split(places, -(-len(places) // most))


def evenly(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the rows, evenly spread, in order; the first and the last are among them."""
    kept: np.ndarray = rows[np.linspace(0, len(rows) - 1, min(len(rows), most)).astype(int)]
    return kept

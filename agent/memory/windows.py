"""A sample of windows of the replay buffer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Windows:
    """A sample of windows; time is the first axis.

    `valid[k]` says that transition k belongs to the same episode as transition 0; it is true for
    k = 0 and never returns to true. Where it is false the rows repeat the episode's last one.
    """

    obs: np.ndarray
    """[time + 1, batch, obs]"""
    action: np.ndarray
    """[time, batch, act]"""
    cost: np.ndarray
    """[time, batch]"""
    terminated: np.ndarray
    """[time, batch], 1 where the episode terminated with this transition"""
    valid: np.ndarray
    """[time, batch], bool"""
    readout: np.ndarray
    """[time + 1, batch, readouts]"""

    @classmethod
    def concatenate(cls, parts: "Sequence[Windows]") -> "Windows":
        """The windows of several samples as one, along the batch axis."""
        columns = zip(*(vars(part).values() for part in parts), strict=True)
        return cls(*(np.concatenate(column, 1) for column in columns))

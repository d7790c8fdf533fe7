"""A sample of windows of the replay buffer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.interface import Observation


@dataclass(frozen=True)
class Windows:
    """A sample of windows; time is the first axis.

    `valid[k]` says that transition k belongs to the same episode as transition 0. It is true for k = 0 and never
    returns to true. Where it is false, the rows repeat the last row of the episode.
    """

    obs: Observation
    """[time + 1, batch, obs], or this for each part of the observation"""
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

        def joined(columns: tuple) -> Observation:  # type: ignore[type-arg]
            if isinstance(columns[0], np.ndarray):
                return np.concatenate(columns, 1)
            return {name: np.concatenate([part[name] for part in columns], 1) for name in columns[0]}

        columns = zip(*(vars(part).values() for part in parts), strict=True)
        return cls(*(joined(column) for column in columns))  # type: ignore[arg-type]

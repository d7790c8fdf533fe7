"""Recorded episodes, ready for a replay buffer, and what is said of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agent.interface import Arrays, EnvSpec
from envs.faults.checks import LIKELY_REWARD
from joule.report.amounts import count

READOUTS = "readouts"
"""The entry of the record that says whether the episodes have readouts."""
HUGE_REWARDS, FIRST_HUGE = "huge_rewards", "first_huge_reward"
"""Entries of the record: rewards that are likely a mistake, and the first episode that has one."""


@dataclass(frozen=True)
class Dataset:
    """Recorded episodes as rows of a replay buffer."""

    source: str
    """As the user named it."""
    episodes: Sequence[Arrays]
    """Rows by column, those of each episode."""
    env_spec: EnvSpec
    """Sizes and names of the environment that they are of."""
    has_readouts: bool
    """Whether the episodes have the environment's readouts; all of them are NaN otherwise."""

    @property
    def rows(self) -> int:
        """Rows of the replay buffer that they take."""
        return sum(len(rows["last"]) for rows in self.episodes)

    def record(self) -> dict[str, Any]:
        """What run.json keeps of the data, as JSON values."""
        returns = np.array([0.0 - rows["cost"].sum(dtype=np.float64) for rows in self.episodes])
        huge = [int((np.abs(rows["cost"]) > LIKELY_REWARD).sum()) for rows in self.episodes]
        return {
            "source": self.source,
            "episodes": len(self.episodes),
            "transitions": self.rows - len(self.episodes),
            "return_mean": float(returns.mean()),
            "return_std": float(returns.std()),
            "return_min": float(returns.min()),
            "return_max": float(returns.max()),
            READOUTS: self.has_readouts,
            HUGE_REWARDS: sum(huge),
            FIRST_HUGE: int(np.argmax(huge)),
        }


def described(record: Any) -> list[str]:
    """Sentences on the data of a run, from its run.json, which may come from another person."""
    if not isinstance(record, Mapping):
        return []
    counts: list[Any] = [record.get(name) for name in ("episodes", "transitions")]
    returns = [record.get(f"return_{name}") for name in ("mean", "std", "min", "max")]
    whole = all(isinstance(value, int) for value in counts)
    if not whole or not all(isinstance(value, float) and math.isfinite(value) for value in returns):
        return []
    (episodes, transitions), (mean, std, low, high) = counts, returns
    told = [
        f"data: {count(episodes, 'episode')}, {count(transitions, 'transition')}, return {mean:,.2f} ± {std:,.2f} "
        f"({low:,.2f} to {high:,.2f})"
    ]
    if record.get(READOUTS) is False:
        told.append("the data have no readouts: this agent cannot be given tasks and constraints on them")
    huge, first = record.get(HUGE_REWARDS), record.get(FIRST_HUGE)
    if isinstance(huge, int) and isinstance(first, int) and huge > 0:
        told.append(
            f"rewards beyond {LIKELY_REWARD:g}: {huge:,}, the first in episode {first:,}; beside them "
            "no difference of usual rewards is learned"
        )
    return told

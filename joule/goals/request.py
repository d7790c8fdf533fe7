"""What is asked of an evaluation of goals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.cost.goal import MOST_AHEAD, SUB_GOAL_DECISIONS, GoalEnergy
from agent.errors import ConfigError

DEFAULT_PAIRS = 50
FIRST_GOAL_SEED = 20_000
"""Seed of the first start; training and evaluations use smaller ones."""


@dataclass(frozen=True)
class GoalRequest:
    """What is asked of an evaluation of goals."""

    pairs: int = DEFAULT_PAIRS
    seed: int = FIRST_GOAL_SEED
    """Of the first start; the others follow."""
    decisions: int | None = None
    """Of an attempt; None takes an episode's limit."""
    within: Mapping[str, float] | None = None
    """Readout -> greatest distance; None takes what the environment says. See `joule.goals.nearness.Nearness`."""
    energy: GoalEnergy = "auto"
    """See `agent.cost.goal.Goal`."""
    sub_goal_decisions: int = SUB_GOAL_DECISIONS
    """See `agent.cost.goal.Goal`."""
    oracle: bool = False
    """Whether to plan in true physics too, which takes a tenth of a second or more a decision."""

    def __post_init__(self) -> None:
        """Raises ConfigError for a number of pairs or decisions below 1, and sub-goals too far ahead."""
        for option, value in (("goals", self.pairs), ("goal-decisions", self.decisions)):
            if value is not None and value < 1:
                raise ConfigError(f"--{option}: {value} is less than 1")
        if not 0 <= self.sub_goal_decisions <= MOST_AHEAD:
            raise ConfigError(
                f"--sub-goal-decisions: found {self.sub_goal_decisions}; give a number from 0 to {MOST_AHEAD:,}"
            )

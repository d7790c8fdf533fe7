"""What is asked of an evaluation of goals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.cost.goal import (
    SUB_GOAL_DECISIONS,
    GoalEnergy,
    check_energy,
    check_sub_goal_decisions,
    check_within,
)
from agent.errors import ConfigError
from joule.arguments import whole
from joule.goals.plan import check_straight

DEFAULT_PAIRS = 50
DEFAULT_OFFSET = 25
"""Rows from a start to its goal in the protocol of stable-worldmodel; an attempt has twice as many steps."""
PREFIX, EXAMPLE = "swm:", "swm:PATH, a recording of stable-worldmodel"
FIRST_GOAL_SEED = 20_000
"""Seed of the first start; no training uses it, and no evaluation with fewer than 10,000 episodes."""


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
    recording: str | None = None
    """`swm:PATH`: starts and goals are moments of this recording; None takes those of the environment."""
    offset: int | None = None
    """Rows of the recording from a start to its goal; None takes `DEFAULT_OFFSET`."""
    horizon_decisions: int | None = None
    """Decisions that plans look ahead; None takes those of `agent.configurator.goals`."""

    def __post_init__(self) -> None:
        """Raises ConfigError for what is no number or out of range, and for what does not go together."""
        whole("seed", self.seed, 0)
        whole("goals", self.pairs, 1)
        for option, value in (("goal-decisions", self.decisions), ("goal-offset", self.offset)):
            if value is not None:
                whole(option, value, 1)
        if self.within is not None:
            check_within("--goal-within", self.within)
        check_energy("--goal-energy:", self.energy)
        check_sub_goal_decisions("--sub-goal-decisions", self.sub_goal_decisions)
        check_straight(self.energy, self.sub_goal_decisions)
        if self.recording is None:
            if self.offset is not None:
                raise ConfigError("--goal-offset: is of a recording; add --goal-data")
            return
        if not self.recording.startswith(PREFIX):
            raise ConfigError(f"--goal-data: found {self.recording[:80]!r}; give {EXAMPLE}")
        if self.energy == "readouts":
            raise ConfigError(
                "--goal-energy: readouts does not go with --goal-data: the environment says when a goal is reached"
            )
        for option, given in (("goal-within", self.within), ("goal-oracle", self.oracle or None)):
            if given is not None:
                raise ConfigError(
                    f"--{option}: does not go with --goal-data, where the environment says when a goal is reached"
                )

"""How plans for one goal are made, as commands and `joule.render` and its like are asked for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from agent.cost.goal import (
    SUB_GOAL_DECISIONS,
    Goal,
    GoalEnergy,
    check_energy,
    check_sub_goal_decisions,
    check_within,
)
from agent.errors import ConfigError

OF_PLANS = ("goal_energy", "goal_within", "sub_goal_decisions")
"""Changes of a trained agent that say how it plans for its goal."""
OF_GOALS = ("goal", "learn_goals", *OF_PLANS)
"""Changes of a trained agent that are given like settings, and are none."""
ARGUMENTS_OF_SEVERAL = {
    "goals": "pairs",
    "goal_data": "recording",
    "goal_decisions": "decisions",
    "goal_energy": "energy",
    "goal_offset": "offset",
    "goal_oracle": "oracle",
    "goal_within": "within",
}
"""Option of `joule evaluate --goals` -> the argument of `joule.evaluate_goals` that says the same."""


@dataclass(frozen=True)
class GoalPlan:
    """How plans for one goal are made; None leaves a field as the goal has it.

    Raises:
        ConfigError: for a value that a goal cannot have.
    """

    energy: GoalEnergy | None = None
    """See `agent.cost.goal.Goal`."""
    within: Mapping[str, float] | None = None
    """See `agent.cost.goal.Goal`; for the energy `readouts` None takes what the environment says."""
    sub_goal_decisions: int | None = None
    """See `agent.cost.goal.Goal`."""

    def __post_init__(self) -> None:
        if self.energy is not None:
            check_energy("--goal-energy:", self.energy)
        if self.within is not None:
            check_within("--goal-within", self.within)
            if not self.within:
                raise ConfigError("--goal-within: found no readout; give one, such as ball=0.1")
        if self.sub_goal_decisions is not None:
            check_sub_goal_decisions("--sub-goal-decisions", self.sub_goal_decisions)

    @classmethod
    def taken_from(cls, changes: dict[str, Any]) -> GoalPlan:
        """What changes of a trained agent say of plans for its goal, which is taken out of them."""
        energy, within, ahead = (changes.pop(name, None) for name in OF_PLANS)
        return cls(energy, within, ahead)

    @property
    def given(self) -> dict[str, Any]:
        """What was given, by the name of the change."""
        values = (self.energy, self.within, self.sub_goal_decisions)
        return {name: value for name, value in zip(OF_PLANS, values, strict=True) if value is not None}

    def check(self, goal: str | Goal | None) -> None:
        """Raises ConfigError where there is no goal, or one that says itself, and for what does not go together."""
        if not self.given:
            return
        option = f"--{next(iter(self.given)).replace('_', '-')}"
        if goal is None:
            raise ConfigError(f"{option}: is for reaching a goal; add --goal")
        if isinstance(goal, Goal):
            raise ConfigError(f"{option}: a joule.Goal says itself how it is planned for; give it there")
        if self.within is not None and self.energy != "readouts":
            raise ConfigError(
                "--goal-within: says which readouts count in plans by them; add --goal-energy readouts"
            )
        if self.sub_goal_decisions is not None:
            check_straight(self.energy, self.sub_goal_decisions)

    def applied(self, goal: Goal, env: str, near_enough: Callable[[], Mapping[str, float]]) -> Goal:
        """The goal with these plans.

        Args:
            goal: as its text says, or as Python gives it.
            env: the environment's id.
            near_enough: gives what the environment says is near enough, by readout; empty where it does not.

        Raises:
            ConfigError: for plans by readouts where nobody says which count.
        """
        if not self.given:
            return goal
        within = self.within
        if self.energy == "readouts" and within is None:
            within = near_enough()
            check_counted(within, env)
        ahead = goal.sub_goal_decisions if self.sub_goal_decisions is None else self.sub_goal_decisions
        return replace(goal, energy=self.energy or goal.energy, within=within, sub_goal_decisions=ahead)


def check_straight(energy: GoalEnergy | None, sub_goal_decisions: int) -> None:
    """Raises ConfigError for sub-goals of plans that have none."""
    if energy == "readouts" and sub_goal_decisions not in (0, SUB_GOAL_DECISIONS):
        raise ConfigError("--sub-goal-decisions: plans by readouts have no sub-goals; leave it out")


def check_counted(within: Mapping[str, float], env: str) -> None:
    """Raises ConfigError where no readout counts in plans by readouts."""
    if not within:
        raise ConfigError(
            f"--goal-energy: plans by readouts need the readouts that count, and {env} names none; add "
            "--goal-within NAME=DISTANCE"
        )

"""How plans for one goal are made, as commands and `joule.render` and its like are asked for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

from agent.cost.goal import Goal, GoalEnergy, check_sub_goal_decisions, check_within
from agent.errors import ConfigError

OF_PLANS = ("goal_energy", "goal_within", "sub_goal_decisions")
"""Changes of a trained agent that say how it plans for its goal."""


@dataclass(frozen=True)
class GoalPlan:
    """How plans for one goal are made; None leaves a field as the goal has it.

    Raises:
        ConfigError: for what is no number, and for what does not go together.
    """

    energy: GoalEnergy | None = None
    """See `agent.cost.goal.Goal`."""
    within: Mapping[str, float] | None = None
    """See `agent.cost.goal.Goal`; for the energy `readouts` None takes what the environment says."""
    sub_goal_decisions: int | None = None
    """See `agent.cost.goal.Goal`."""

    def __post_init__(self) -> None:
        if self.energy is not None and self.energy not in get_args(GoalEnergy):
            raise ConfigError(
                f"goal_energy: {self.energy!r:.80} is none of {', '.join(get_args(GoalEnergy))}"
            )
        if self.within is not None:
            check_within("--goal-within", self.within)
            if self.energy != "readouts":
                raise ConfigError(
                    "--goal-within: says which readouts count in plans by them; add --goal-energy readouts"
                )
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

    def check_goes_with(self, goal: str | Goal | None) -> None:
        """Raises ConfigError where there is no goal, and where it says itself how it is planned for."""
        if not self.given:
            return
        name = next(iter(self.given))
        if goal is None:
            raise ConfigError(f"--{name.replace('_', '-')}: is for reaching a goal; add --goal")
        if isinstance(goal, Goal):
            raise ConfigError(f"{name}: a joule.Goal says itself how it is planned for; give it there")

    def applied(self, goal: Goal, environment: Callable[[], Mapping[str, float]]) -> Goal:
        """The goal with these plans.

        Args:
            goal: as its text says.
            environment: what the environment says is near enough, by readout; empty where it does not.

        Raises:
            ConfigError: for plans by readouts where nobody says which count.
        """
        within = self.within
        if self.energy == "readouts" and within is None:
            within = environment()
            if not within:
                raise ConfigError("--goal-energy: readouts needs those that count; add --goal-within")
        ahead = goal.sub_goal_decisions if self.sub_goal_decisions is None else self.sub_goal_decisions
        return replace(goal, energy=self.energy or goal.energy, within=within, sub_goal_decisions=ahead)

"""How far an agent looks ahead for costs that it has not learned by, and the way back to those it has."""

from agent.configurator.dotted_names import replace as replaced
from agent.configurator.settings import Config
from agent.configurator.validation import check_horizon, validate
from agent.modules import Modules

PLANNED_AHEAD_DECISIONS = 15
"""Decisions looked ahead for costs without a critic."""


def looking_ahead(
    modules: Modules, horizon_decisions: int | None, ahead: int = PLANNED_AHEAD_DECISIONS
) -> Config:
    """The settings with another horizon; by default `ahead`, or an episode where that is shorter.

    Raises:
        ConfigError: for a horizon that is no whole number in its range, or beyond an episode.
    """
    limit = modules.env_spec.episode_limit
    if horizon_decisions is None:
        # Episodes may have been made shorter since the agent was trained.
        limits = (ahead, limit, modules.config.most_decisions)
        horizon_decisions = min(at_most for at_most in limits if at_most)
    config = validate(replaced(modules.config, {"planner.horizon_decisions": horizon_decisions}))
    check_horizon(config.planner.horizon_decisions, limit, modules.env_spec.env)
    return config


def plan_as_learned(modules: Modules) -> None:
    """Plans for the task that was learned again."""
    modules.task_cost = None
    modules.actor = modules.make_actor(modules.config)

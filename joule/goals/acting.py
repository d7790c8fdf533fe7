"""What acts towards a goal: plans and the goal policy of a world-model agent, or an agent that is told the goal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from agent.configurator.kinds import NO_PLANNER
from agent.configurator.settings import GOAL_CONDITIONED
from agent.cost.goal import SUB_GOAL_DECISIONS, Goal, GoalEnergy
from agent.errors import ConfigError
from joule.goals.attempts import Act, Towards
from joule.goals.pairs import GoalPair
from joule.goals.plan import check_counted
from joule.goals.request import GoalRequest

if TYPE_CHECKING:
    from agent.agent import WorldModelAgent
    from agent.interface import Agent

REACHING = ("joule", GOAL_CONDITIONED)
"""Kinds of agents that can be given a goal."""


class Reaching(Protocol):
    """What acts towards goals."""

    @property
    def kinds(self) -> dict[str, Towards]:
        """What acts, by name."""
        ...

    @property
    def energy(self) -> GoalEnergy | None:
        """What its plans minimise; None where it does not plan."""
        ...

    @property
    def sub_goal_decisions(self) -> int | None:
        """How far ahead its sub-goals lie; None where it has none."""
        ...

    @property
    def horizon_decisions(self) -> int | None:
        """How far its plans look ahead; None where it does not plan."""
        ...

    def unchanged(self) -> AbstractContextManager[None]:
        """Afterwards the agent acts as it did before."""
        ...


def check_reaches_goals(kind: str, request: GoalRequest) -> None:
    """Checks that a kind of agent can be given goals as this is asked for.

    Raises:
        ConfigError: where it cannot.
    """
    if kind not in REACHING:
        raise ConfigError(f"--goals: {kind} cannot be given a goal; {' and '.join(REACHING)} can")
    if kind != GOAL_CONDITIONED:
        return
    if request.energy != "auto":
        raise ConfigError(f"--goal-energy: {kind} does not plan, and has no energy; joule has")
    if request.sub_goal_decisions != SUB_GOAL_DECISIONS:
        raise ConfigError(f"--sub-goal-decisions: {kind} has no sub-goals; joule has")
    if request.recording is not None:
        raise ConfigError(f"--goal-data: {kind} is told values of readouts, which a recording does not have")


def check_learned(agent: Agent, request: GoalRequest, learn_goals: int | None) -> None:
    """Checks that an agent has learned, or will learn, what this asks for.

    Args:
        agent: of a kind in `REACHING`.
        request: says how it plans.
        learn_goals: updates by which it learns to reach goals first; None where it does not.

    Raises:
        ConfigError: where it lacks what `learn_goals` learns, or what it would have to remember.
    """
    from agent.agent import WorldModelAgent

    if not isinstance(agent, WorldModelAgent):
        return
    modules = agent.modules
    if modules.config.planner.kind == NO_PLANNER and request.energy != "auto":
        raise ConfigError(
            "--goal-energy: --planner.kind policy does not plan, and has no energy; leave one out"
        )
    if learn_goals is None and modules.networks.goals is None:
        if modules.config.planner.kind == NO_PLANNER:
            raise ConfigError(
                "--planner.kind: policy acts towards a goal by what --learn-goals learns; add --learn-goals 10000"
            )
        if request.energy in ("steps", "both"):
            raise ConfigError(
                f"--goal-energy: {request.energy} is learned by --learn-goals; add --learn-goals 10000"
            )
    if request.energy == "readouts":
        from agent.configurator.readout_checks import check_readouts

        check_readouts(modules, "--goal-energy: readouts")
    if modules.replay_buffer.held:
        return
    if request.sub_goal_decisions not in (0, SUB_GOAL_DECISIONS):
        raise ConfigError(
            "--sub-goal-decisions: sub-goals are remembered moments, and this agent has no replay buffer"
        )


def reaching(agent: Agent, request: GoalRequest, within: Mapping[str, float] | None) -> Reaching:
    """What acts for an agent.

    Args:
        agent: of a kind in `REACHING`.
        request: says how it plans.
        within: readout -> distance that is near enough; None where the environment says when a goal is reached.

    Raises:
        ConfigError: for plans by readouts where nobody says which count.
    """
    from agent.agent import WorldModelAgent

    return PlannedGoals(agent, request, within) if isinstance(agent, WorldModelAgent) else ToldGoals(agent)


class PlannedGoals:
    """Plans for a goal, and the policy that `learn_goals` learned.

    Args:
        agent: has a world model.
        request: says how it plans.
        within: as `reaching`.

    Raises:
        ConfigError: for plans by readouts where nobody says which count.
    """

    def __init__(
        self, agent: WorldModelAgent, request: GoalRequest, within: Mapping[str, float] | None
    ) -> None:
        self.agent = agent
        self._plans = agent.modules.config.planner.kind != NO_PLANNER
        self._within = dict(within or {}) if request.energy == "readouts" and self._plans else None
        if self._within is not None:
            check_counted(self._within, agent.env_spec.env)
        self._asked_horizon = request.horizon_decisions
        self.energy = request.energy if self._plans else None
        # Sub-goals are remembered moments, and plans by readouts go straight for the goal.
        straight = self.energy == "readouts" or not agent.modules.replay_buffer.held
        self.sub_goal_decisions = 0 if straight else request.sub_goal_decisions

    @property
    def horizon_decisions(self) -> int | None:
        """See `Reaching`; what `learn_goals` learns changes it."""
        if not self._plans:
            return None
        goals = self.agent.configurator.goals
        return goals.settings(self._asked_horizon, self.energy or "auto").planner.horizon_decisions

    @property
    def kinds(self) -> dict[str, Towards]:
        """See `Reaching`."""
        kinds: dict[str, Towards] = {"plan": self._plan} if self._plans else {}
        modules = self.agent.modules
        # Within a constraint a policy alone may not act: it does not look ahead.
        if modules.networks.goals is not None and modules.constraint_cost is None:
            kinds["policy"] = self._policy
        return kinds

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """See `Reaching`."""
        modules = self.agent.modules
        self.agent.configurator.goals.remember_anew()
        if self._within is not None:
            from agent.configurator.readout_checks import warn_of_illegible

            warn_of_illegible(modules, "goal", list(self._within), stacklevel=3)
        before = modules.task_cost, modules.actor
        try:
            yield
        finally:
            modules.task_cost, modules.actor = before

    def _plan(self, pair: GoalPair) -> Act:
        self.agent.configurator.goals.plan_for(self._goal(pair), self._asked_horizon)
        return self._decisions()

    def _policy(self, pair: GoalPair) -> Act:
        self.agent.configurator.goals.act_for(self._goal(pair))
        return self._decisions()

    def _goal(self, pair: GoalPair) -> Goal:
        return Goal(
            pair.goal, self.energy or "auto", within=self._within, sub_goal_decisions=self.sub_goal_decisions
        )

    def _decisions(self) -> Act:
        state: Any = None

        def act(observation: Any) -> np.ndarray:
            nonlocal state
            action, state = self.agent.predict(observation, state)
            return action

        return act


class ToldGoals:
    """A policy that observes the goal.

    Args:
        agent: of the kind `GOAL_CONDITIONED`.
    """

    energy = None
    """See `Reaching`."""
    sub_goal_decisions = None
    """See `Reaching`."""
    horizon_decisions = None
    """See `Reaching`."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent

    @property
    def kinds(self) -> dict[str, Towards]:
        """See `Reaching`."""
        return {"policy": self._policy}

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """See `Reaching`; it keeps nothing of a goal."""
        yield

    def _policy(self, pair: GoalPair) -> Act:
        assert isinstance(pair.goal, Mapping), "its environment observes goals"
        desired = pair.goal["achieved_goal"]

        def act(observation: Any) -> np.ndarray:
            told: Any = {**observation, "desired_goal": desired}
            action, _ = self.agent.predict(told)
            return action

        return act

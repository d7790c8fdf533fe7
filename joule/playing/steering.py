"""What a person changes about an agent while it acts: its planner, its task, and the weights of its costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import planners
from agent.agent import WorldModelAgent
from agent.configurator.kinds import NO_PLANNER
from agent.cost.goal_cost import GoalCost
from agent.cost.task import CostFn, Task
from agent.cost.task_cost import TaskCost
from agent.cost.task_text import parse
from joule.training.unseen_place import costs_of


class Steering:
    """Changes a live agent. Nothing of it is saved.

    Args:
        agent: the agent.
    """

    def __init__(self, agent: WorldModelAgent) -> None:
        self.agent = agent
        self.planners = tuple(dict.fromkeys((*planners.KINDS, agent.config.planner.kind, NO_PLANNER)))
        """The kinds to choose from, with the agent's own; the last one acts without planning."""
        cost = agent.modules.task_cost
        terms = cost.task.terms if isinstance(cost, TaskCost) else ()
        self._terms = [_unweighted(term) for term in terms]
        self.weights = [term.weight for term in terms]
        """Of the terms of the task that is planned for; none where that is the learned one."""

    @property
    def planner(self) -> str:
        """The kind of planner."""
        return self.agent.config.planner.kind

    @property
    def task(self) -> str:
        """The task that is planned for, as the command line writes it, with weights; empty for the learned one."""
        if not self._terms:
            return ""
        return _sum(self._terms, self.weights).text or "+".join(self.terms)

    @property
    def goal(self) -> str:
        """The name of the goal that is planned for; empty without one."""
        cost = self.agent.modules.task_cost
        return cost.name if isinstance(cost, GoalCost) else ""

    @property
    def terms(self) -> list[str]:
        """Names of the terms of the task that is planned for."""
        return [term.unweighted_text or term.name for term in self._terms]

    @property
    def costs(self) -> dict[str, CostFn]:
        """What is planned for, beside a goal: the costs of the task and of the constraints, by what each is."""
        planned, config = self.agent.modules.task_cost, self.agent.config
        learned = config.task if planned is None else ""
        costs = costs_of(learned, config.constraint)
        return costs | ({f"task {self.task}": planned.task.cost} if isinstance(planned, TaskCost) else {})

    @property
    def pays_for_uncertainty(self) -> bool:
        """Whether plans may pay for uncertainty: those for a task that was not learned, or a goal, do not."""
        return self.agent.modules.task_cost is None and not self.agent.modules.rewardless

    def choose_planner(self, kind: str) -> None:
        """Plans by another kind of planner. Raises ConfigError as `Configurator.choose_planner`."""
        self.agent.configurator.choose_planner(kind)

    def plan_for(self, text: str) -> None:
        """Plans for another task, or with an empty text for the learned one again.

        Raises:
            ConfigError: for a text that is no task, and for an agent that does not plan.
            TaskError: for a readout that the environment does not have.
        """
        if not text.strip():
            self.agent.configurator.plan_as_learned()
            self._terms, self.weights = [], []
            return
        given = parse(text).terms
        terms, weights = [_unweighted(term) for term in given], [term.weight for term in given]
        self._plan_for(terms, weights)
        self._terms, self.weights = terms, weights

    def weigh_term(self, place: int, weight: float) -> None:
        """Gives a term of the task that is planned for another weight.

        Args:
            place: of the term in `terms`.
            weight: 0 leaves the term out of the energy.
        """
        self.weights[place] = weight
        self._plan_for(self._terms, self.weights)

    def _plan_for(self, terms: Sequence[Task], weights: Sequence[float]) -> None:
        """Plans for the sum of weighted terms: as far ahead as for the task before, where there was one."""
        modules = self.agent.modules
        horizon = modules.actor.horizon if isinstance(modules.task_cost, TaskCost) else None
        self.agent.plan_for(_sum(terms, weights), horizon)

    def cost_weight(self, name: str) -> float:
        """The weight of an intrinsic term: `uncertainty` or `action`; see `CostConfig`."""
        cost = self.agent.config.cost
        return {"uncertainty": cost.uncertainty, "action": cost.action}[name]

    def weigh_cost(self, name: str, weight: float) -> None:
        """Gives an intrinsic term of the energy another weight; `name` as for `cost_weight`."""
        uncertainty, action = (weight if name == one else None for one in ("uncertainty", "action"))
        self.agent.configurator.weigh(uncertainty, action)


def _unweighted(term: Task) -> Task:
    """A term with the weight 1. The cost of a function whose weight is 0 stays 0."""
    if term.unweighted_text is not None:
        return parse(term.unweighted_text)
    return dataclasses.replace(1.0 / term.weight * term if term.weight else term, name=term.name, weight=1.0)


def _sum(terms: Sequence[Task], weights: Sequence[float]) -> Task:
    """The sum of terms with these weights; their names do not say them."""
    weighted = [
        dataclasses.replace(weight * term, name=term.unweighted_text or term.name)
        for term, weight in zip(terms, weights, strict=True)
    ]
    return sum(weighted[1:], weighted[0])

"""CONFIGURATOR: sets the other modules for another task, other costs and constraints, on a live agent.

LeCun 2022, section 3.1.2: the configurator takes input from all other modules and configures them for the
task at hand. The settings of a run are its other half: `agent.configurator.settings`.
"""

import warnings
from dataclasses import replace

import torch

from agent.configurator import kinds
from agent.configurator.goals import GoalsConfigurator
from agent.configurator.kinds import NO_PLANNER
from agent.configurator.looking_ahead import looking_ahead, plan_as_learned
from agent.configurator.readout_checks import check_readouts, warn_of_illegible
from agent.configurator.validation import validate
from agent.cost.constraint import Constraint, charge, check_compatible, covered_by_task, parse_constraint
from agent.cost.constraint_cost import ConstraintCost
from agent.cost.readouts import TaskError
from agent.cost.task import IN_PYTHON, Task, cost_per_row
from agent.cost.task_cost import TaskCost
from agent.cost.task_text import parse
from agent.errors import ConfigError
from agent.learning.task_learning import learn_task_in_imagination
from agent.memory.columns import has_readouts
from agent.modules import Modules
from joule_errors import Advice

CHARGE = 20.0
"""Cost of a violation, by one unit of its limit for one decision, where constraints are learned."""
NEWEST_STEPS = 200
"""Remembered steps at most on which a cost is tried when it is set."""


class Configurator:
    """Changes what an agent's modules plan for."""

    def __init__(self, modules: Modules) -> None:
        self.modules = modules
        self.goals = GoalsConfigurator(modules)

    def constrain_as_configured(self) -> None:
        """Keeps the constraints that the configuration names. Raises as `constrain`."""
        self.constrain(*(parse_constraint(text) for text in self.modules.config.constraint))

    def constrain(self, *constraints: Constraint) -> None:
        """Plans within these constraints from now on, whatever the costs say; with none, within none.

        A constraint given as text is saved with the agent. One given as a function cannot be: what was saved
        loads only with `settings={"constraint": ()}`.

        Raises:
            TaskError: for a constraint on a readout that the environment does not have, and for an agent from data
                without readouts.
            ConfigError: for an agent that does not plan, and for two limits that no value of a readout keeps.
        """
        modules = self.modules
        check_compatible(constraints)
        if constraints and modules.config.planner.kind == NO_PLANNER:
            raise ConfigError(
                "constraint: planner.kind policy does not look ahead, and cannot keep a constraint"
            )
        if constraints and modules.actor.planner is None:
            raise ConfigError(
                "constraint: the policy that acts towards a goal does not look ahead; plan for the goal"
            )
        act = modules.env_spec.action_size
        made = ConstraintCost(constraints, modules.layout(), modules.networks, act) if constraints else None
        if made is not None:
            check_readouts(modules, "constraint", made.used)
        for constraint in constraints:
            self._check_finite("constraint", constraint)
        modules.constraint_cost = made
        self.warn_of_constraints()
        modules.forget_margin()
        said = tuple(IN_PYTHON + one.name if one.text is None else one.text for one in constraints)
        modules.config = replace(modules.config, constraint=said)

    def check_constraints(self) -> None:
        """Raises TaskError where there are constraints, and the agent learned from data without readouts."""
        kept = self.modules.constraint_cost
        if kept is not None:
            check_readouts(self.modules, "constraint", kept.used)

    def warn_of_constraints(self) -> None:
        """Warns of constraints on readouts that the agent cannot read; see `cost.legibility`."""
        kept = self.modules.constraint_cost
        if kept is not None:
            named = "constraint " + ", ".join(one.name for one in kept.constraints)
            warn_of_illegible(self.modules, named, kept.used, stacklevel=4)

    def plan_for(self, task: Task, horizon_decisions: int | None = None) -> None:
        """Plans for other costs from now on, without learning (zero-shot), without the critic, further ahead.

        What was learned and is saved stays as it was.

        Args:
            task: the costs.
            horizon_decisions: decisions looked ahead; by default 15, or an episode where that is shorter.

        Raises:
            TaskError: for a task that the environment's readouts do not serve.
            ConfigError: for an agent that does not plan, or a horizon beyond an episode.
        """
        modules = self.modules
        if modules.config.planner.kind == NO_PLANNER:
            raise ConfigError(
                "planner.kind: policy cannot plan for another task; choose a planner, or learn the task"
            )
        config = looking_ahead(modules, horizon_decisions)
        modules.task_cost, modules.actor = self._known(self.task_cost(task)), modules.make_actor(config)

    def plan_as_learned(self) -> None:
        """Plans for the task that was learned again, after `plan_for`."""
        plan_as_learned(self.modules)

    def choose_planner(self, kind: str) -> None:
        """Plans by another kind of planner from now on, as far ahead as before.

        Settings that both kinds have stay; the others get their defaults.

        Args:
            kind: the planner; `policy` acts without planning.

        Raises:
            ConfigError: for an unknown kind, and for acting without a plan where there is a task that is only
                planned for, or a constraint.
        """
        modules = self.modules
        before = modules.config.planner
        if kind == NO_PLANNER:
            task = None if self.goals.policy is not None else modules.task_cost
            for what, kept in (("task", task), ("constraint", modules.constraint_cost)):
                if kept is not None:
                    raise ConfigError(f"planner.kind: the {what} needs a plan; policy does not look ahead")
        has = kinds.settings_of("planner", kind)
        settings = {name: value for name, value in before.settings.items() if name in has}
        config = validate(replace(modules.config, planner=replace(before, kind=kind, settings=settings)))
        ahead = replace(config.planner, horizon_decisions=modules.actor.horizon)
        actor = modules.make_actor(replace(config, planner=ahead), self.goals.policy)
        modules.config, modules.actor = config, actor

    def weigh(self, uncertainty: float | None = None, action: float | None = None) -> None:
        """Changes weights of the energy from now on.

        Args:
            uncertainty: see `CostConfig`; None leaves it.
            action: likewise.

        Raises:
            ConfigError: for a weight that is no number in its range, and for that of uncertainty where the agent
                learns without rewards: its plans do not pay for it.
        """
        config = self.modules.config
        if uncertainty is not None and self.modules.rewardless:
            raise ConfigError(
                "cost.uncertainty: this agent learns without rewards, and its plans seek what is new"
            )
        cost = config.cost
        changed = replace(
            cost,
            uncertainty=cost.uncertainty if uncertainty is None else uncertainty,
            action=cost.action if action is None else action,
        )
        self.modules.config = validate(replace(config, cost=changed))

    def learn_task(self, task: Task, updates: int = 4_000) -> None:
        """Learns a critic, a policy and a cost head for other costs, from replay and imagination alone.

        The world model stays as it is, and no step is taken in the environment. The costs in the replay
        buffer become the task's. The agent plans, learns and is saved by them from now on.

        Args:
            task: the costs.
            updates: gradient steps.

        Raises:
            TaskError: as `plan_for`.
            ConfigError: for an empty replay buffer, or less than one update.
            StopRun: when learning is no longer finite.
        """
        self._learn(self.task_cost(task), updates)

    def _known(self, cost: TaskCost) -> TaskCost:
        """`cost`. Raises TaskError where it needs the environment's own, of which no reward has been learned."""
        if cost.uses_own_cost and self.modules.rewardless:
            raise TaskError(
                f"task: {cost.task.name!r} asks for the environment's own cost, and this agent learned without "
                "rewards; train --init-from learns from those that were recorded"
            )
        return cost

    def _learn(self, cost: TaskCost, updates: int) -> None:
        modules = self.modules
        learn_task_in_imagination(modules, cost.task, self._known(cost), updates)
        modules.task_cost, modules.actor = None, modules.make_actor(modules.config)
        modules.forget_margin()  # a constraint may be on the cost
        self.goals.remember_anew()  # what is normalised now changes latents

    def learn_constraints(self, updates: int) -> None:
        """Learns in imagination to act within the constraints: the present task, with a charge for violations.

        Each limit is stricter by the safety margin of one decision, so that plans seldom meet it.

        Args:
            updates: gradient steps.

        Raises:
            ConfigError: without a constraint, for one that is a function, which no task can name, and as
                `learn_task`.
            StopRun: when learning is no longer finite.
        """
        charges = self._charges()
        learned = self._with(charges, self.modules.config.task or "own")
        # What is stored and what the cost head predicts is the cost of the present task, whatever it is.
        self._learn(self._cost_of(parse(self._with(charges, "own"))), updates)
        self.modules.config = replace(self.modules.config, task=learned)

    def task_within_constraints(self) -> str:
        """The task that `learn_constraints` learns. Raises as it does."""
        return self._with(self._charges(), self.modules.config.task or "own")

    @staticmethod
    def _with(charges: list[str], task: str) -> str:
        return "+".join([task, *charges])

    def _charges(self) -> list[str]:
        """The terms that charge for violations, but for those that the present task charges for already."""
        modules = self.modules
        kept = () if modules.constraint_cost is None else modules.constraint_cost.constraints
        texts = [one.text for one in kept if one.text is not None]
        why = None
        if modules.task_cost is not None:
            why = f"{modules.task_cost.name!r} is only planned for; learn it first"
        elif modules.config.task.startswith(IN_PYTHON):
            why = "its task is a function in Python; learn a task in text, such as track:velocity=2"
        elif not kept or len(texts) < len(kept):
            what = "there is no constraint" if not kept else "a constraint is a function in Python"
            why = f"{what}; give constraints as text, such as speed<2"
        if why is not None:
            raise ConfigError(f"learn_constraints: {why}")
        margins = modules.margin()[0].tolist()
        return [
            f"{CHARGE:g}*{charge(text, margin)}"
            for text, margin in zip(texts, margins, strict=True)
            if not covered_by_task((text,), modules.config.task)
        ]

    def task_cost(self, task: Task) -> TaskCost:
        """The task on this environment's readouts.

        Raises:
            TaskError: where it does not fit them, and where it asks for the environment's own cost of an
                agent that knows another task's alone.
        """
        modules = self.modules
        cost = self._cost_of(task)
        learned = modules.config.task
        if cost.uses_own_cost and learned not in ("", "own"):
            raise TaskError(
                f"task: {task.name!r} asks for the environment's own cost, and this agent knows that of its "
                f"task {learned!r} alone; begin with an agent that learned by the environment's"
            )
        warn_of_illegible(self.modules, f"task {task.name}", cost.used, stacklevel=4)
        self._warn_of_terminations(cost)
        return cost

    def _cost_of(self, task: Task) -> TaskCost:
        modules = self.modules
        cost = TaskCost(task, modules.layout(), modules.networks, modules.env_spec.action_size)
        check_readouts(modules, f"task: {task.name!r}", cost.used)
        self._check_finite("task", task)
        return cost

    def _remembered_costs(self, of: Task | Constraint) -> torch.Tensor:
        """Costs [steps] of the newest remembered steps; empty where the agent remembers none."""
        buffer = self.modules.replay_buffer
        rows = buffer.place(buffer.transitions()[-NEWEST_STEPS:])
        if len(rows) == 0:
            return torch.zeros(0)
        device = self.modules.device
        outcomes = buffer.outcomes(rows)
        known = has_readouts(outcomes[0])
        after, action, own = (torch.from_numpy(column[known]).to(device) for column in outcomes)
        return cost_per_row(of, self.modules.layout().of(after, action, lambda: own))

    def _check_finite(self, what: str, of: Task | Constraint) -> None:
        """Raises TaskError for a cost that is a finite number on none of the newest remembered steps."""
        costs = self._remembered_costs(of)
        if costs.numel() and not torch.isfinite(costs).any():
            raise TaskError(
                f"{what} {of.name!r} is finite on none of the {len(costs)} newest steps that the agent remembers"
            )

    def _warn_of_terminations(self, cost: TaskCost) -> None:
        """Warns of costs that are never below 0 where episodes terminate: it is cheapest to end the episode."""
        if cost.uses_own_cost or not self.modules.terminations:
            return
        costs = self._remembered_costs(cost.task)
        if costs.numel() and costs.min() >= 0 and costs.max() > 0:
            said = (
                f"task {cost.task.name}: its cost is never below 0 in the newest {len(costs)} steps, and no cost "
                "follows a termination, so the cheapest plan ends the episode, as by a fall; give a cost below 0 "
                "to what is wanted, as in more:height, or to every decision without a fall, by +alive"
            )
            warnings.warn(said, Advice, stacklevel=5)

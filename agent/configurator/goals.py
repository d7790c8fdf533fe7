"""The configurator's part for goals: plans and acts towards observations, and learns to reach them."""

import warnings
from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from agent.actor.actor import ActingPolicy, Actor
from agent.arguments import observation_rows
from agent.configurator.kinds import NO_PLANNER
from agent.configurator.looking_ahead import looking_ahead, plan_as_learned
from agent.configurator.readout_checks import check_readouts, warn_of_illegible
from agent.configurator.settings import Config
from agent.cost.goal import Goal, GoalEnergy
from agent.cost.goal_cost import (
    DECISIONS,
    LATENT_DISTANCE,
    READOUT_DISTANCE,
    Between,
    GoalCost,
    LatentDistance,
    ReadoutDistance,
)
from agent.cost.goal_target import GoalTarget
from agent.errors import ConfigError
from agent.goal_networks import PolicyTowards
from agent.interface import Observation
from agent.learning.goal_learning import learn_goals, moments_of, usual_step
from agent.modules import Modules
from agent.world_model.experience_graph import ExperienceGraph
from agent.world_model.familiarity import Familiarity
from joule_errors import Advice

AHEAD_BY_READOUTS = 35
"""Decisions that plans by readouts look ahead: what is to be pushed lies elsewhere, and is turned on the way."""


class GoalsConfigurator:
    """Changes which goal an agent's modules plan for or act towards."""

    def __init__(self, modules: Modules) -> None:
        self.modules = modules
        self._experience: ExperienceGraph | None = None  # made when a goal first asks for ways to it
        self._familiarity: Familiarity | None = None
        self._usual_step: float | None = None

    @property
    def policy(self) -> ActingPolicy | None:
        """The policy that acts towards a goal; None where there is no goal, or none was learned."""
        cost = self.modules.task_cost
        return self.modules.actor.policy if isinstance(cost, GoalCost) and cost.known_to_policy else None

    def plan_for(self, goal: Goal, horizon_decisions: int | None = None) -> None:
        """Plans to bring about an observation from now on.

        By `steps`, with what `learn_goals` learned, a policy that knows the goal proposes, and the search stays
        near it and looks as far ahead as `planner.horizon_decisions`. By the latent distance alone, and by
        readouts, plans look further ahead, and everywhere; the policy then proposes some of the candidates.

        Args:
            goal: the goal.
            horizon_decisions: decisions looked ahead; None takes those.

        Raises:
            InputError: for an observation that is not one of this environment.
            ConfigError: for several observations, for an energy or a policy that needs `learn_goals`, and for a
                horizon beyond an episode.
        """
        modules, learned = self.modules, self.modules.networks.goals
        if modules.config.planner.kind == NO_PLANNER:
            self.act_for(goal)
            return
        self.check(goal)
        goal = replace(goal, energy=self.energy(goal.energy))
        cost, target = self._cost_of(goal)
        acting = None if learned is None else PolicyTowards(learned, target)
        settings = self.settings(horizon_decisions, goal.energy)
        modules.task_cost, modules.actor = cost, modules.make_actor(settings, acting)

    def warn_of_illegible(self, goal: Goal) -> None:
        """Warns of readouts of a goal that the agent cannot read; see `cost.legibility`."""
        if goal.within is not None:
            warn_of_illegible(self.modules, goal.name, list(goal.within), stacklevel=3)

    def warn_of_unfamiliar(self, goal: Goal) -> None:
        """Warns of a goal that is unlike all that is remembered, where ways to it were looked for."""
        experience = self._experience
        if experience is None:
            return
        if self._familiarity is None:
            self._familiarity = Familiarity(experience.z, experience.episode, experience.usual_step)
        distance, limit = self._familiarity.distance(self._latent_of(goal)), self._familiarity.limit
        if distance > limit:
            said = (
                f"{goal.name}: is unlike all that the agent remembers, and plans may not reach it: the nearest "
                f"moment is {distance:.1f} usual steps away, where moments of other episodes are within {limit:.1f}"
            )
            warnings.warn(said, Advice, stacklevel=3)

    def energy(self, asked: GoalEnergy) -> GoalEnergy:
        """What plans minimise where this is asked for.

        `auto` is `steps` where they have been learned. Where no way leads from one remembered episode to another,
        nothing teaches the decisions between their moments, and it is `latent`.
        """
        if asked != "auto":
            return asked
        if self.modules.networks.goals is None:
            return "latent"
        graph = self._graph()
        return "steps" if graph is None or graph.connectable else "latent"

    def settings(self, horizon_decisions: int | None = None, energy: GoalEnergy = "auto") -> Config:
        """The settings with the horizon of plans for a goal. Raises ConfigError for one beyond an episode."""
        energy = self.energy(energy)
        if energy == "readouts":
            return looking_ahead(self.modules, horizon_decisions, AHEAD_BY_READOUTS)
        if horizon_decisions is None and energy != "latent" and self.modules.networks.goals is not None:
            return self.modules.config
        return looking_ahead(self.modules, horizon_decisions)

    def act_for(self, goal: Goal) -> None:
        """Acts towards a goal by the policy that `learn_goals` learned, without a plan (mode 1).

        Raises:
            InputError, ConfigError: as `plan_for`.
        """
        modules, learned = self.modules, self.modules.networks.goals
        if learned is None:
            raise ConfigError(
                f"{goal.name}: acting without a plan needs what learn_goals learns; call it first"
            )
        if modules.constraint_cost is not None:
            raise ConfigError(f"{goal.name}: the constraint needs a plan; a policy does not look ahead")
        by_steps = replace(goal, energy="steps") if goal.energy == "auto" else goal
        modules.task_cost, target = self._cost_of(by_steps)
        modules.actor = Actor(
            PolicyTowards(learned, target), None, modules.config.planner.horizon_decisions, 0
        )

    def _cost_of(self, goal: Goal) -> tuple[GoalCost, GoalTarget]:
        """The energy of plans for a goal, which is not `auto`, and what is acted towards. Raises as `plan_for`."""
        modules, learned = self.modules, self.modules.networks.goals
        latent = self._latent_of(goal)
        self._check_names(goal)
        energy = goal.energy
        if learned is None and energy in ("steps", "both"):
            raise ConfigError(
                f"{goal.name}: the energy {energy!r} needs what learn_goals learns; call it first"
            )
        if energy == "both" and not modules.replay_buffer.held:
            raise ConfigError(f"{goal.name}: the energy 'both' needs remembered moments, and there are none")
        distances: dict[str, Between] = {}
        if energy in ("latent", "both"):
            distances[LATENT_DISTANCE] = LatentDistance(self._usual_distance())
        if energy in ("steps", "both") and learned is not None:
            distances[DECISIONS] = learned.decisions
        if goal.within is not None:
            check_readouts(modules, goal.name)
            distances[READOUT_DISTANCE] = ReadoutDistance(
                modules.layout(), modules.networks.read, goal.within
            )
        target = self._target_of(goal, latent)
        return GoalCost(goal, target, distances, known_to_policy=learned is not None), target

    def check(self, goal: Goal) -> None:
        """Raises InputError for what is no observation of this environment, ConfigError for several of them, and
        TaskError for readouts that it does not have."""
        self._row_of(goal)
        self._check_names(goal)

    def _check_names(self, goal: Goal) -> None:
        if goal.within is not None:
            self.modules.layout().check_names(goal.within, goal.name, self.modules.env_spec.env)

    def _row_of(self, goal: Goal) -> Observation:
        """The observation of a goal, as a batch of one. Raises as `check`."""
        rows, single = observation_rows(self.modules.env_spec, goal.observation)
        if not single:
            raise ConfigError(f"{goal.name}: found several observations; a goal is one")
        return rows

    def _latent_of(self, goal: Goal) -> Tensor:
        """The latent of a goal [1, latent]. Raises as `check`."""
        return self.modules.perceive(self._row_of(goal)).clone()

    def _target_of(self, goal: Goal, latent: Tensor) -> GoalTarget:
        """What is acted towards: a sub-goal on the way to the goal, where ways are asked for and remembered."""
        straight = goal.sub_goal_decisions == 0 or goal.energy == "readouts"
        graph = None if straight else self._graph()
        if graph is None:
            return GoalTarget(latent)
        return GoalTarget(latent, graph.route(latent), goal.sub_goal_decisions)

    def _graph(self) -> ExperienceGraph | None:
        """The ways between remembered moments; None where nothing is remembered."""
        modules = self.modules
        if self._experience is None and modules.replay_buffer.held:
            moments = moments_of(modules)
            steps = None if modules.networks.goals is None else modules.networks.goals.steps
            self._experience = ExperienceGraph(moments.z, moments.last, self._usual_distance(), steps)
        return self._experience

    def learn(self, updates: int, on_update: Callable[[int], None] | None = None) -> None:
        """Learns to reach what it remembers; see `learning.goal_learning.learn_goals` for arguments and errors.

        A goal that is planned for is forgotten: its plans go by what was learned before.
        """
        self.modules.networks.goals = learn_goals(self.modules, updates, on_update)
        self.forget_ways()  # what is learned says how far moments are from each other

    def forget(self) -> None:
        """Forgets the goal that is planned for, what `learn_goals` learned, and the ways to goals."""
        self.modules.networks.goals = None
        self.forget_ways()

    def forget_ways(self) -> None:
        """Forgets the goal that is planned for, and the ways to goals: latents or memory are others now."""
        self.remember_anew()
        if isinstance(self.modules.task_cost, GoalCost):
            plan_as_learned(self.modules)

    def remember_anew(self) -> None:
        """Measures memory again before the next goal: it has grown, or latents are others now."""
        self._experience = None
        self._familiarity = None
        self._usual_step = None

    def _usual_distance(self) -> float:
        """Between the latents of successive decisions; measured once for what is remembered."""
        if self._usual_step is None:
            self._usual_step = usual_step(self.modules)
        return self._usual_step

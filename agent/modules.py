"""The modules of one agent, wired: perception, world model, cost, actor and short-term memory.

One decision: observation -> perception -> z -> actor (the planner minimises the energy of imagined futures)
-> action. The configurator (`agent.configurator.configurator`) sets them for the task at hand, and
`agent.learning` trains them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

import planners
from agent import random_state
from agent.actor.actor import ActingPolicy, ActingState, Actor, ConstrainedChoice, check_state
from agent.actor.deadline import Deadline
from agent.actor.planning_networks import PlanningNetworks
from agent.arguments import episode_starts, observation_rows, rows_in
from agent.configurator.kinds import NO_PLANNER
from agent.configurator.settings import Config, LearningConfig
from agent.configurator.validation import check_horizon
from agent.cost.constraint import covered_by_task
from agent.cost.constraint_cost import ConstraintCost
from agent.cost.energy import CandidatesCallback, Energy, EnergyWeights, with_callback
from agent.cost.fused_energy import FusedEnergy
from agent.cost.goal_cost import GoalCost
from agent.cost.readouts import Readouts
from agent.cost.task_cost import TaskCost
from agent.device import pick_device, to_tensor
from agent.errors import ConfigError, InputError
from agent.interface import EnvSpec, Observation
from agent.learning.learner import Learner
from agent.learning.schedule import discount_for, rows_for
from agent.memory.columns import columns_of, map_parts, stacks_of
from agent.memory.replay_buffer import ReplayBuffer
from agent.networks import Networks
from agent.one_thread import check_not_learning, one_thread
from agent.perception.calibrated_sensors import CalibratedSensors
from agent.perception.sensor_belief import Belief
from agent.perception.surprise import Surprise
from agent.world_model.dynamics import StepModel

ACTING_SEED = 10_000
"""Added to the run's seed for the generator of an agent that acts without learning."""


class Modules:
    """Perception, world model, cost, actor and memory of one agent.

    Args:
        env_spec: sizes and names of the environment.
        config: the settings.

    Raises:
        ConfigError: where the horizon exceeds an episode, or a setting of the planner is refused.
        DeviceError: where the device is not there.
    """

    def __init__(self, env_spec: EnvSpec, config: Config) -> None:
        if config.planner.kind != NO_PLANNER:
            check_horizon(config.planner.horizon_decisions, env_spec.episode_limit, env_spec.env)
        self.env_spec, self.config = env_spec, config
        self.device = pick_device(config.device)
        self.networks = self.new_networks()
        dtype: torch.dtype = getattr(torch, config.learning.precision)
        self.planning_networks = PlanningNetworks(self.networks, dtype, config.learning.fused)
        self.terminations = 0
        """Episodes of training that ended by termination; the discount depends on whether there are any."""
        self.learner = self.new_learner()
        # One actor may do more than its share, so that each stream can hold the whole budget.
        streams, rows = config.streams, rows_for(config.steps, config.num_envs)
        capacity = min(config.learning.replay_capacity_transitions, streams * rows)
        self.replay_buffer = ReplayBuffer(capacity, columns_of(env_spec), streams, stacks_of(env_spec))
        self.surprise = Surprise()
        self.policy_actor = Actor(self.networks.policy, None, config.planner.horizon_decisions, 0)
        self.actor = self.make_actor(config)
        self.constraint_cost: ConstraintCost | None = None
        """Limits that planning keeps; see `Configurator.constrain`."""
        self._margin: Tensor | None = None
        self.margin_measured_at = -1
        """Updates of the networks when the margin was measured; see `margin`."""
        self.task_cost: TaskCost | GoalCost | None = None
        """Costs that are planned for in place of the learned ones; see `Configurator.plan_for`."""
        self.sensors = CalibratedSensors()
        """Infers what sensors should have read, where `perceive` is `energy`; see `infer_observation`."""
        self.rng = np.random.default_rng(config.seed)
        self.generator = torch.Generator(self.device).manual_seed(config.seed)
        self.random_streams = random_state.streams(self.device)
        """Where torch's own generators are when this agent continues learning; other agents have others."""
        self.learning = False
        """Whether the agent is inside `learn`."""
        self.normalised_rows = [0] * config.streams
        """Rows of each stream of the replay buffer that the running statistics contain; see
        `agent.learning.running_statistics`."""

    @property
    def discount(self) -> float:
        """Per decision. It follows from the terminations and the updates so far."""
        limit, learning = self.env_spec.episode_limit, self.config.learning
        return discount_for(limit, learning, self.terminations > 0, self.learner.updates)

    @property
    def rewardless(self) -> bool:
        """Whether it learns without rewards, and explores."""
        return self.config.reward == "none"

    @property
    def readouts_size(self) -> int:
        """Length of the readout vector."""
        return sum(self.env_spec.readout_sizes.values())

    def new_networks(self) -> Networks:
        """Untrained networks of this agent's sizes, on its device."""
        spec, config = self.env_spec, self.config
        return Networks(spec.observation, spec.action_size, self.readouts_size, config).to(self.device)

    def new_learner(self, tau: float | None = None, learning: LearningConfig | None = None) -> Learner:
        """A learner of the networks that has taken no step; `tau` and `learning` replace the settings."""
        config = self.config
        return Learner(
            self.networks,
            learning or config.learning,
            lambda: self.discount,
            target_entropy=config.actor.target_entropy,
            curiosity=1.0 if self.rewardless else config.explore.curiosity,
            regularizer_weight=config.regularizer.weight,
            rewardless=self.rewardless,
            tau=tau,
        )

    def make_actor(self, config: Config, acting: ActingPolicy | None = None) -> Actor:
        """The actor that a configuration asks for.

        Args:
            config: the settings.
            acting: the policy of mode 1; by default the one that was learned with the environment's cost.

        Raises:
            SettingError: for a setting of the planner that is refused.
        """
        choice, policy = config.planner, config.actor
        if choice.kind == NO_PLANNER:
            return self.policy_actor if acting is None else Actor(acting, None, choice.horizon_decisions, 0)
        ones = torch.ones(self.env_spec.action_size, device=self.device)

        def make_planner(batch: int) -> planners.Planner:
            return planners.make(
                choice.kind,
                horizon=choice.horizon_decisions, low=-ones, high=ones, batch=batch, **choice.settings,
            )  # fmt: skip

        make_planner(1)  # a setting that this kind refuses is refused now, not at the first plan
        mode_1 = self.networks.policy if acting is None else acting
        return Actor(mode_1, make_planner, choice.horizon_decisions, policy.proposals, policy.prior_std)

    # Perception

    def tensors(self, obs: Observation) -> Any:
        """Observations as tensors on the agent's device: one, or one for each part."""
        return map_parts(partial(to_tensor, device=self.device), obs)

    def perceive(self, obs: Observation) -> Float[Tensor, "batch latent"]:
        """Observations [batch, obs], or such parts, to latents."""
        with torch.inference_mode():
            return self.networks.encoder(self.networks.normalizer(self.tensors(obs)))

    def infer_observation(self, obs: np.ndarray, state: ActingState | None, starts: np.ndarray) -> Belief:
        """Sensor-fault inference: the observations [batch, obs] that the sensors should have read.

        Raises:
            ConfigError: where the replay buffer holds too little to calibrate the sensors.
        """
        if not self.sensors.are_calibrated(self.learner.updates):
            self.calibrate_sensors()
        belief, action = (None, None) if state is None else (state.belief, state.action)
        return self.sensors.infer(obs, belief, action, starts)

    def calibrate_sensors(self) -> None:
        """Learns from the replay buffer what the sensors usually read. Raises as `infer_observation`."""
        self.sensors.calibrate(self.networks, self.replay_buffer, self.learner.updates)

    def inferred_observation(self, obs: Observation, state: ActingState) -> Any:
        """The observations [batch, obs] that a decision was based on: inferred, or `obs` by the encoder."""
        if state.belief is None:
            return obs
        return self.networks.normalizer.inverse(state.belief.mean.to(self.device)).cpu().numpy()

    # Cost

    def uncertainty_weight(self, explore: bool = False) -> float:
        """Weight of disagreement in the energy, in the environment's unit of cost.

        Uncertainty has no cost while exploring, nor in a task that was not learned: both go where little is known.
        """
        if self.task_cost is not None:
            return 0.0
        if self.rewardless:
            return self.networks.disagreement_cost(-1.0)  # plans go where the ensemble disagrees
        return 0.0 if explore else self.networks.disagreement_cost(self.config.cost.uncertainty)

    def energy(self, z: Float[Tensor, "batch latent"], explore: bool = False) -> Energy:
        """The energy of action sequences from `z`, by the present costs."""
        networks, weights = self.planning_networks.renewed(), self.config.cost
        uncertainty = self.uncertainty_weight(explore)
        limits = self.constraint_cost
        constraint = None if limits is None or explore else partial(limits, margin=self.margin())
        parts = (z, networks.world_model, networks.critic, networks.policy, self.discount)
        shares, terminates = EnergyWeights(uncertainty, weights.action), self.terminations > 0
        fused = networks.fused
        if fused is not None and self.task_cost is None and constraint is None and FusedEnergy.knows(shares):
            return FusedEnergy(fused, *parts, shares, terminates)
        if isinstance(self.task_cost, GoalCost):
            self.task_cost.target.look(z)
            # Its costs are above 0 until the goal: an episode that ends before must not count as having paid them.
            terminates = False
        return Energy(*parts, shares, terminates, self.task_cost, constraint, self._residual_dynamics())

    def step_model(self) -> StepModel:
        """What plans predict by: the residual dynamics that were learned for goals, or the world model."""
        return self._residual_dynamics() or self.networks.world_model

    def _residual_dynamics(self) -> StepModel | None:
        """Those of plans for a goal. A constraint keeps a margin from the errors of the world model alone."""
        goals, by_goal = self.networks.goals, isinstance(self.task_cost, GoalCost)
        return goals.dynamics if by_goal and goals is not None and self.constraint_cost is None else None

    def task_unknown_to_policy(self, explore: bool = False) -> bool:
        """Whether the acting policy has not learned what is asked: another task, or a new limit that is kept."""
        reaches = isinstance(self.task_cost, GoalCost) and self.task_cost.near_policy
        # What learns to reach goals pays for no violation.
        charged = not reaches and covered_by_task(self.config.constraint, self.config.task)
        new_limit = self.constraint_cost is not None and not explore and not charged
        return (self.task_cost is not None and not reaches) or new_limit

    def margin(self) -> Float[Tensor, "horizon constraints"]:
        """The safety margin that is kept from each constraint, in its unit, for each decision of the horizon.

        It is measured on the replay buffer: see `ConstraintCost.margin`. 0 without one, and before the first
        update.
        """
        assert self.constraint_cost is not None, "a margin is kept from constraints"
        horizon = self.actor.horizon
        if self.learner.updates == 0:  # the errors of untrained networks say nothing
            return next(self.networks.parameters()).new_zeros(horizon, len(self.constraint_cost.constraints))
        measured = self._margin
        if measured is None or self.margin_measured_at != self.learner.updates or len(measured) < horizon:
            measured = self.constraint_cost.margin(self.replay_buffer, self.perceive, horizon)
            self._margin, self.margin_measured_at = measured, self.learner.updates
        return measured

    def forget_margin(self) -> None:
        """Has the margin measured again at the next plan: the constraints or the costs have changed."""
        self._margin = None

    def layout(self) -> Readouts:
        """The names of the environment's readouts."""
        return Readouts(self.env_spec.readout_sizes, self.env_spec.derived_readouts)

    # Actor

    def decide(
        self,
        obs: Observation,
        state: ActingState | None,
        starts: np.ndarray,
        explore: bool,
        actor: Actor | None = None,
        on_candidates: CandidatesCallback | None = None,
        deadline: Deadline | None = None,
        pending: np.ndarray | None = None,
    ) -> tuple[np.ndarray, ActingState]:
        """Decides for observations [batch, obs].

        Args:
            obs: observations [batch, obs].
            state: what the last decision returned; None at the start.
            starts: [batch], marks environments whose episode begins: their warm start is dropped.
            explore: samples the policy's action, and draws a plan's from its distribution.
            actor: acts in place of the configured one.
            on_candidates: told of every batch of candidates that the planner evaluates.
            deadline: ends the search, or has the policy act where no search fits; it is finished here.
            pending: actions [late, act] that are still to take effect, in all environments, before the one that is
                decided for, at least one; None where an action takes effect at once.

        Returns:
            Actions [batch, act], and the state for the next decision.
        """
        actor = actor or self.actor
        batch = len(starts)
        if state is not None and len(state.z) != batch:
            if not starts.all():
                raise InputError(f"state: it is of a batch of {len(state.z)}, and the observation of {batch}")
            state = None
        belief = None
        if self.config.perceive == "energy" and not self.learning:
            if not isinstance(obs, np.ndarray) or obs.ndim != 2:
                raise ConfigError("perceive: energy infers observations of one part, a vector of sensors")
            belief = self.infer_observation(obs, state, starts)
            with torch.inference_mode():
                z = self.networks.encoder(belief.mean.to(self.device))
        else:
            z = self.perceive(obs)
        ahead, late = z, None
        if pending is not None:
            with torch.inference_mode():
                late = torch.from_numpy(pending).to(z).expand(len(z), -1, -1)
                ahead = self.networks.world_model.rollout(z, late)[-1].z
        if state is None:
            generator = torch.Generator(self.device).manual_seed(self.config.seed + ACTING_SEED)
            state, starts = None, np.ones(batch, bool)
        else:
            generator = state.generator
        surprise = np.full(batch, np.nan)
        warm = None
        with torch.inference_mode():
            if state is not None:
                errors = (state.expected - z).square().mean(-1).cpu().numpy()
                surprise[~starts] = self.surprise.relative(errors)[~starts]
                # A plan of another horizon, made for the task before, is no warm start for this one.
                if state.plan is not None and state.plan.actions.shape[1] == actor.horizon:
                    warm = state.plan.shifted(torch.from_numpy(starts).to(z.device))
        if starts.all():
            warm = None
        unknown = self.task_unknown_to_policy(explore)
        energy: planners.EnergyFn | None = None
        choice = None
        if deadline is not None and actor.planner is not None and not deadline.search_fits():
            asked_anew = unknown and not (
                isinstance(self.task_cost, GoalCost) and self.task_cost.known_to_policy
            )
            by_policy = explore or starts.any() or not (asked_anew or self.constraint_cost is not None)
            actor = actor.without_search(None if by_policy else warm)
        if isinstance(self.task_cost, GoalCost) and actor.planner is None:  # plans look by themselves
            self.task_cost.target.look(ahead)
        if actor.planner is not None:
            energy = predicted = self.energy(ahead, explore)
            if self.constraint_cost is not None and not unknown and not explore:
                choice = ConstrainedChoice(predicted.terms)
            if on_candidates is not None:
                energy = with_callback(energy, on_candidates)
        action, plan = actor.act(
            energy, ahead, self.step_model(), warm, generator, explore, unknown, choice, deadline
        )
        with torch.inference_mode():
            expected = self.networks.world_model.expect(z, action if late is None else late[:, 0])
        taken = action.float().cpu()
        timing = None if deadline is None else deadline.finish()
        # A caller may scale its action in place, which must not change what the plan remembers.
        return taken.numpy().copy(), ActingState(
            generator, plan, ahead, expected, surprise, taken, belief, timing
        )

    def predict(
        self,
        observation: Observation,
        state: Any,
        episode_start: np.ndarray | None,
        deterministic: bool,
        actor: Actor | None = None,
        deadline: Deadline | None = None,
        pending: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """`decide` for an observation [obs] or a batch [batch, obs], as stable-baselines3 asks for it."""
        if state is not None:
            asked = "give None at first, and then what predict returned"
            check_state(state, self.config.model.latent_dim, self.env_spec.action_size, asked)
        readable = self.config.perceive == "energy"  # it infers what a sensor that reads NaN should read
        rows, single = observation_rows(self.env_spec, observation, finite=not readable)
        count = rows_in(rows)
        starts = episode_starts(episode_start, count)
        action, state = self.decide(
            rows, state, starts, not deterministic, actor, deadline=deadline, pending=pending
        )
        return (action[0] if single else action), state

    @contextmanager
    def own_random_streams(self) -> Iterator[None]:
        """Inside, torch's generators are this agent's: what it learns does not depend on who drew before.

        Raises:
            InputError: where another thread learns, or this agent does already.
        """
        check_not_learning(self.learning)
        with one_thread():
            before = random_state.streams(self.device)
            random_state.set_streams(self.random_streams, self.device)
            self.learning = True
            try:
                yield
            finally:
                self.learning = False
                self.random_streams = random_state.streams(self.device)
                random_state.set_streams(before, self.device)

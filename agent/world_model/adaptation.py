"""Adaptation: when the world changes, a new model learns it from the newest steps, and the old one is kept.

The agent tests its own predictions (`agent.world_model.model_choice`, `agent.world_model.signals`). On an alarm
it begins a new model: a copy of the one in use, which then learns at every decision from the steps since the
change, beside old ones whose share falls. The old model is stored, not overwritten. Every model in the bank
predicts each step. When another one predicts the present better than the one in use, the agent switches to it.

Learning from a few episodes may do harm. So in a new world networks that are kept, first those of before the
change, act in some of the episodes too, and then those act that return more (`agent.world_model.trial_returns`).

Where actions take effect late, no new model is needed (`agent.world_model.delay`).

Prediction errors also decide when to plan. A plan is as good as its model: while the model errs by more than
its own uncertainty explains, the agent acts by its policy alone (mode 1), and plans again later.

Perception does not change: the observations mean what they meant, only the dynamics are new. All models
therefore predict the same latents, and their errors can be compared.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from agent import explanation
from agent.arguments import observation_rows, rows_in
from agent.configurator.settings import Config
from agent.errors import ConfigError
from agent.forecast import Forecast
from agent.interface import EnvSpec, Observation, TrainingEnv
from agent.memory.columns import stack_parts
from agent.modules import Modules
from agent.observed_env import ObservedEnv, StepsOfOneEnv
from agent.saving import SavedAsFolder
from agent.training_env import HasSpec, check_spec
from agent.world_model.adaptable import OwnNetworks
from agent.world_model.change_detection import ChangeDetectionError, as_first_seen, calibrate
from agent.world_model.delay import Delay
from agent.world_model.home_episodes import HomeEpisodes
from agent.world_model.known_model import KnownModel, windows_of
from agent.world_model.model_bank import ModelBank, ModelSwitch
from agent.world_model.model_choice import ModelChoice
from agent.world_model.observed_steps import errors_of_rows, errors_of_step, observed_steps
from agent.world_model.signals import Alarm

UTD = 2.0
"""Gradient steps a decision while a new world is learned."""
DECISIONS_PER_ALARM = 50_000.0
"""In a world that does not change, one false alarm in so many decisions is wanted."""
CALIBRATION_DECISIONS = 10_000
"""The newest decisions of training, on which the usual errors are calibrated."""
LARGEST_MEAN_ERROR = 1.25
"""Mean standardised error above which the agent does not plan. In the known world it is 0.45 on average, and
as much as this at the start of an episode."""


class AdaptiveAgent(SavedAsFolder):
    """A world-model agent that adapts, in one environment at a time.

    It acts in an environment that it observes: `env = adaptive.observe(env)`. Steps that are not observed
    teach nothing.

    Args:
        modules: those of the agent.
        utd: gradient steps a decision while a new world is learned.
        decisions_per_alarm: the wanted rate of false alarms.
        on_begin: called where an episode begins that is observed. Its steps go into the replay buffer of the agent,
            which must leave an episode of its own.

    Raises:
        ConfigError: for an agent with too little experience to know its usual errors, or one that plans for a
            task that its critic never learned.
    """

    def __init__(
        self,
        modules: Modules,
        utd: float = UTD,
        decisions_per_alarm: float = DECISIONS_PER_ALARM,
        on_begin: Callable[[], None] = lambda: None,
    ) -> None:
        self.own_networks = OwnNetworks(modules)
        self.modules, self.utd, self.decisions_per_alarm = modules, utd, decisions_per_alarm
        known = modules.replay_buffer.transitions()
        first = KnownModel(copy.deepcopy(modules.networks.world_model), known)
        try:
            errors, disagreements = errors_of_rows(modules, known[-CALIBRATION_DECISIONS:])
            errors = as_first_seen(errors, modules.surprise)
            first.calibration = calibrate(errors, disagreements, decisions_per_alarm)
        except ChangeDetectionError as error:
            raise ConfigError(f"adapt: this agent has too little experience: {error}; train on") from error
        self.bank = ModelBank(modules, first)
        self.delay = Delay(modules.env_spec.action_size)
        """By how many decisions actions are late, in the world of the first model."""
        self.choice = ModelChoice(self.bank, self.delay, decisions_per_alarm)
        self.learns = True
        """Whether it learns from what it observes, and stores it. Without, it detects no change, and acts as it has
        adapted: errors still decide when it plans."""
        self._credit = 0.0
        """Gradient steps that are due."""
        self._row = -1
        """Of the replay buffer: the newest that is its own."""
        self.observed: StepsOfOneEnv | None = None
        """Those of the environment that is observed now."""
        self._obs: Observation | None = None
        self._on_begin = on_begin
        if modules.config.perceive == "energy":  # by healthy sensors: later rows may be of dead ones
            modules.calibrate_sensors()

    # Policy and explanation

    @property
    def config(self) -> Config:
        """The agent's settings."""
        return self.modules.config

    @property
    def env_spec(self) -> EnvSpec:
        """The environment that the agent was made for."""
        return self.modules.env_spec

    @property
    def decisions(self) -> int:
        """How many steps it has observed."""
        return self.bank.decisions

    @property
    def events(self) -> list[ModelSwitch]:
        """The changes that it has detected, oldest first."""
        return self.bank.events

    @property
    def in_use(self) -> KnownModel:
        """The model that it plans with and learns."""
        return self.bank.in_use

    @property
    def in_first_world(self) -> bool:
        """Whether the model of training is in use."""
        return self.choice.in_first_world

    def predict(
        self,
        observation: Observation,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
    ) -> tuple[np.ndarray, Any]:
        """As `WorldModelAgent.predict`, for one environment; updates that are due are made first."""
        self.own_networks.check()
        rows, _ = observation_rows(self.env_spec, observation, finite=self.config.perceive != "energy")
        if (count := rows_in(rows)) != 1:
            raise ConfigError(f"adapt: one environment at a time, found {count}")
        if self._credit >= 1.0 and self.learns:
            with self.modules.own_random_streams(), self.bank.weights.acting(self.in_use, kept=False):
                while self._credit >= 1.0:
                    self._credit -= 1.0
                    self.update()
        # The first decision of an episode is always planned: no step of it has been observed yet.
        first = state is None or (episode_start is not None and bool(np.any(episode_start)))
        actor = self.modules.policy_actor if self.distrusts_model and not first else None
        pending = self.delay.pending if self.in_first_world and self.delay.decisions else None
        return self.modules.predict(observation, state, episode_start, deterministic, actor, pending=pending)

    def explain(self, state: Any) -> dict[str, np.ndarray]:
        """As `WorldModelAgent.explain`."""
        return explanation.energy_terms(self.modules, state)

    def forecast(self, state: Any) -> Forecast | None:
        """As `WorldModelAgent.forecast`."""
        return explanation.forecast(self.modules, state)

    def imagine(self, obs: Observation, actions: np.ndarray) -> np.ndarray:
        """As `WorldModelAgent.imagine`."""
        return explanation.imagine(self.modules, obs, actions)

    @property
    def acts_kept(self) -> bool:
        """Whether the networks that are kept act, for their returns to be compared; see `trial_returns`."""
        return self.bank.weights.acts_kept

    @property
    def distrusts_model(self) -> bool:
        """Whether the model errs too much to plan with, so that the policy acts alone.

        Never within constraints: a policy does not look ahead. Nor while the networks of before the change act,
        which then do as they would without adaptation.
        """
        as_before = self.acts_kept and not self.in_use.returns.kept_adapted
        return (
            self.choice.mean_error > LARGEST_MEAN_ERROR
            and not as_before
            and self.modules.constraint_cost is None
        )

    def update(self) -> None:
        """One gradient step, with perception fixed and without curiosity."""
        modules, learner = self.modules, self.modules.learner
        # All models share one perception. In a changed world curiosity would reward every state: all are new.
        learner.update(windows_of(modules, self.in_use), encoder_frozen=True, curiosity=0.0)
        # The calibrations of the sensors and of the constraints' margin stay.
        modules.sensors.calibrated_at = modules.margin_measured_at = learner.updates
        self.own_networks.accept()

    # Detecting a change

    def calibrate_at(self, home: HomeEpisodes) -> None:
        """Lets all signals watch, calibrated on episodes in the known world.

        Raises:
            ConfigError: for episodes that do not tell what is usual.
        """
        try:
            self.choice.calibrate_at(home)
        except ChangeDetectionError as error:
            raise ConfigError(f"adapt: {error}") from error

    def observe(self, env: TrainingEnv) -> ObservedEnv:
        """The same environment, whose every step this agent observes.

        Where it is in mid-episode, its next step begins what is observed, and is not learned from.

        Raises:
            ConfigError: for an environment that the agent was not made for.
        """
        if not isinstance(env, HasSpec):
            raise ConfigError(f"env: found {type(env).__name__}; observe one of joule.make_env")
        return ObservedEnv(check_spec(self.env_spec, env, self.config.agent), StepsOfOneEnv(self, env))

    def begin(self, obs: np.ndarray, readouts: np.ndarray) -> None:
        """What is observed begins with `obs` [obs]. Raises ConfigError as `predict`."""
        self.own_networks.check()
        self.delay.begin_episode()
        if not self.learns:
            self._obs, self._row = obs, -1
            return
        self.bank.begin_episode()
        self._on_begin()
        self.modules.replay_buffer.streams[0].begin(obs, readouts)
        self._obs, self._row = obs, self.modules.replay_buffer.newest()

    def end_episode(self) -> None:
        """The episode that is observed is over. Lets those networks act that have returned more in this world.

        A reset does so too, but counts only what has terminated or was truncated. Raises ConfigError as `predict`.
        """
        self.own_networks.check()
        if self.learns:
            self.bank.end_episode()

    def preferred(self) -> AbstractContextManager[None]:
        """Within it, the networks have the weights that have returned more in this world, whoever acts.

        What the agent has learned elsewhere since is left as it is.
        """
        if self.own_networks.replaced:
            return nullcontext()
        return self.bank.preferred()

    def ended(self) -> None:
        """The episode of the newest step has terminated, or was truncated: its return may be compared."""
        self.in_use.returns.over |= self.learns

    def observe_step(
        self, action: np.ndarray, reward: float, terminated: bool, obs: Observation, readouts: np.ndarray
    ) -> None:
        """Stores one step, compares it with the predictions, and learns from it where the world is new.

        Raises:
            ConfigError: where other steps came between: the agent has trained, or another one adapted with it.
        """
        assert self._obs is not None
        buffer, before = self.modules.replay_buffer, self._obs
        self.delay.take(action)
        due = self.delay.due() if self.in_first_world else action
        if not self.learns:
            self._obs, self._row = obs, -1  # what it learns from begins with an episode
            newest = errors_of_step(self.modules, [(self.bank.world_model(self.in_use), due)], before, obs)
            self.choice.follow(newest[0])
            return
        row = buffer.newest()
        if row != self._row:
            raise ConfigError(
                "adapt: other steps were stored since this episode began, by training or by another adaptive "
                "agent; reset the environment"
            )
        buffer.streams[0].add(action, reward, terminated, obs, readouts)
        self._obs, self._row = obs, buffer.newest()
        # From the first one on, plans and the discount know of them.
        self.modules.terminations += bool(terminated)
        self.bank.step(row, reward)
        first, count = self.bank.world_model(self.bank.first), len(self.bank.models)
        late = [(first, self.delay.due(other)) for other in self.delay.others]
        errors = errors_of_step(self.modules, [*self.bank.predicting(action, due), *late], before, obs)
        errors, late_errors = errors[:count], errors[count:]
        if not self.acts_kept:
            self.in_use.recent.append((row, *errors[self.bank.position]))
        alarm = self._alarm_of_signals(before, due, reward, terminated, obs)
        if self.choice.step(errors, late_errors, alarm):
            self._credit = 0.0
        if not self.in_first_world:
            self._credit += self.utd

    def _alarm_of_signals(
        self, before: Observation, due: np.ndarray, reward: float, terminated: bool, obs: Observation
    ) -> Alarm | None:
        """What the signals say of one step, in the world of training and once they are calibrated."""
        signals = self.choice.signals
        if signals is None or not self.in_first_world:
            return None
        now, then = (stack_parts([one]) for one in (before, obs))
        taken, cost, over = (np.asarray(part)[None] for part in (due, -reward, terminated))
        model = self.modules.networks.world_model
        return signals.update(observed_steps(self.modules, model, now, taken, cost, over, then))

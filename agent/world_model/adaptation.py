"""Adaptation: when the world changes, a new model learns it from the newest steps, and the old one is kept.

The agent tests its own predictions (`agent.world_model.signals`). On an alarm it begins a new
model: a copy of the one in use, which then learns at every decision from the steps since the change, beside
old ones whose share falls. The old model is stored, not overwritten. Every model in the bank predicts each
step. When another one predicts the present better than the one in use, the agent switches to it.

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
import logging
import math
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
from agent.world_model.change_detection import (
    FEWEST_DECISIONS,
    LARGEST_STEP,
    ChangeDetectionError,
    ChangeDetector,
    as_first_seen,
    calibrate,
)
from agent.world_model.delay import Delay
from agent.world_model.home_episodes import HomeEpisodes
from agent.world_model.known_model import CALIBRATED_AFTER_DECISIONS, KnownModel, windows_of
from agent.world_model.model_bank import ModelBank, ModelSwitch
from agent.world_model.observed_steps import errors_of_rows, errors_of_step, observed_steps
from agent.world_model.signals import Alarm, Signals

log = logging.getLogger(__name__)

UTD = 2.0
"""Gradient steps a decision while a new world is learned."""
DECISIONS_PER_ALARM = 50_000.0
"""In a world that does not change, one false alarm in so many decisions is wanted."""
CALIBRATION_DECISIONS = 10_000
"""The newest decisions of training, on which the usual errors are calibrated."""
MEAN_RATE = 0.05
"""Rate at which the mean standardised error follows: some twenty decisions."""
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
        self.signals: Signals | None = None
        """What watches for a change of the known world; None before `calibrate_at`: then only errors do."""
        self.bank = ModelBank(modules, first)
        self.delay = Delay(modules.env_spec.action_size)
        """By how many decisions actions are late, in the world of the first model."""
        self.change_detector: ChangeDetector | None = ChangeDetector(first.calibration.threshold)
        self.standardised_error = 0.0
        """Of the newest step, by the model in use; 0 while its usual errors are not known."""
        self.mean_error = 0.0
        """Its mean over the last decisions; by the first model's calibration where no other is known."""
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
        return self.bank.in_use is self.bank.first

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
        return self.mean_error > LARGEST_MEAN_ERROR and not as_before and self.modules.constraint_cost is None

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
            self.signals = Signals(home, self.decisions_per_alarm)
        except ChangeDetectionError as error:
            raise ConfigError(f"adapt: {error}") from error
        self.bank.usual_return = home.usual_return

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
            self._follow(newest[0])
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
        alarm = None
        if self.signals is not None and self.in_first_world:
            now, then = (stack_parts([one]) for one in (before, obs))
            taken, cost, over = (np.asarray(part)[None] for part in (due, -reward, terminated))
            model = self.modules.networks.world_model
            alarm = self.signals.update(observed_steps(self.modules, model, now, taken, cost, over, then))
        if not self.detect_delay(errors, late_errors):
            self.detect(errors, alarm)
        if not self.in_first_world:
            self._credit += self.utd
            count = len(self.in_use.rows)
            if len(self.in_use.recent) >= CALIBRATED_AFTER_DECISIONS and count % FEWEST_DECISIONS == 0:
                self.calibrate_in_use()

    def calibrate_in_use(self) -> None:
        """Calibrates the model in use on its newest steps."""
        _, errors, disagreements = np.array(self.in_use.recent).T
        try:
            self.in_use.calibration = calibrate(errors, disagreements, self.decisions_per_alarm)
        except ChangeDetectionError as why:
            log.warning("no further change is detected from model %d: %s", self.in_use.number, why)
            return
        before, self.change_detector = self.change_detector, ChangeDetector(self.in_use.calibration.threshold)
        if before is not None:  # a change that has begun is not forgotten
            self.change_detector.level, self.change_detector.since = before.level, before.since

    def detect_delay(self, errors: list[tuple[float, float]], late: list[tuple[float, float]]) -> bool:
        """Whether actions take effect earlier or later from now on. `late` has the errors with the other delays."""
        usual = self.bank.first.calibration
        assert usual is not None
        delay = self.delay.better(errors[self.bank.position][0], late, usual)
        if delay is None:
            return False
        self.bank.delayed(delay, self.delay.use(delay))
        self.watch_anew()
        return True

    def detect(self, errors: list[tuple[float, float]], alarm: Alarm | None = None) -> None:
        """Switches to another model where it predicts better, or begins a new one on an alarm.

        Args:
            errors: error and disagreement of the newest step, by every model of the bank.
            alarm: of the signals, which watch while the first model is in use.
        """
        position = self.bank.position
        standardised = [
            0.0 if known.calibration is None else float(known.calibration.standardise(*pair))
            for known, pair in zip(self.bank.models, errors, strict=True)
        ]
        self.standardised_error = standardised[position]
        self._follow(errors[position])
        # The model of a changed world is calibrated on steps in which its own networks act.
        ignored = self.acts_kept or (self.signals is not None and self.in_first_world)
        detector = self.change_detector
        if detector is not None and not ignored and detector.update(self.standardised_error):
            alarm = Alarm("errors", max(1, detector.since))
        if (known := self.bank.better(errors, standardised)) is not None:
            self.bank.switch_to(known)
        elif alarm is not None:
            self.bank.follow(alarm)
        else:
            return
        self.delay.use(0)
        self.watch_anew()

    def _follow(self, newest: tuple[float, float]) -> None:
        """Averages the errors of the model in use; `newest` is that of one step, and the disagreement there."""
        calibration = self.in_use.calibration or self.bank.first.calibration
        assert calibration is not None
        error = float(calibration.standardise(*newest))
        if math.isfinite(error):
            error = min(max(error, -LARGEST_STEP), LARGEST_STEP)
            self.mean_error += MEAN_RATE * (error - self.mean_error)

    def watch_anew(self) -> None:
        """Another model is in use: what was noticed before was of the one before it."""
        if self.signals is not None:
            self.signals.reset()
        calibration = self.in_use.calibration
        self.change_detector = None if calibration is None else ChangeDetector(calibration.threshold)
        self.delay.watch_anew()
        self._credit = 0.0
        if not self.events[-1].new:  # the model of one that was known is known to hold
            self.mean_error = 0.0

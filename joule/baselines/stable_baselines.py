"""The model-free baselines: stable-baselines3's and sb3-contrib's own classes, as agents.

They are the libraries' own code at rl-zoo's published settings (`joule.baselines.settings` has the table and
its source). The libraries' own `collect_rollouts` and `train` are called, one decision at a time.

A resumed run is the uninterrupted one to the last bit, on one CPU thread, for all six algorithms. This holds
because every published learning rate and clip range is constant: a schedule over the run would also depend on
the run's length.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from agent import random_state
from agent.arguments import (
    check_on_step,
    ended_by,
    episode_starts,
    observation_rows,
    rows_in,
    whole_steps,
)
from agent.clock import Clock
from agent.configurator.settings import GOAL_CONDITIONED, Config
from agent.device import pick_device
from agent.errors import ConfigError
from agent.interface import (
    DIVERGED_DECISIONS,
    Arrays,
    EndedEpisode,
    EnvSpec,
    ExperienceSource,
    Observation,
    ReplayRows,
    Services,
)
from agent.memory.columns import map_parts, sees_pictures
from agent.one_thread import check_not_learning
from agent.saving import SavesRuns
from agent.training_env import enter, learning_step
from joule.baselines import algorithm_state
from joule.baselines.algorithm import ON_POLICY, make_algorithm
from joule.baselines.env_bridge import EnvBridge, GoalBridge
from joule.baselines.frame_buffer import FrameReplayBuffer
from joule.baselines.hindsight_buffer import HindsightReplayBuffer
from joule.baselines.settings import KINDS, check_goal, check_pictures, settings_for
from joule.baselines.single_env import single_env
from joule_schema.arrays import under

TURN_SECONDS = 0.0005
"""How long learning waits for a thread that acts."""


class Baseline(SavesRuns):
    """SAC, TD3, PPO, TQC, CrossQ or SAC with hindsight, whichever `config.agent` names, for one environment.

    Args:
        env_spec: sizes and names of the environment.
        config: the settings; of these only those of the run and `learning.utd` are used.
        env: the environment to learn in; None until `learn` needs one.
        services: how environments are made and runs are saved; None for an agent that does neither.
        settings: replace single values of the published settings.

    Raises:
        ConfigError: for another kind of agent, several environments, or a fraction of a gradient step.
        DeviceError: where the device is not there.
    """

    def __init__(
        self,
        env_spec: EnvSpec,
        config: Config,
        env: ExperienceSource | None = None,
        services: Services | None = None,
        *,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        if config.agent not in KINDS:
            raise ConfigError(f"agent: {config.agent} is not a baseline; choose one of {', '.join(KINDS)}")
        self.kind: str = config.agent
        self.env_spec, self.config, self.services = env_spec, config, services
        self.env = single_env(env, self.kind)
        self.left_at: Any = None  # see `learning_step`
        check_pictures(self.kind, env_spec)
        check_goal(self.kind, env_spec)
        decisions = max(1, config.steps // env_spec.action_repeat)
        self.settings = {
            **settings_for(
                self.kind,
                env_spec.env,
                decisions,
                config.learning.utd,
                pictures=sees_pictures(env_spec),
                episode_limit=env_spec.episode_limit,
            ),
            **(settings or {}),
        }
        if self.kind == GOAL_CONDITIONED:
            _check_episodes_end(env_spec, self.settings["buffer_size"])
        bridge = GoalBridge if self.kind == GOAL_CONDITIONED else EnvBridge
        self.bridge = bridge(env_spec, config.seed)
        self.frames = self.decisions = self.episodes = 0
        self.ended_episodes: list[EndedEpisode] = []
        """The episodes that ended with the newest decision."""
        self.metrics: dict[str, float] = {}
        self.clock = Clock()
        self.stop_requested = False
        device = pick_device(config.device)
        with random_state.preserved():
            self.algorithm = make_algorithm(
                self.kind, self.settings, env_spec, self.bridge, config.seed, device
            )
            self._random_state = random_state.capture()
        self.model, self.normalizer = self.algorithm.model, self.algorithm.normalizer
        self._learning = False
        self._turn = threading.RLock()
        """Held for an action, and for a decision of learning: the library's policy keeps the distribution of its
        last call, which a call from another thread would replace."""
        self._acting: deque[None] = deque()
        """An entry for each thread that acts, or waits to; unlike a number, it needs no lock of its own."""

    # Policy

    def predict(
        self,
        observation: Observation,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
    ) -> tuple[np.ndarray, Any]:
        """The action for an observation [obs] or a batch [batch, obs]; `state` is returned as it is.

        Raises:
            InputError: for another shape, and for what is not a finite number; the sentence says where.
            FloatingPointError: when a weight is no longer finite, where the library notices.
        """
        batch, single = observation_rows(self.env_spec, observation)
        episode_starts(episode_start, rows_in(batch))
        rows: Any = map_parts(lambda part: part[0], batch) if single else batch
        if self.normalizer is not None:
            rows = self.normalizer.normalize_obs(rows)
        self._acting.append(None)
        try:
            with self._turn, self._watching_weights():
                action, _ = self.model.predict(rows, deterministic=deterministic)
        finally:
            self._acting.pop()
        return action, state

    # Training

    @property
    def first_update(self) -> int:
        """The decision, counted from 1, after which it first learns."""
        return int(self.model.n_steps if self.kind == ON_POLICY else self.model.learning_starts + 1)

    def learn(
        self,
        steps: int,
        env: Any = None,
        on_step: Callable[[Any], bool] | None = None,
    ) -> Baseline:
        """Learns for `steps` more environment frames.

        The process's random generators are left where they were.

        Args:
            steps: environment frames.
            env: the environment; default that of before, or of the configuration. One of `gymnasium.make` is
                wrapped as that is. In another one than before, an episode begins.
            on_step: called after every decision, when its transition is stored and its gradient steps are
                done; learning ends early when it returns False. None continues.

        Returns:
            The agent itself.

        Raises:
            FloatingPointError: when a loss or a weight is no longer finite.
            ConfigError: for an environment that the agent was not made for.
            InputError: for another number of steps, and where another thread, or this agent, learns already.
        """
        steps = whole_steps(steps)
        check_on_step(on_step)
        check_not_learning(self._learning)
        self.env = self.bridge.env = enter(self, single_env(env, self.kind))
        until = self.frames + steps
        with random_state.preserved(), self.clock.running():
            random_state.restore(*self._random_state)
            self._learning = True
            try:
                callback = self._open_episode()
                while self.frames < until:
                    with self._turn, learning_step(self), self._watching_weights():
                        self._step(callback)
                    if self._acting:  # a lock is not fair: who has just let it go would take it again
                        time.sleep(TURN_SECONDS)
                    if (on_step is not None and ended_by(on_step(self))) or self.stop_requested:
                        break
            finally:
                self._learning = self.stop_requested = False
                self._random_state = random_state.capture()
        return self

    def _open_episode(self) -> Any:
        """Resets the environment where no episode is open. Returns the library's callback."""
        return self.model._setup_learn(self.config.steps, reset_num_timesteps=False)[1]

    def _step(self, callback: Any) -> None:
        """One decision, and the gradient steps that follow it."""
        model, bridge = self.model, self.bridge
        if model._last_obs is None:  # somebody else was in the environment
            self._open_episode()
        if self.kind == ON_POLICY:
            model.collect_rollouts(model.env, callback, model.rollout_buffer, n_rollout_steps=1)
            updated = model.rollout_buffer.full
            if updated:
                model.train()
                model.rollout_buffer.reset()  # the library has flattened the columns, which a checkpoint keeps
        else:
            rollout = model.collect_rollouts(
                model.env,
                callback,
                train_freq=model.train_freq,
                replay_buffer=model.replay_buffer,
                action_noise=model.action_noise,
                learning_starts=model.learning_starts,
            )
            # As in the library's `learn`: -1 is one for each step, and 0 none.
            count = model.gradient_steps if model.gradient_steps >= 0 else rollout.episode_timesteps
            begun = model.num_timesteps > model.learning_starts and model.replay_buffer.size() > 0
            updated = begun and count > 0
            if updated:
                model.train(gradient_steps=count, batch_size=model.batch_size)
        if bridge.step_diverged:
            self.metrics[DIVERGED_DECISIONS] = self.metrics.get(DIVERGED_DECISIONS, 0.0) + 1.0
        self.ended_episodes = bridge.take_ended()
        if self.ended_episodes:
            ended = self.ended_episodes[-1]
            self.metrics |= {"episode/return": ended.total_return, "episode/length": ended.decisions}
            if isinstance(bridge, GoalBridge):
                self.metrics["episode/at_goal"] = float(bridge.at_goal)
        self.frames, self.decisions, self.episodes = bridge.frames, int(model.num_timesteps), bridge.episodes
        if updated:
            self._measure()

    @contextmanager
    def _watching_weights(self) -> Iterator[None]:
        """The library reports weights that are not finite as a bad argument of a distribution, where it next acts.

        Raises:
            FloatingPointError: in its place.
        """
        try:
            yield
        except ValueError as error:
            if all(bool(value.isfinite().all()) for value in self.model.policy.state_dict().values()):
                raise
            where = f"decision {self.model.num_timesteps} in {self.env_spec.env}"
            raise FloatingPointError(f"{self.kind}: the weights are no longer finite at {where}") from error

    def _measure(self) -> None:
        """Takes over the metrics that the library logged of its last gradient steps."""
        for name, value in self.model.logger.name_to_value.items():
            if math.isfinite(value):
                self.metrics[name] = float(value)
            elif "loss" in name:  # others, such as the explained variance of no data, may be undefined
                where = f"decision {self.decisions} in {self.env_spec.env}"
                raise FloatingPointError(f"{self.kind}: {name} became {float(value)} at {where}")

    def begin_episode(self) -> None:
        """Forgets the open episode: the next decision resets the environment, with `seeds.reset_seed`."""
        self.model._last_obs, self.left_at = None, None
        if isinstance(self._buffer, FrameReplayBuffer):
            self._buffer.is_open = False
        elif isinstance(self._buffer, HindsightReplayBuffer):
            self._buffer.end_episode()
        elif self.kind == ON_POLICY:  # its rollout would take the row before the next one for a termination
            self.model.rollout_buffer.discard()
        self.bridge.forget_episode()

    # Checkpoints

    @property
    def _buffer(self) -> Any:
        """The replay buffer; None for PPO."""
        return None if self.kind == ON_POLICY else self.model.replay_buffer

    @property
    def replay(self) -> Sequence[ReplayRows]:
        """The library's replay buffer; none for PPO, which learns from rollouts."""
        return [] if self._buffer is None else [self._buffer]

    def state_dict(self) -> tuple[Arrays, dict[str, Any]]:
        """Everything but the replay rows and the environment that an exact resume needs."""
        arrays, meta = algorithm_state.capture(self.algorithm, self.kind)
        drawn, counted = random_state.capture() if self._learning else self._random_state
        arrays |= {f"rng/{name}": value for name, value in drawn.items()}
        bridge = self.bridge
        return arrays, meta | {
            "frames": self.frames,
            "episodes": self.episodes,
            "begun": bridge.seeded,
            "episode_return": bridge.episode_return,
            "episode_length": bridge.episode_length,
            "metrics": dict(self.metrics),
            "rng": counted,
        }

    def check_state(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Raises SchemaError where these are no state of this agent. Nothing is changed."""
        algorithm_state.check(self.algorithm, self.kind, arrays, meta)

    def load_state_dict(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Goes back to a state; the owner of the environment restores that.

        Raises:
            SchemaError: where it is no state of this agent; nothing is changed.
        """
        algorithm_state.restore(self.algorithm, self.kind, arrays, meta)
        self.left_at = None
        drawn = {name: value.copy() for name, value in under("rng/", arrays).items()}
        self._random_state = drawn, dict(meta["rng"])
        bridge = self.bridge
        bridge.frames, bridge.episodes, bridge.seeded = meta["frames"], meta["episodes"], meta["begun"]
        bridge.episode_return, bridge.episode_length = meta["episode_return"], meta["episode_length"]
        bridge.take_ended()  # of before
        self.frames, self.decisions, self.episodes = meta["frames"], meta["decisions"], meta["episodes"]
        self.metrics = dict(meta["metrics"])


def _check_episodes_end(env_spec: EnvSpec, rows: int) -> None:
    """Checks that a replay buffer of so many rows holds whole episodes: hindsight learns from no others.

    Raises:
        ConfigError: for an environment without an episode limit, and for one whose episodes do not fit.
    """
    limit = env_spec.episode_limit
    if limit is None:
        raise ConfigError(
            f"agent: {GOAL_CONDITIONED} learns from episodes that have ended, and those of {env_spec.env} have no "
            "limit; give --max-episode-frames"
        )
    if limit >= rows:
        raise ConfigError(
            f"agent: an episode of {env_spec.env} has up to {limit:,} decisions, and the replay buffer of "
            f"{GOAL_CONDITIONED} holds {rows:,}; give a smaller --max-episode-frames"
        )

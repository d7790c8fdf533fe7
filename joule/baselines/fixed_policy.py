"""The base of agents that do not learn: all that a run asks of an agent, except how it acts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypedDict

import numpy as np

from agent.arguments import (
    check_on_step,
    ended_by,
    episode_starts,
    observation_rows,
    rows_in,
    whole_steps,
)
from agent.clock import Clock
from agent.configurator.settings import Config
from agent.errors import ConfigError, InputError
from agent.interface import (
    DIVERGED_DECISIONS,
    DIVERGED_KEY,
    DRAWN_KEY,
    Arrays,
    EndedEpisode,
    EnvSpec,
    ExperienceSource,
    Observation,
    ReplayRows,
    Services,
    TrainingEnv,
)
from agent.memory.columns import blank_observation, columns_in, map_parts, observation_in
from agent.one_thread import check_not_learning
from agent.saving import SavesRuns
from agent.seeds import reset_seed
from agent.training_env import enter, learning_step
from joule.baselines.single_env import single_env
from joule_schema import generators
from joule_schema.arrays import check_arrays, spec_of
from joule_schema.values import ANY_FLOAT, MOST_METRICS, Count, Length, Name, checked

COUNTERS = ("frames", "decisions", "episodes", "episode_return", "episode_length", "under_way", "seeded")


class FixedPolicyState(TypedDict):
    """The JSON values of a state."""

    frames: Count
    decisions: Count
    episodes: Count
    episode_return: float
    episode_length: Count
    under_way: bool
    seeded: bool
    metrics: Annotated[dict[Name, Annotated[float, ANY_FLOAT]], Length(0, MOST_METRICS)]
    rng: dict[str, Any]


class FixedPolicyAgent(SavesRuns, ABC):
    """Steps an environment by a fixed policy, and counts; a subclass gives `kind` and `act`.

    See `joule.baselines.trivial` for two of them.

    Args:
        env_spec: sizes and names of the environment.
        config: the settings; `config.agent` is the subclass's `kind`.
        env: the environment to act in; None until `learn` needs one.
        services: how environments are made and runs are saved; None for an agent that does neither.

    Raises:
        ConfigError: for settings of another kind of agent, or several environments.
    """

    kind: str
    """The name of the agent in the settings."""
    replay: tuple[ReplayRows, ...] = ()

    def __init__(
        self,
        env_spec: EnvSpec,
        config: Config,
        env: ExperienceSource | None = None,
        services: Services | None = None,
    ) -> None:
        if config.agent != self.kind:
            raise ConfigError(f"agent: the settings are of {config.agent}, and this agent is {self.kind}")
        self.env_spec, self.config, self.services = env_spec, config, services
        self.env = single_env(env, self.kind)
        self.left_at: Any = None  # see `learning_step`
        self.rng = np.random.default_rng(config.seed)
        """For `explore`; its state is saved."""
        self.frames = self.decisions = self.episodes = 0
        self.ended_episodes: list[EndedEpisode] = []
        """The episodes that ended with the newest decision."""
        self.episode_return, self.episode_length = 0.0, 0
        self.under_way = self.seeded = False
        """Whether an episode is open, and whether the environment was reset with a seed."""
        self.obs: Observation = blank_observation(env_spec)
        """The newest observation [obs], or its parts, of the open episode."""
        self.metrics: dict[str, float] = {}
        self.clock = Clock()
        self.stop_requested = self._learning = False

    @abstractmethod
    def act(self, obs: Any, decision: int) -> np.ndarray:
        """The policy: actions [batch, act] in [-1, 1].

        Args:
            obs: observations [batch, obs], or such parts by name.
            decision: decisions taken before, since the state of `predict` was None.
        """

    def explore(self) -> np.ndarray:
        """The action [act] of a decision in training; by default that of the policy for `self.obs`."""
        return self.act(map_parts(lambda part: part[None], self.obs), self.episode_length)[0]

    def predict(
        self,
        observation: Observation,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
    ) -> tuple[np.ndarray, Any]:
        """The action for an observation [obs] or a batch [batch, obs]; `state` counts the decisions.

        Raises:
            InputError: for another shape, and for what is not a finite number; the sentence says where.
        """
        rows, single = observation_rows(self.env_spec, observation)
        episode_starts(episode_start, rows_in(rows))
        if state is not None and not (isinstance(state, int) and state >= 0):
            raise InputError(
                f"state: found {state!r:.80}; give None at first, and then what predict returned"
            )
        decision = state or 0
        actions = self.act(rows, decision)
        return (actions[0] if single else actions), decision + 1

    def learn(
        self,
        steps: int,
        env: Any = None,
        on_step: Callable[[Any], bool] | None = None,
    ) -> FixedPolicyAgent:
        """Steps the environment for `steps` more frames.

        Args:
            steps: environment frames.
            env: the environment; default that of before, or of the configuration. One of `gymnasium.make` is
                wrapped as that is. In another one than before, an episode begins.
            on_step: called after every decision; the loop ends early when it returns False. None continues.

        Returns:
            The agent itself.

        Raises:
            ConfigError: for an environment that the agent was not made for.
            InputError: for another number of steps, and within `on_step`.
        """
        steps = whole_steps(steps)
        check_on_step(on_step)
        check_not_learning(self._learning)
        entered: TrainingEnv = enter(self, single_env(env, self.kind))
        self.env = entered
        until = self.frames + steps
        self._learning = True
        try:
            with self.clock.running():
                while self.frames < until:
                    with learning_step(self):
                        self._step(entered)
                    if (on_step is not None and ended_by(on_step(self))) or self.stop_requested:
                        break
        finally:
            self._learning = self.stop_requested = False
        return self

    def _step(self, env: TrainingEnv) -> None:
        if not self.under_way:
            self.obs, _ = env.reset(seed=None if self.seeded else reset_seed(self.config.seed, self.frames))
            self.under_way = self.seeded = True
            self.episode_return, self.episode_length = 0.0, 0
        self.obs, reward, terminated, truncated, info = env.step(self.explore())
        self.frames += info["frames"]
        self.decisions += 1
        self.episode_return += float(reward)
        self.episode_length += 1
        if info.get(DIVERGED_KEY, False):
            self.metrics[DIVERGED_DECISIONS] = self.metrics.get(DIVERGED_DECISIONS, 0.0) + 1.0
        self.ended_episodes = []
        if terminated or truncated:
            self.episodes += 1
            self.under_way = False
            drawn = info.get(DRAWN_KEY, {})
            self.ended_episodes = [EndedEpisode(self.episode_return, self.episode_length, drawn)]
            self.metrics |= {"episode/return": self.episode_return, "episode/length": self.episode_length}

    def begin_episode(self) -> None:
        """Forgets the open episode: the next decision resets the environment, with `seeds.reset_seed`."""
        self.under_way = self.seeded = False
        self.left_at = None

    def state_dict(self) -> tuple[Arrays, dict[str, Any]]:
        """The newest observation, the counters and the random generator."""
        counters = {name: getattr(self, name) for name in COUNTERS}
        meta = counters | {"metrics": dict(self.metrics), "rng": self.rng.bit_generator.state}
        return {name: part.copy() for name, part in columns_in(self.obs).items()}, meta

    def check_state(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Raises SchemaError where these are no state of this agent. Nothing is changed."""
        values = checked(FixedPolicyState, dict(meta), "agent")
        generators.bit_generator_state(values["rng"], "PCG64", "agent.rng")
        blank = columns_in(blank_observation(self.env_spec))
        check_arrays(arrays, {name: spec_of(part) for name, part in blank.items()}, "agent")

    def load_state_dict(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Goes back to a state; the owner of the environment restores that.

        Raises:
            SchemaError: where it is no state of this agent; nothing is changed.
        """
        self.check_state(arrays, meta)
        self.left_at = None
        self.obs = map_parts(np.copy, observation_in(arrays))
        for name in COUNTERS:
            setattr(self, name, meta[name])
        self.metrics = dict(meta["metrics"])
        self.rng.bit_generator.state = generators.bit_generator_state(meta["rng"], "PCG64", "agent.rng")

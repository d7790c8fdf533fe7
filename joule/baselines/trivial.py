"""Agents that do not learn: random actions, and none. Every score is read beside theirs."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from agent.clock import Clock
from agent.configurator.settings import Config
from agent.errors import ConfigError
from agent.interface import Arrays, EnvSpec, ReplayRows, Services, TrainingEnv, TrainingEnvs
from agent.seeds import reset_seed
from agent.training_env import enter

COUNTERS = ("frames", "decisions", "episodes", "episode_return", "episode_length", "under_way", "seeded")


class TrivialAgent:
    """Uniformly random actions (`config.agent` is random), or the middle of the bounds (zero).

    It steps its environment and never learns.

    Raises:
        ValueError: for another kind.
    """

    replay: tuple[ReplayRows, ...] = ()

    def __init__(
        self,
        env_spec: EnvSpec,
        config: Config,
        env: TrainingEnv | TrainingEnvs | None = None,
        services: Services | None = None,
    ) -> None:
        if config.agent not in ("random", "zero"):
            raise ValueError(f"agent: {config.agent} is not a trivial agent; choose random or zero")
        self.kind: str = config.agent
        self.env_spec, self.config, self.services = env_spec, config, services
        self.env: TrainingEnv | TrainingEnvs | None = env
        self.rng = np.random.default_rng(config.seed)
        self.frames = self.decisions = self.episodes = 0
        self.episode_return, self.episode_length = 0.0, 0
        self.under_way = self.seeded = False
        self.metrics: dict[str, float] = {}
        self.clock = Clock()
        self.stop_requested = False

    def predict(
        self,
        observation: np.ndarray,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
    ) -> tuple[np.ndarray, Any]:
        """Actions for an observation [obs] or a batch [batch, obs]; `state` counts the decisions.

        A random action follows from the seed, the count and the observation: it is repeatable, the same in any
        batch, and no evaluation can disturb it.
        """
        rows = np.atleast_2d(np.asarray(observation, np.float32))
        count = 0 if state is None else int(state)
        actions = np.zeros((len(rows), self.env_spec.action_size), np.float32)
        if self.kind == "random":
            for k, row in enumerate(rows):
                rng = np.random.default_rng([self.config.seed, count, zlib.crc32(row.tobytes())])
                actions[k] = rng.uniform(-1.0, 1.0, self.env_spec.action_size)
        return (actions[0] if np.ndim(observation) == 1 else actions), count + 1

    def learn(
        self, steps: int, env: TrainingEnv | TrainingEnvs | None = None, on_step: Callable[[Any], bool] | None = None
    ) -> TrivialAgent:
        """Steps its environment for `steps` more frames; ends early when `on_step` returns False."""
        env = enter(self, env)
        self.env = env
        until = self.frames + steps
        with self.clock.running():
            while self.frames < until:
                self._step(env)
                if on_step is not None and not on_step(self):
                    break
        return self

    def _step(self, env: Any) -> None:
        if not self.under_way:
            env.reset(seed=None if self.seeded else reset_seed(self.config.seed, self.frames))
            self.under_way = self.seeded = True
            self.episode_return, self.episode_length = 0.0, 0
        action: np.ndarray = np.zeros(self.env_spec.action_size, np.float32)
        if self.kind == "random":
            action = self.rng.uniform(-1.0, 1.0, self.env_spec.action_size).astype(np.float32)
        _, reward, terminated, truncated, info = env.step(action)
        self.frames += info["frames"]
        self.decisions += 1
        self.episode_return += float(reward)
        self.episode_length += 1
        if terminated or truncated:
            self.episodes += 1
            self.under_way = False
            self.metrics |= {"episode/return": self.episode_return, "episode/length": self.episode_length}

    def begin_episode(self) -> None:
        """Forgets the open episode: the next decision begins a new one, with `seeds.reset_seed`."""
        self.under_way = self.seeded = False

    def save(self, path: str | Path) -> None:
        """Writes a run folder at `path`. Raises as `joule.storage.saving.save_as_run`."""
        if self.services is None:
            raise ConfigError("save: this agent was made without a way to save; make it by joule.make")
        self.services.save_run(self, Path(path))

    def state_dict(self) -> tuple[Arrays, dict[str, Any]]:
        """Counters and the generator."""
        counters = {name: getattr(self, name) for name in COUNTERS}
        return {}, counters | {"metrics": dict(self.metrics), "rng": self.rng.bit_generator.state}

    def load_state_dict(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Goes back to a state; the environment is restored by its owner."""
        for name in COUNTERS:
            setattr(self, name, meta[name])
        self.metrics = dict(meta["metrics"])
        self.rng.bit_generator.state = meta["rng"]

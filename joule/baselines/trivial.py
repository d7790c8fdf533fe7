"""The floors: an agent that acts at random and one that rests, for every score to stand on."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from agent.clock import Clock
from agent.configurator.settings import Config
from agent.interface import Arrays, BodyFacts, TrainingEnv
from agent.seeds import reset_seed
from joule.environment import entered
from joule.storage.saving import save_as_run


class Floor:
    """Uniformly random actions (`config.agent` is random), or 0, the middle of the bounds (zero).

    It lives, and never learns.

    Raises ValueError for another kind.
    """

    def __init__(self, facts: BodyFacts, config: Config, env: TrainingEnv | None = None) -> None:
        if config.agent not in ("random", "zero"):
            raise ValueError(f"agent: {config.agent} is not a floor; choose random or zero")
        self.kind: str = config.agent
        self.facts, self.config, self.env = facts, config, env
        self.rng = np.random.default_rng(config.seed)
        self.frames = self.decisions = self.episodes = 0
        self.episode_return, self.episode_length = 0.0, 0
        self.under_way = self.seeded = False
        self.metrics: dict[str, float] = {}
        self.clock = Clock()
        self.hurried = False

    def learn(
        self,
        steps: int,
        env: TrainingEnv | None = None,
        on_step: Callable[[Any], bool] | None = None,
    ) -> Floor:
        """Lives for `steps` more environment frames; ends early when `on_step` returns False.

        Without an environment, given here or before, the one of the agent's configuration is made. In another
        body than before an episode begins.
        """
        self.env = entered(self, env)
        until = self.frames + steps
        with self.clock.running():
            while self.frames < until:
                self._live(self.env)
                if on_step is not None and not on_step(self):
                    break
        return self

    def _live(self, env: TrainingEnv) -> None:
        if not self.under_way:
            env.reset(seed=None if self.seeded else reset_seed(self.config.seed, self.frames))
            self.under_way = self.seeded = True
            self.episode_return, self.episode_length = 0.0, 0
        action: np.ndarray = np.zeros(self.facts.action_size, np.float32)
        if self.kind == "random":
            action = self.rng.uniform(-1.0, 1.0, self.facts.action_size).astype(np.float32)
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
        """Forgets the episode under way: the next decision begins a new one, with `seeds.reset_seed`."""
        self.under_way = self.seeded = False

    def save(self, path: str | Path) -> None:
        """See `joule.storage.saving.save_as_run`."""
        save_as_run(self, path)

    def predict(
        self,
        observation: np.ndarray,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
    ) -> tuple[np.ndarray, Any]:
        """Actions for an observation [obs] or a batch [batch, obs]; `state` counts the decisions.

        A random action is drawn afresh from the seed, the count and what is seen: repeatable, the same in
        any batch, and without a generator that an evaluation could disturb.
        """
        rows = np.atleast_2d(np.asarray(observation, np.float32))
        count = 0 if state is None else int(state)
        actions = np.zeros((len(rows), self.facts.action_size), np.float32)
        if self.kind == "random":
            for k, row in enumerate(rows):
                rng = np.random.default_rng([self.config.seed, count, zlib.crc32(row.tobytes())])
                actions[k] = rng.uniform(-1.0, 1.0, self.facts.action_size)
        return (actions[0] if np.ndim(observation) == 1 else actions), count + 1

    def explain(self, state: Any) -> dict[str, np.ndarray]:
        """Nothing: there are no energies behind these decisions."""
        return {}

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        """Counters and the generator."""
        return {}, {
            "frames": self.frames,
            "decisions": self.decisions,
            "episodes": self.episodes,
            "episode_return": self.episode_return,
            "episode_length": self.episode_length,
            "under_way": self.under_way,
            "seeded": self.seeded,
            "metrics": dict(self.metrics),
            "rng": self.rng.bit_generator.state,
        }

    def load_state(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Goes back to a state; the body is put back by its owner."""
        self.frames, self.decisions, self.episodes = meta["frames"], meta["decisions"], meta["episodes"]
        self.episode_return, self.episode_length = meta["episode_return"], meta["episode_length"]
        self.under_way, self.metrics = meta["under_way"], dict(meta["metrics"])
        self.seeded = meta.get("seeded", True)  # a run of before this was recorded had begun
        self.rng.bit_generator.state = meta["rng"]

    def replay_columns(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Empty: nothing is remembered."""
        return {}

    def replay_total(self) -> int:
        return 0

    def replay_first(self) -> int:
        return 0

    def replay_rows(self, first: int) -> Arrays:
        return {}

    def restore_replay(self, rows: Arrays, total: int) -> None:
        """Nothing to put back."""

    def replay_capacity(self) -> int:
        return 0

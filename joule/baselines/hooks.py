"""What lets stable-baselines3 live in a body one decision at a time, without changing what it learns.

Imported only when a baseline is made: stable-baselines3 takes seconds to import.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import ReplayBuffer, RolloutBuffer

from agent.interface import EnvSpec, TrainingEnv
from agent.seeds import reset_seed


class EnvBridge(gymnasium.Env[np.ndarray, np.ndarray]):
    """A Gymnasium environment through which the library reaches the agent's body; the body may come later.

    Counts what the run is measured by. Gives the library only the few facts it uses: it copies `info`
    deeply at every step.
    """

    def __init__(self, env_spec: EnvSpec, seed: int) -> None:
        self.observation_space = spaces.Box(-np.inf, np.inf, (env_spec.observation_size,), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (env_spec.action_size,), np.float32)
        self.body: TrainingEnv | None = None
        self.seed = seed
        self.begun = False
        """Whether the body has been reset with a seed, and goes on from there by itself."""
        self.frames = self.episodes = 0
        self.episode_return, self.episode_length = 0.0, 0
        self.ended: dict[str, float] = {}
        """Return and length of the newest ended episode."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        assert self.body is not None
        # Not the library's own seed, which would begin a body anew that is met in mid-run.
        observation, _ = self.body.reset(seed=None if self.begun else reset_seed(self.seed, self.frames))
        self.begun = True
        self.episode_return, self.episode_length = 0.0, 0
        return observation, {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        assert self.body is not None
        observation, reward, terminated, truncated, given = self.body.step(action)
        self.frames += given["frames"]
        self.episode_return += float(reward)
        self.episode_length += 1
        if terminated or truncated:
            self.episodes += 1
            self.ended = {"episode/return": self.episode_return, "episode/length": self.episode_length}
        return observation, reward, terminated, truncated, {"diverged": given.get("diverged", False)}


class Replay(ReplayBuffer):
    """The library's replay, which counts its rows and never stores a step whose physics diverged."""

    total = 0
    """Rows ever written; row r lies at r modulo the capacity."""

    def add(
        self,
        obs: np.ndarray,
        next_obs: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        done: np.ndarray,
        infos: list[dict[str, Any]],
    ) -> None:
        if infos[0]["diverged"]:
            return
        super().add(obs, next_obs, action, reward, done, infos)
        self.total += 1

    def columns(self) -> dict[str, np.ndarray]:
        """The arrays [capacity, ...] by name."""
        return {
            "obs": self.observations[:, 0],
            "next_obs": self.next_observations[:, 0],
            "action": self.actions[:, 0],
            "reward": self.rewards[:, 0],
            "done": self.dones[:, 0],
            "timeout": self.timeouts[:, 0],
        }

    def rows_since(self, first: int) -> dict[str, np.ndarray]:
        """Copies of the rows since absolute row `first`. Raises ValueError when some were overwritten."""
        if self.total - first > self.buffer_size:
            raise ValueError(f"replay: rows before {self.total - self.buffer_size} were overwritten")
        index = np.arange(first, self.total) % self.buffer_size
        return {name: column[index] for name, column in self.columns().items()}

    def restore_rows(self, rows: dict[str, np.ndarray], total: int) -> None:
        """The newest rows of `total`, each at the place it had. Raises ValueError when some are missing."""
        count, needed = len(rows["reward"]), min(total, self.buffer_size)
        if count < needed:
            raise ValueError(f"replay: {count} rows were given, a resume needs {needed}")
        index = np.arange(total - needed, total) % self.buffer_size
        for name, column in self.columns().items():
            column[index] = rows[name][count - needed :]
        self.total, self.pos, self.full = total, total % self.buffer_size, total >= self.buffer_size


class Rollout(RolloutBuffer):
    """The library's rollout buffer, filled over many calls of `collect_rollouts` for one step each.

    So a run can be saved after any decision. A new rollout begins only when the last one was full, and
    advantages are computed only then: exactly what one call for all the steps would do. A diverged step
    stays in as a truncation without reward at the last sound observation, since a rollout has no gaps.
    """

    COLUMNS = ("observations", "actions", "rewards", "episode_starts", "values", "log_probs")

    def reset(self) -> None:
        if self.full or self.pos == 0:
            super().reset()

    def compute_returns_and_advantage(self, last_values: torch.Tensor, dones: np.ndarray) -> None:
        if self.full:
            super().compute_returns_and_advantage(last_values, dones)

    def state(self) -> dict[str, np.ndarray]:
        """The rows of the unfinished rollout by column; none when the next step begins a new one."""
        rows = 0 if self.full else self.pos
        return {name: getattr(self, name)[:rows].copy() for name in self.COLUMNS}

    def load_state(self, columns: dict[str, np.ndarray]) -> None:
        """Puts an unfinished rollout back."""
        self.pos = 0
        self.reset()
        self.pos = len(columns["rewards"])
        for name in self.COLUMNS:
            getattr(self, name)[: self.pos] = columns[name]

"""stable-baselines3's buffers, with what an exact resume at any decision needs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from stable_baselines3.common.buffers import ReplayBuffer, RolloutBuffer

from agent.interface import Arrays, Columns


class CountedRows:
    """What a replay buffer of the library needs to be `agent.interface.ReplayRows`.

    Transition number n is at place n modulo the capacity.
    """

    buffer_size: int
    pos: int
    full: bool
    actions: np.ndarray
    rewards: np.ndarray
    dones: np.ndarray
    timeouts: np.ndarray
    total = 0
    """Transitions ever written."""

    def arrays(self) -> Arrays:
        """The columns [capacity, ...] by name, to read and to write."""
        raise NotImplementedError

    def outcomes(self) -> Arrays:
        """The columns beside the observations, as `arrays` has them."""
        return {
            "action": self.actions[:, 0],
            "reward": self.rewards[:, 0],
            "done": self.dones[:, 0],
            "timeout": self.timeouts[:, 0],
        }

    def columns(self) -> Columns:
        """Name -> (shape of one row, NumPy's name of the dtype)."""
        return {name: (column.shape[1:], column.dtype.name) for name, column in self.arrays().items()}

    @property
    def first(self) -> int:
        """Number of the oldest transition that is still held."""
        return max(0, self.total - self.buffer_size)

    @property
    def capacity(self) -> int:
        """Transitions that a resume needs."""
        return int(self.buffer_size)

    def since(self, first: int) -> Arrays:
        """Copies of the transitions from number `first` on, oldest first.

        Raises:
            ValueError: for transitions that were overwritten.
        """
        if first < self.first:
            raise ValueError(f"replay: rows before {self.first} were overwritten")
        places = np.arange(first, self.total) % self.buffer_size
        return {name: column[places] for name, column in self.arrays().items()}

    def restore(self, rows: Arrays, total: int) -> None:
        """Puts back the newest transitions (oldest first) of `total` ever written, each at its place.

        Raises:
            ValueError: for fewer transitions than the buffer held.
        """
        count, needed = len(rows["reward"]), min(total, self.buffer_size)
        if count < needed:
            raise ValueError(f"replay: {count} rows were given, a resume needs {needed}")
        places = np.arange(total - needed, total) % self.buffer_size
        for name, column in self.arrays().items():
            column[places] = rows[name][count - needed :]
        self.total, self.pos, self.full = total, total % self.buffer_size, total >= self.buffer_size


class CountingReplayBuffer(CountedRows, ReplayBuffer):
    """The library's replay buffer, as `agent.interface.ReplayRows`. It never stores a step that diverged."""

    def add(
        self,
        obs: np.ndarray,
        next_obs: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        done: np.ndarray,
        infos: list[dict[str, Any]],
    ) -> None:
        """Stores a transition [1, ...], unless the physics diverged with it."""
        if infos[0]["diverged"]:
            return
        super().add(obs, next_obs, action, reward, done, infos)
        self.total += 1

    def arrays(self) -> Arrays:
        """See `CountedRows`."""
        return {
            "obs": self.observations[:, 0],
            "next_obs": self.next_observations[:, 0],
            **self.outcomes(),
        }


class StepwiseRolloutBuffer(RolloutBuffer):
    """The library's rollout buffer, filled by many calls of `collect_rollouts` for one step each.

    So a run can be saved after any decision. A new rollout begins only when the last one was full, and
    advantages are computed only then: the result is that of one call for all steps. A step that diverged
    stays in, as a truncation without reward at the last valid observation, because a rollout has no gaps.
    """

    COLUMNS = ("observations", "actions", "rewards", "episode_starts", "values", "log_probs")

    def reset(self) -> None:
        """Empties the buffer, unless it holds an unfinished rollout."""
        if self.full or self.pos == 0:
            super().reset()

    def discard(self) -> None:
        """Empties the buffer, an unfinished rollout included."""
        self.pos = 0
        self.reset()

    def compute_returns_and_advantage(self, last_values: torch.Tensor, dones: np.ndarray) -> None:
        """Computes them at the end of a rollout; before, it does nothing."""
        if self.full:
            super().compute_returns_and_advantage(last_values, dones)

    def columns(self) -> Arrays:
        """The columns [capacity, 1, ...] by name, to read and to write."""
        return {name: getattr(self, name) for name in self.COLUMNS}

    def unfinished(self) -> Arrays:
        """Copies of the unfinished rollout's columns; no rows when the next step begins a rollout."""
        rows = 0 if self.full else self.pos
        return {name: column[:rows].copy() for name, column in self.columns().items()}

    def restore(self, columns: Arrays) -> None:
        """Puts an unfinished rollout back."""
        self.discard()
        self.pos = len(columns["rewards"])
        if not self.pos:
            return
        for name, column in self.columns().items():
            column[: self.pos] = columns[name]

"""A replay buffer for stable-baselines3 that keeps every picture once."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.buffers import BaseBuffer
from stable_baselines3.common.type_aliases import ReplayBufferSamples

from agent.interface import Arrays, Columns, EnvSpec
from agent.memory.columns import columns_of, map_parts, stacks_of
from agent.memory.replay_buffer import ReplayBuffer
from agent.memory.replay_rows import StreamRows

NO_READOUT = np.zeros(0, np.float32)
"""A baseline learns from no readout."""


class FrameReplayBuffer(BaseBuffer):
    """What the library's algorithms ask of a replay buffer, on the rows that Joule's own buffer keeps.

    The library's own stores every observation twice, with all pictures that it stacks: of three, that is six times
    the memory. Here an observation is a row with its newest picture, and the stack is made anew when it is sampled.
    A step that diverged is never stored.

    Args:
        buffer_size: rows; an episode of n transitions has n + 1.
        observation_space: the library's.
        action_space: the library's.
        device: where samples are.
        n_envs: environments; 1.
        optimize_memory_usage: the library's way to store an observation once, which stays off.
        env_spec: parts of an observation.
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        device: Any = "auto",
        n_envs: int = 1,
        optimize_memory_usage: bool = False,
        *,
        env_spec: EnvSpec,
    ) -> None:
        super().__init__(buffer_size, observation_space, action_space, device, n_envs)
        assert n_envs == 1
        assert not optimize_memory_usage
        columns = columns_of(env_spec) | {"readout": (NO_READOUT.shape, NO_READOUT.dtype.name)}
        self.kept = ReplayBuffer(buffer_size, columns, stacks=stacks_of(env_spec))
        self.stream = self.kept.streams[0]
        self.is_open = False
        """Whether the newest row is of an episode that goes on."""
        self._rows = StreamRows(self.kept, 0, buffer_size)

    def size(self) -> int:
        """Transitions that can be sampled."""
        return self.kept.held

    def add(  # type: ignore[override]
        self,
        obs: Any,
        next_obs: Any,
        action: np.ndarray,
        reward: np.ndarray,
        done: np.ndarray,
        infos: list[dict[str, Any]],
    ) -> None:
        """Stores a transition [1, ...], unless the physics diverged with it."""
        if infos[0]["diverged"]:
            self.is_open = False
            return
        if not self.is_open:
            self.stream.begin(map_parts(lambda part: part[0], obs), NO_READOUT)
        terminated = bool(done[0]) and not infos[0].get("TimeLimit.truncated", False)
        following = map_parts(lambda part: part[0], next_obs)
        self.stream.add(action[0], float(reward[0]), terminated, following, NO_READOUT)
        self.is_open = not done[0]

    def sample(self, batch_size: int, env: Any = None) -> Any:
        """`batch_size` transitions as tensors, each with equal probability.

        The draws follow from NumPy's global generator, as those of the library do.
        """
        rng = np.random.default_rng(np.random.randint(0, 2**31, 4))  # noqa: NPY002  the library's generator
        return self._get_samples(self.kept.windows(batch_size, 1, rng), env)

    def _get_samples(self, batch_inds: np.ndarray, env: Any = None) -> Any:
        """The transitions from places `batch_inds` [0, batch] to [1, batch]."""
        kept, (before, after) = self.kept, batch_inds
        obs, following = (map_parts(self.to_torch, kept.observations(places)) for places in (before, after))
        action, reward, terminated = (
            self.to_torch(column)
            for column in (kept.action[before], -kept.cost[before][:, None], kept.terminated[before][:, None])
        )
        return ReplayBufferSamples(obs, action, following, terminated, reward)

    # What a resume needs

    def columns(self) -> Columns:
        """See `agent.interface.ReplayRows`."""
        return self._rows.columns()

    @property
    def total(self) -> int:
        """See `agent.interface.ReplayRows`."""
        return self._rows.total

    @property
    def first(self) -> int:
        """See `agent.interface.ReplayRows`."""
        return self._rows.first

    @property
    def capacity(self) -> int:
        """See `agent.interface.ReplayRows`."""
        return self._rows.capacity

    def since(self, first: int) -> Arrays:
        """See `agent.interface.ReplayRows`."""
        return self._rows.since(first)

    def restore(self, rows: Arrays, total: int) -> None:
        """See `agent.interface.ReplayRows`."""
        self._rows.restore(rows, total)

    def newest(self) -> Arrays:
        """The newest row, not final, with its number and whether its episode goes on; empty without one."""
        if not self.stream.rows:
            return {}
        numbered = {"number": np.array(self.stream.rows, np.int64), "open": np.array(self.is_open)}
        return self.stream.newest() | numbered

    def restore_newest(self, arrays: Arrays) -> None:
        """Puts back what `newest` gave."""
        columns = {name: array[None] for name, array in arrays.items() if name in self.kept.columns}
        if columns:
            self.stream.restore(columns, int(arrays["number"]))
        self.is_open = bool(columns) and bool(arrays["open"])

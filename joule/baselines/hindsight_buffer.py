"""stable-baselines3's replay buffer with hindsight, with what an exact resume at any decision needs."""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3 import HerReplayBuffer

from agent.interface import Arrays
from joule.baselines.buffers import CountedRows


class HindsightReplayBuffer(CountedRows, HerReplayBuffer):
    """The library's `HerReplayBuffer` (Andrychowicz et al. 2017), as `agent.interface.ReplayRows`.

    Of sampled transitions, four in five get a goal that was achieved later in the same episode, and its reward. The
    library samples from episodes that have ended. Where each row's episode begins and ends follows from the
    column `begins` and from `is_open`. A step that diverged is never stored, and ends the episode.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.begins = np.zeros(self.buffer_size, bool)
        """[capacity], whether a transition is the first of its episode."""

    @property
    def is_open(self) -> bool:
        """Whether the newest transition is of an episode that goes on."""
        return bool(self._current_ep_start[0] != self.pos)

    def size(self) -> int:
        """Transitions that can be sampled: those of episodes that have ended."""
        return int(np.count_nonzero(self.ep_length))

    def add(  # type: ignore[override]
        self,
        obs: dict[str, np.ndarray],
        next_obs: dict[str, np.ndarray],
        action: np.ndarray,
        reward: np.ndarray,
        done: np.ndarray,
        infos: list[dict[str, Any]],
    ) -> None:
        """Stores a transition [1, ...], unless the physics diverged with it."""
        if infos[0]["diverged"]:
            self.end_episode()
            return
        self.begins[self.pos] = not self.is_open
        super().add(obs, next_obs, action, reward, done, infos)
        self.total += 1

    def end_episode(self) -> None:
        """Ends the open episode, where there is one, after its newest transition; it can be sampled then."""
        if self.is_open:
            self._compute_episode_length(0)

    def arrays(self) -> Arrays:
        """See `CountedRows`."""
        before = {f"obs/{name}": column[:, 0] for name, column in self.observations.items()}
        after = {f"next_obs/{name}": column[:, 0] for name, column in self.next_observations.items()}
        return {**before, **after, **self.outcomes(), "begins": self.begins}

    def restore(self, rows: Arrays, total: int) -> None:
        """See `CountedRows`. The newest episode is open then; `end_episode` ends it."""
        super().restore(rows, total)
        numbers = np.arange(self.first, total)
        places = numbers % self.buffer_size
        first = numbers[self.begins[places]]
        episode = np.searchsorted(first, numbers, side="right") - 1
        self.ep_start[:], self.ep_length[:], self._current_ep_start[:] = 0, 0, self.pos
        if not len(first):
            return
        self._current_ep_start[:] = first[-1] % self.buffer_size
        length = np.append(np.diff(first), 0)  # of the open one it is not known yet
        whole = episode >= 0  # an episode that is overwritten in part is not sampled
        self.ep_start[places[whole], 0] = first[episode[whole]] % self.buffer_size
        self.ep_length[places[whole], 0] = length[episode[whole]]

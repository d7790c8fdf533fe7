"""SHORT-TERM MEMORY: what was lived, kept for learning.

A ring of rows in flat numpy arrays. A row is an observation and, unless it is an episode's last,
the action taken there, its cost and whether it terminated; the next observation is the next row.
Reward becomes cost here, at the door, and nowhere else. Windows never cross an episode: rows after
its end are masked as invalid.
"""

import numpy as np

from agent.memory.windows import Windows


class ReplayBuffer:
    """A ring of `capacity` rows, written one step at a time and sampled as windows."""

    def __init__(self, capacity: int, obs: int, act: int, readouts: int):
        self.capacity = capacity
        # np.empty touches no page until it is written: a large ring costs what it holds.
        self.obs = np.empty((capacity, obs), np.float32)
        self.action = np.empty((capacity, act), np.float32)
        self.cost = np.empty(capacity, np.float32)
        self.terminated = np.empty(capacity, np.float32)
        self.last = np.ones(capacity, np.bool_)
        self.readout = np.empty((capacity, readouts), np.float32)
        self.head = -1  # row of the newest observation
        self.rows = 0  # rows ever written
        self.held = 0  # transitions in the ring
        self.missing = 0  # oldest rows of a longer past, which were never put back

    @property
    def first(self) -> int:
        """Number of the oldest row that is held."""
        return max(self.missing, self.rows - self.capacity)

    @property
    def total(self) -> int:
        """Rows ever written whose content is final: all but the newest."""
        return max(self.rows - 1, 0)

    def __len__(self) -> int:
        """Rows that can be read."""
        return min(self.rows, self.capacity)

    def begin(self, obs: np.ndarray, readout: np.ndarray) -> None:
        """Opens an episode with its first observation."""
        self.head = (self.head + 1) % self.capacity
        self.held -= not self.last[self.head]  # a row never written counts as a last one
        self.rows += 1
        self.obs[self.head] = obs
        self.readout[self.head] = readout
        self.action[self.head] = 0.0
        self.cost[self.head] = 0.0
        self.terminated[self.head] = 0.0
        self.last[self.head] = True  # until an action follows, nothing may be read beyond it

    def add(
        self, action: np.ndarray, reward: float, terminated: bool, obs: np.ndarray, readout: np.ndarray
    ) -> None:
        """Appends a transition and the observation it led to."""
        row = self.head
        self.action[row] = action
        self.cost[row] = -reward
        self.terminated[row] = float(terminated)
        self.begin(obs, readout)
        self.last[row] = False
        self.held += 1

    def reserve(self, capacity: int) -> None:
        """Makes room for `capacity` rows, if there is less; what is held stays, each row under its number."""
        if capacity <= self.capacity:
            return
        numbers = np.arange(self.first, self.rows)
        for name, column in self.columns().items():
            grown = np.empty((capacity, *column.shape[1:]), column.dtype)
            if name == "last":
                grown.fill(True)
            grown[numbers % capacity] = column[numbers % self.capacity]
            setattr(self, name, grown)
        self.missing, self.capacity, self.head = self.first, capacity, (self.rows - 1) % capacity

    def windows(
        self, batch: int, time: int, rng: np.random.Generator, among: np.ndarray | None = None
    ) -> np.ndarray:
        """Rows [time + 1, batch] of windows that start uniformly at any stored transition, or at one
        `among` those places in the ring, and rest on an episode's last row. Raises ValueError when no
        transition is stored."""
        if self.held == 0 or (among is not None and len(among) == 0):
            raise ValueError("memory: no transition to sample")
        if among is not None:
            start = rng.choice(among, batch)
        else:
            filled = len(self)
            start = rng.integers(0, filled, batch)
            while (bad := self.last[start]).any():
                start[bad] = rng.integers(0, filled, int(bad.sum()))
        index = np.empty((time + 1, batch), np.int64)
        index[0] = start
        for k in range(time):
            following = (index[k] + 1) % self.capacity
            index[k + 1] = np.where(self.last[index[k]], index[k], following)
        return index

    def sample(
        self, batch: int, time: int, rng: np.random.Generator, among: np.ndarray | None = None
    ) -> Windows:
        """`batch` windows of `time` transitions, starting uniformly at any stored transition, or at one
        `among` those places in the ring.

        Raises ValueError when no transition is stored.
        """
        index = self.windows(batch, time, rng, among)
        valid = ~self.last[index[:-1]]
        steps = index[:-1]
        return Windows(
            self.obs[index], self.action[steps], self.cost[steps],
            self.terminated[steps], valid, self.readout[index],
        )  # fmt: skip

    def transitions(self) -> np.ndarray:
        """Numbers of the rows that hold a transition, oldest first; modulo capacity, their places."""
        rows = np.arange(self.first, max(self.rows - 1, self.first))
        return rows[~self.last[rows % self.capacity]]

    def outcomes(self, place: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Readouts after the transitions at these places, their actions, and their costs [rows]."""
        return self.readout[(place + 1) % self.capacity], self.action[place], self.cost[place]

    def rows_since(self, first: int) -> dict[str, np.ndarray]:
        """Columns of the rows written since absolute row `first`, oldest first, for the replay log.

        The newest row is left out: it changes when its action is added.
        Raises ValueError when rows that were asked for have been overwritten.
        """
        if first < self.first:
            raise ValueError(f"memory: rows before {self.first} were overwritten or never put back")
        index = np.arange(first, max(self.rows - 1, first)) % self.capacity
        return {name: column[index] for name, column in self.columns().items()}

    def columns(self) -> dict[str, np.ndarray]:
        """The ring's arrays by name."""
        return {
            "obs": self.obs, "action": self.action, "cost": self.cost,
            "terminated": self.terminated, "last": self.last, "readout": self.readout,
        }  # fmt: skip

    def restore(self, rows: dict[str, np.ndarray], total_rows: int) -> None:
        """Puts back the newest rows (oldest first), each at the place in the ring it had."""
        count = len(rows["last"])
        index = np.arange(total_rows - count, total_rows) % self.capacity
        for name, column in self.columns().items():
            column[index] = rows[name]
        if total_rows - count != self.rows:  # else they go on from the rows that are here
            self.missing = total_rows - count
        self.rows = total_rows
        self.held = int(np.count_nonzero(~self.last))
        self.head = (total_rows - 1) % self.capacity

"""One environment's rows in a replay buffer, written one step at a time."""

from typing import Any

import numpy as np

from agent.interface import Arrays, Observation
from agent.memory.columns import observation_in

FARTHEST = 8_192
"""Rows before and after a place that are looked at for its episode: some have no end."""


def _write(column: np.ndarray, place: int, obs: Any) -> None:
    """Stores an observation; of stacked frames the newest, which are the last on the first axis."""
    column[place] = obs[-column.shape[1] :] if column.ndim > 2 else obs


class ReplayStream:
    """Rows of one environment, in columns of fixed capacity; the oldest are overwritten.

    A row is an observation and, unless it is an episode's last, the action taken there, its cost and whether the
    episode terminated with it. The next observation is the next row. Reward becomes cost here, and nowhere
    else.

    Args:
        columns: name -> array [capacity, *shape of a row], written in place.
    """

    def __init__(self, columns: Arrays) -> None:
        self.columns = columns
        self.head = -1
        """Place of the newest observation."""
        self.rows = 0
        """Rows ever written."""
        self.held = 0
        """Transitions that can be sampled."""
        self.missing = 0
        """Oldest rows of a longer past, which were never restored."""

    @property
    def capacity(self) -> int:
        """Rows that fit."""
        return len(self.columns["last"])

    @property
    def first(self) -> int:
        """Number of the oldest row that is held."""
        return max(self.missing, self.rows - self.capacity)

    @property
    def total(self) -> int:
        """Rows ever written whose content is final: all but the newest."""
        return max(self.rows - 1, 0)

    def __len__(self) -> int:
        """Rows that can be read: not those of a longer past that were never restored."""
        return self.rows - self.first

    def begin(self, obs: Observation, readout: np.ndarray) -> None:
        """Opens an episode with its first observation."""
        columns, place = self.columns, (self.head + 1) % self.capacity
        self.held -= not columns["last"][place]  # a row never written counts as a last one
        columns["last"][place] = True  # until an action follows, nothing may be read beyond it
        stored = observation_in(columns)
        # What does not fit raises here, and the row is none yet.
        if isinstance(stored, np.ndarray):
            _write(stored, place, obs)
        else:
            for name, part in stored.items():
                _write(part, place, obs[name])  # type: ignore[call-overload]
        columns["readout"][place] = readout
        columns["action"][place] = 0.0
        columns["cost"][place] = 0.0
        columns["terminated"][place] = 0.0
        self.head = place
        self.rows += 1

    def add(
        self, action: np.ndarray, reward: float, terminated: bool, obs: Observation, readout: np.ndarray
    ) -> None:
        """Appends a transition and the observation it led to."""
        columns, row = self.columns, self.head
        self.begin(obs, readout)
        columns["action"][row] = action
        columns["cost"][row] = -reward
        columns["terminated"][row] = float(terminated)
        columns["last"][row] = False
        self.held += 1

    def extend(self, rows: Arrays, continues: bool) -> None:
        """Appends rows that another process wrote, the newest observation last.

        Args:
            rows: by column, oldest first, fewer than fit.
            continues: whether the first of them is the newest row here, now with its action.

        Raises:
            ValueError: for a last row that has an action, and for rows that continue nothing.
        """
        if not rows["last"][-1] or (continues and not self.rows):
            raise ValueError("replay: these rows do not follow those that are here")
        begin = self.rows - continues
        places = np.arange(begin, begin + len(rows["last"])) % self.capacity
        self.held -= int(np.count_nonzero(~self.columns["last"][places]))
        for name, column in self.columns.items():
            column[places] = rows[name]
        self.held += int(np.count_nonzero(~rows["last"]))
        self.rows = begin + len(places)
        self.head = int(places[-1])

    def episode_at(self, place: int) -> np.ndarray:
        """Places of the transitions of an episode that are held, in order; `place` is that of one of them.

        Of a long one, those up to FARTHEST rows before and after it.
        """
        row = self.rows - 1 - (self.head - place) % self.capacity
        before = np.arange(row - 1, max(self.first, row - FARTHEST) - 1, -1)
        after = np.arange(row, min(self.rows, row + FARTHEST))
        # The row before an episode is the last of another one.
        first, end = row - self._before_last(before), row + self._before_last(after)
        return np.arange(first, end) % self.capacity

    def _before_last(self, rows: np.ndarray) -> int:
        """How many of the rows with these numbers come before the first that is an episode's last."""
        return int(np.append(self.columns["last"][rows % self.capacity], True).argmax())

    def since(self, first: int) -> Arrays:
        """Columns of the final rows from row number `first` on, oldest first.

        The newest row is left out: it changes when its action is added.

        Raises:
            ValueError: for rows that were overwritten or never restored.
        """
        if first < self.first:
            raise ValueError(f"replay: rows before {self.first} were overwritten or never restored")
        index = np.arange(first, max(self.total, first)) % self.capacity
        return {name: column[index] for name, column in self.columns.items()}

    def through_newest(self, first: int) -> Arrays:
        """The rows from row number `first` on as in `since`, and the newest one, which has no action yet."""
        newest = self.newest()
        return {
            name: np.concatenate((column, newest[name][None])) for name, column in self.since(first).items()
        }

    def newest(self) -> Arrays:
        """The newest row, by column."""
        return {name: np.array(column[self.head]) for name, column in self.columns.items()}

    def restore(self, rows: Arrays, total: int) -> None:
        """Puts back the newest rows (oldest first) of `total`, each at the place it had.

        They continue the rows that are here, where those reach up to them. Other rows are given up.
        """
        begin = total - len(rows["last"])
        first = self.first if self.first <= begin <= self.rows else begin
        given_up = np.ones(self.capacity, bool)
        given_up[np.arange(first, begin) % self.capacity] = False
        self.columns["last"][given_up] = True  # as of a row never written
        index = np.arange(begin, total) % self.capacity
        for name, column in self.columns.items():
            column[index] = rows[name]
        self.missing, self.rows = first, total
        self.held = int(np.count_nonzero(~self.columns["last"]))
        self.head = (total - 1) % self.capacity

    def clear(self) -> None:
        """Gives up all rows, as if none had been written."""
        self.columns["last"][:] = True
        self.head, self.rows, self.held, self.missing = -1, 0, 0, 0

    def move_to(self, columns: Arrays) -> None:
        """Copies what is held into larger columns, each row under its number, and continues there."""
        numbers = np.arange(self.first, self.rows)
        for name, column in self.columns.items():
            columns[name][numbers % len(columns[name])] = column[numbers % self.capacity]
        self.missing, self.columns = self.first, columns
        self.head = (self.rows - 1) % self.capacity

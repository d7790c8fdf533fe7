"""The replay buffer: transitions of one or several environment streams, sampled as windows.

LeCun's short-term memory (2022, section 3.1). No window crosses the end of an episode, nor from one stream to
another. A row has a *number*, which it keeps, and a *place* in the columns, which a later row may take over.
With S streams, the k-th row of stream s has the number k * S + s.
"""

from collections.abc import Mapping

import numpy as np

from agent.interface import Arrays, Columns, Observation
from agent.memory.columns import has_readouts, is_observation, map_parts, observation_in
from agent.memory.recency import draw_ages
from agent.memory.replay_stream import ReplayStream
from agent.memory.windows import Windows


class ReplayBuffer:
    """Columns of `capacity` rows, divided evenly among the streams.

    Args:
        capacity: rows in all.
        columns: name -> (shape of a row, dtype); see `agent.memory.columns.columns_of`.
        streams: environments that write here side by side.
        stacks: columns whose observation is that of several rows; see `agent.memory.columns.stacks_of`.
    """

    def __init__(
        self, capacity: int, columns: Columns, streams: int = 1, stacks: Mapping[str, int] | None = None
    ) -> None:
        self._spec, self._stacks = columns, dict(stacks or {})
        self.rows_per_stream = -(-capacity // streams)
        self.columns = self._allocate(streams * self.rows_per_stream)
        self.streams = [ReplayStream(self._share(self.columns, s)) for s in range(streams)]

    def _allocate(self, rows: int) -> Arrays:
        # np.empty touches no page until it is written: a large buffer costs what it holds.
        columns = {name: np.empty((rows, *shape), dtype) for name, (shape, dtype) in self._spec.items()}
        columns["last"].fill(True)
        return columns

    def _share(self, columns: Arrays, stream: int) -> Arrays:
        rows = slice(stream * self.rows_per_stream, (stream + 1) * self.rows_per_stream)
        return {name: column[rows] for name, column in columns.items()}

    @property
    def capacity(self) -> int:
        """Rows that fit."""
        return len(self.columns["last"])

    @property
    def held(self) -> int:
        """Transitions that can be sampled."""
        return sum(stream.held for stream in self.streams)

    @property
    def rows(self) -> int:
        """Rows ever written."""
        return sum(stream.rows for stream in self.streams)

    @property
    def observation_bytes(self) -> int:
        """Bytes of an observation, with all frames that it stacks."""
        names = [name for name in self.columns if is_observation(name)]
        return sum(self.columns[name][:1].nbytes * self._stacks.get(name, 1) for name in names)

    @property
    def obs(self) -> Observation:
        """Observations by place: one array, or an array for each part."""
        return observation_in(self.columns)

    @property
    def action(self) -> np.ndarray:
        """[places, act]"""
        return self.columns["action"]

    @property
    def cost(self) -> np.ndarray:
        """[places]"""
        return self.columns["cost"]

    @property
    def terminated(self) -> np.ndarray:
        """[places], 1 where the episode terminated with the transition"""
        return self.columns["terminated"]

    @property
    def last(self) -> np.ndarray:
        """[places], whether the row is an episode's last, without a transition"""
        return self.columns["last"]

    @property
    def readout(self) -> np.ndarray:
        """[places, readouts]"""
        return self.columns["readout"]

    def observations(self, places: np.ndarray) -> Observation:
        """The observations at these places; frames are stacked anew, each being stored once."""
        if not self._stacks:
            found: Observation = map_parts(lambda part: part[places], self.obs)
            return found
        rows = {name: self._stacked(name, places) for name in self.columns if is_observation(name)}
        return observation_in(rows)

    def _stacked(self, name: str, places: np.ndarray) -> np.ndarray:
        """A column of the observation at these places, with as many rows before them as it stacks.

        Before the first row of an episode that row repeats, as it does in the environment.
        """
        column, chosen = self.columns[name], [places]
        for _ in range(self._stacks.get(name, 1) - 1):
            before = self.before(chosen[-1])
            chosen.append(np.where(self.last[before], chosen[-1], before))
        if len(chosen) == 1:
            return column[places]
        return np.concatenate([column[rows] for rows in reversed(chosen)], axis=places.ndim)

    def reserve(self, capacity: int) -> None:
        """Grows to `capacity` rows, where it has fewer; what is held stays."""
        if capacity <= self.capacity:
            return
        self.rows_per_stream = -(-capacity // len(self.streams))
        self.columns = self._allocate(len(self.streams) * self.rows_per_stream)
        for number, stream in enumerate(self.streams):
            stream.move_to(self._share(self.columns, number))

    # Rows by number and by place

    def place(self, numbers: np.ndarray) -> np.ndarray:
        """Places of the rows with these numbers."""
        count = len(self.streams)
        return (numbers % count) * self.rows_per_stream + (numbers // count) % self.rows_per_stream

    def after(self, places: np.ndarray) -> np.ndarray:
        """Places of the rows that follow those at `places`."""
        base = places - places % self.rows_per_stream
        return base + (places + 1 - base) % self.rows_per_stream

    def before(self, places: np.ndarray) -> np.ndarray:
        """Places of the rows before those at `places`; before the oldest one is an episode's last."""
        base = places - places % self.rows_per_stream
        return base + (places - 1 - base) % self.rows_per_stream

    def holds(self, numbers: np.ndarray) -> np.ndarray:
        """Whether the rows with these numbers are still held."""
        firsts = np.array([stream.first for stream in self.streams])
        return numbers // len(self.streams) >= firsts[numbers % len(self.streams)]

    def newest(self, stream: int = 0) -> int:
        """Number of the newest row of a stream."""
        return (self.streams[stream].rows - 1) * len(self.streams) + stream

    def numbers(self, stream: int, first: int | None = None, end: int | None = None) -> np.ndarray:
        """Numbers of a stream's rows, from its `first`-th to before its `end`-th; by default all that are held."""
        own = self.streams[stream]
        rows = np.arange(
            own.first if first is None else max(first, own.first), own.rows if end is None else end
        )
        return rows * len(self.streams) + stream

    def transitions(self) -> np.ndarray:
        """Numbers of the rows that hold a transition, oldest first."""
        count = len(self.streams)
        finals = [self.numbers(s, end=max(own.total, own.first)) for s, own in enumerate(self.streams)]
        numbers = finals[0] if count == 1 else np.sort(np.concatenate(finals))
        return numbers[~self.last[self.place(numbers)]]

    def earlier(self, numbers: np.ndarray, decisions: int) -> np.ndarray:
        """Numbers of the rows `decisions` before those with these numbers, in the same stream."""
        return numbers - decisions * len(self.streams)

    def filled(self) -> np.ndarray:
        """Places of all rows that can be read, in the order of places."""
        numbers = [self.numbers(stream) for stream in range(len(self.streams))]
        return np.sort(self.place(np.concatenate(numbers)))

    def with_readouts(self) -> np.ndarray:
        """Those of `filled` whose readouts are known; see `columns.has_readouts`."""
        places = self.filled()
        return places[has_readouts(self.readout[places])]

    def outcomes(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Readouts after the transitions at these places, their actions, and their costs [rows]."""
        return self.readout[self.after(places)], self.action[places], self.cost[places]

    # Sampling

    def windows(
        self,
        batch: int,
        time: int,
        rng: np.random.Generator,
        among: np.ndarray | None = None,
        recency: float = 0.0,
        per_episode: int = 1,
    ) -> np.ndarray:
        """Places [time + 1, batch] of windows.

        A window starts at a stored transition and rests on the last row of its episode.

        Args:
            batch: windows.
            time: transitions of a window.
            rng: the generator that draws the starts.
            among: places to start at, with equal probability, in place of all.
            recency: rate, per decision, at which a start's probability falls with its age; see `draw_ages`.
            per_episode: windows in a row that start at different moments of one episode; where it has fewer, the
                others start anywhere.

        Raises:
            ValueError: when no transition is stored.
        """
        if self.held == 0 or (among is not None and len(among) == 0):
            raise ValueError("replay: no transition to sample")
        if among is not None:
            start = rng.choice(among, batch)
        else:
            start = self._filled(rng, batch, recency)
            while (bad := self.last[start]).any():
                start[bad] = self._filled(rng, int(bad.sum()), recency)
        if per_episode > 1:
            self._gather(start, per_episode, rng)
        index = np.empty((time + 1, batch), np.int64)
        index[0] = start
        for k in range(time):
            index[k + 1] = np.where(self.last[index[k]], index[k], self.after(index[k]))
        return index

    def _gather(self, start: np.ndarray, per_episode: int, rng: np.random.Generator) -> None:
        """Replaces starts [batch], in place, by others of the episode of the first of so many in a row."""
        for group in np.split(start, np.arange(per_episode, len(start), per_episode)):
            stream, slot = divmod(int(group[0]), self.rows_per_stream)
            own = self.streams[stream].episode_at(slot)
            chosen = rng.choice(own, min(len(group), len(own)), replace=False)
            group[: len(chosen)] = stream * self.rows_per_stream + chosen  # a view of `start`

    def _filled(self, rng: np.random.Generator, count: int, recency: float) -> np.ndarray:
        """Places [count] of rows that were written, over all streams."""
        streams = len(self.streams)
        lengths = np.array([len(stream) for stream in self.streams])
        stream = np.zeros(count, np.int64)
        if streams > 1:
            stream = np.searchsorted(lengths.cumsum(), rng.integers(0, lengths.sum(), count), side="right")
        heads = np.array([own.head for own in self.streams])
        # Streams are written side by side: a row of one stands for as many decisions as there are streams.
        ages = draw_ages(rng, lengths[stream], recency * streams)
        places: np.ndarray = stream * self.rows_per_stream + (heads[stream] - ages) % self.rows_per_stream
        return places

    def sample(
        self,
        batch: int,
        time: int,
        rng: np.random.Generator,
        among: np.ndarray | None = None,
        recency: float = 0.0,
        per_episode: int = 1,
    ) -> Windows:
        """`batch` windows of `time` transitions; arguments and errors as for `windows`."""
        index = self.windows(batch, time, rng, among, recency, per_episode)
        valid = ~self.last[index[:-1]]
        steps = index[:-1]
        return Windows(
            self.observations(index), self.action[steps], self.cost[steps],
            self.terminated[steps], valid, self.readout[index],
        )  # fmt: skip

"""The rows of one stream of a replay buffer, as a replay log keeps them."""

from agent.interface import Arrays, Columns
from agent.memory.replay_buffer import ReplayBuffer


class StreamRows:
    """The final rows of a stream; see `agent.interface.ReplayRows`.

    Args:
        buffer: the replay buffer.
        stream: which of its streams.
        capacity: rows of this stream that a resume needs at most.
    """

    def __init__(self, buffer: ReplayBuffer, stream: int, capacity: int) -> None:
        self.buffer, self.stream, self._capacity = buffer, stream, capacity

    def columns(self) -> Columns:
        """Name -> (shape of a row, dtype)."""
        return {name: (c.shape[1:], c.dtype.name) for name, c in self.buffer.columns.items()}

    @property
    def total(self) -> int:
        """Rows whose content is final: all but the newest."""
        return self.buffer.streams[self.stream].total

    @property
    def first(self) -> int:
        """Number of the oldest row that is held, counted in this stream."""
        return self.buffer.streams[self.stream].first

    @property
    def capacity(self) -> int:
        """Rows that a resume needs at most; the buffer holds the whole budget, and never more rows."""
        return self._capacity

    def since(self, first: int) -> Arrays:
        """Final rows from row `first` of this stream on. Raises ValueError for rows that were overwritten."""
        return self.buffer.streams[self.stream].since(first)

    def restore(self, rows: Arrays, total: int) -> None:
        """Puts back the newest of `total` rows ever written, oldest first."""
        stream = self.buffer.streams[self.stream]
        if not total:
            stream.clear()
            return
        # The agent may have collected more than its configuration's budget.
        self.buffer.reserve(min(self._capacity, total + 1) * len(self.buffer.streams))
        stream.restore(rows, total)

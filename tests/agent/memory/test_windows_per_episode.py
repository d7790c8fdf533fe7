"""Windows in a row may be of one episode, each of another moment of it."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from agent.memory.replay_buffer import ReplayBuffer

COLUMNS = {
    "obs": ((1,), "float32"), "action": ((1,), "float32"), "cost": ((), "float32"),
    "terminated": ((), "float32"), "last": ((), "bool"), "readout": ((1,), "float32"),
}  # fmt: skip


@given(
    st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=5), min_size=1, max_size=3),
    st.integers(6, 90),
    st.integers(1, 8),
    st.integers(0, 2**31),
)
def test_windows_in_a_row_are_of_one_episode(
    streams: list[list[int]], capacity: int, per_episode: int, seed: int
) -> None:
    buffer = ReplayBuffer(capacity, COLUMNS, len(streams))
    held: list[int] = []
    for number, lengths in enumerate(streams):
        written: list[int] = []  # what each row holds, -1 without a transition
        for episode, length in enumerate(lengths):
            begin = 100_000 * number + 1_000 * episode
            rows = [np.array([float(begin + step)]) for step in range(length + 1)]
            buffer.streams[number].begin(rows[0], rows[0])
            for now, following in pairwise(rows):
                buffer.streams[number].add(now, 0.0, False, following, following)
            written += [*range(begin, begin + length), -1]
        held += [w for w in written[-buffer.rows_per_stream :] if w >= 0]
    assume(held)
    obs = buffer.sample(3 * per_episode + 1, 2, np.random.default_rng(seed), per_episode=per_episode).obs
    assert isinstance(obs, np.ndarray)
    starts = obs[0, :, 0]
    assert set(starts) <= set(held)
    of_episode = Counter(w // 1_000 for w in held)
    for group in np.split(starts, np.arange(per_episode, len(starts), per_episode)):
        own = group[: of_episode[group[0] // 1_000]]  # the rest of a short episode's windows start anywhere
        assert len(set(own)) == len(own)
        assert len({w // 1_000 for w in own}) == 1

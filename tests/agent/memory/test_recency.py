"""Windows of the replay buffer are drawn by their age."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from agent.memory.recency import LEAST_WEIGHT, draw_ages
from agent.memory.replay_buffer import ReplayBuffer
from tests.agent.memory.test_replay_buffer import COLUMNS, play


@pytest.mark.parametrize(("length", "rate"), [(40, 0.1), (40, 0.01), (12, 1.0), (25, 0.0)])
def test_ages_follow_their_weight(length: int, rate: float) -> None:
    count = 200_000
    ages = draw_ages(np.random.default_rng(0), np.full(count, length), rate)
    edges = np.arange(length + 1)
    grid = np.linspace(0, length, 200 * length + 1)[:-1] + 0.5 / 200
    weight = np.maximum(np.exp(-rate * grid), LEAST_WEIGHT).reshape(length, -1).mean(1)
    found = np.histogram(ages, edges)[0]
    assert scipy.stats.chisquare(found, count * weight / weight.sum()).pvalue > 1e-3


@given(length=st.integers(1, 2_000_000), rate=st.floats(0, 1), seed=st.integers(0, 99))
def test_ages_are_those_of_rows_that_exist(length: int, rate: float, seed: int) -> None:
    ages = draw_ages(np.random.default_rng(seed), np.full(500, length), rate)
    assert ages.min() >= 0
    assert ages.max() < length


@pytest.mark.parametrize("streams", [1, 2])
def test_the_newest_rows_of_every_stream_are_drawn_most(streams: int) -> None:
    buffer = ReplayBuffer(60 * streams, COLUMNS, streams)
    for number, stream in enumerate(buffer.streams):
        play(stream, [(100, "truncated")], 1000.0 * number)  # the ring has gone round
    rate = 0.05 / streams
    starts = buffer.windows(100_000, 1, np.random.default_rng(1), recency=rate)[0]
    observed = buffer.columns["obs"][starts, 0]
    for number in range(streams):
        own = observed[(observed >= 1000 * number) & (observed < 1000 * number + 1000)] - 1000 * number
        assert len(own) == pytest.approx(100_000 / streams, rel=0.02)
        newest, oldest = np.sum(own >= 90), np.sum(own < 51)
        assert newest / 10 > 5 * oldest / 10

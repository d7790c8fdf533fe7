"""Windows of the replay buffer never cross an episode or a stream, however an episode ended."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st

from agent.memory.columns import columns_of, stack_parts
from agent.memory.replay_buffer import ReplayBuffer
from agent.memory.replay_rows import StreamRows
from agent.memory.replay_stream import ReplayStream
from agent.memory.windows import Windows

Ending = Literal["terminated", "truncated", "diverged", "open"]
Episodes = list[tuple[int, Ending]]
COLUMNS = {
    "obs": ((1,), "float32"), "action": ((1,), "float32"), "cost": ((), "float32"),
    "terminated": ((), "float32"), "last": ((), "bool"), "readout": ((1,), "float32"),
}  # fmt: skip
FAR = 1_000_000
"""Observations of stream s begin at s times this."""


def play(stream: ReplayStream, episodes: Episodes, offset: float = 0.0) -> list[int]:
    """Writes episodes of (steps, ending) into a stream; what each row holds, -1 for one without a transition.

    Observation and readout are offset + 1000 * episode + t, the action repeats its observation, the reward is
    minus the observation it led to. A step that diverged is not added. Only the last may be open.
    """
    written: list[int] = []
    for number, (steps, ending) in enumerate(episodes):
        start = offset + 1000.0 * number
        stream.begin(np.array([start]), np.array([start]))
        written.append(-1)
        for t in range(steps - (ending == "diverged")):
            now, following = np.array([start + t]), np.array([start + t + 1])
            end = ending == "terminated" and t == steps - 1
            stream.add(now, -following.item(), end, following, following)
            written[-1] = int(now.item())
            written.append(-1)
    return written


def filled(episodes: Episodes, capacity: int) -> tuple[ReplayBuffer, list[int]]:
    """A replay buffer after episodes, and the transitions that it should still hold."""
    buffer = ReplayBuffer(capacity, COLUMNS)
    written = play(buffer.streams[0], episodes)
    return buffer, [w for w in written[-capacity:] if w >= 0]


def check(windows: Windows, ended: Sequence[int]) -> None:
    """Everything that a window promises, for a buffer written by `play`; `ended` are terminal observations."""
    assert isinstance(windows.obs, np.ndarray)
    obs, valid = windows.obs[..., 0], windows.valid
    np.testing.assert_array_equal(windows.readout, windows.obs)
    assert valid[0].all()
    assert not (valid[1:] & ~valid[:-1]).any(), "validity came back"
    for k in range(len(valid)):
        now, following, on = obs[k], obs[k + 1], valid[k]
        np.testing.assert_array_equal(following[on], now[on] + 1)
        np.testing.assert_array_equal(now[on] // 1000, obs[0][on] // 1000)
        np.testing.assert_array_equal(windows.action[k, on, 0], now[on])
        np.testing.assert_array_equal(windows.cost[k, on], following[on])
        np.testing.assert_array_equal(windows.terminated[k, on], np.isin(following[on], list(ended)))
        np.testing.assert_array_equal(following[~on], now[~on])
        assert not windows.action[k, ~on].any()
        assert not windows.cost[k, ~on].any()
        assert not windows.terminated[k, ~on].any()


steps_and_ending = st.tuples(st.integers(1, 12), st.sampled_from(["terminated", "truncated", "diverged"]))


@given(
    st.lists(steps_and_ending, max_size=8),
    st.integers(0, 12),
    st.integers(2, 60),
    st.integers(1, 6),
    st.integers(0, 2**31),
)
def test_no_window_crosses_an_episode(
    closed: Episodes, open_steps: int, capacity: int, time: int, seed: int
) -> None:
    episodes: Episodes = [*closed, (open_steps, "open")]
    buffer, held = filled(episodes, capacity)
    if not held:
        with pytest.raises(ValueError, match="no transition"):
            buffer.sample(4, time, np.random.default_rng(seed))
        return
    windows = buffer.sample(64, time, np.random.default_rng(seed))
    check(windows, [1000 * e + s for e, (s, ending) in enumerate(episodes) if ending == "terminated"])
    assert isinstance(windows.obs, np.ndarray)
    starts = windows.obs[0, :, 0]
    assert set(starts) <= set(held), "a window began where there is no transition"
    # A window continues to the episode's end, and no shorter.
    for column in range(64):
        length = int(windows.valid[:, column].sum())
        if length < time:
            assert int(starts[column]) + length not in held


@given(
    st.lists(st.lists(steps_and_ending, max_size=4), min_size=2, max_size=4),
    st.integers(4, 60),
    st.integers(1, 5),
    st.integers(0, 2**31),
)
def test_no_window_crosses_a_stream(streams: list[Episodes], capacity: int, time: int, seed: int) -> None:
    buffer = ReplayBuffer(capacity, COLUMNS, len(streams))
    held: list[int] = []
    ended: list[int] = []
    for number, episodes in enumerate(streams):
        written = play(buffer.streams[number], episodes, number * FAR)
        held += [w for w in written[-buffer.rows_per_stream :] if w >= 0]
        ended += [number * FAR + 1000 * e + s for e, (s, end) in enumerate(episodes) if end == "terminated"]
    assume(held)
    windows = buffer.sample(64, time, np.random.default_rng(seed))
    check(windows, ended)
    assert isinstance(windows.obs, np.ndarray)
    assert set(windows.obs[0, :, 0]) <= set(held)
    numbers = buffer.transitions()
    stored = buffer.obs
    assert isinstance(stored, np.ndarray)
    assert sorted(stored[buffer.place(numbers), 0]) == sorted(held)
    assert buffer.holds(numbers).all()


@pytest.mark.parametrize("streams", [1, 3])
def test_every_transition_is_as_likely_as_any_other(streams: int) -> None:
    episodes: Episodes = [(9, "truncated"), (1, "terminated"), (3, "diverged"), (1, "diverged"), (6, "open")]
    buffer = ReplayBuffer(17 * streams, COLUMNS, streams)
    held = []
    for number in range(streams):  # 23 rows, of which the first 6 were overwritten; fewer in later streams
        written = play(buffer.streams[number], episodes[number:], number * FAR)
        held += [w for w in written[-17:] if w >= 0]
    assert len(held) > 11
    obs = buffer.sample(1_000 * len(held), 3, np.random.default_rng(5)).obs
    assert isinstance(obs, np.ndarray)
    counts = [int((obs[0, :, 0] == one).sum()) for one in held]
    assert sum(counts) == 1_000 * len(held)
    assert scipy.stats.chisquare(counts).pvalue > 1e-4


@given(
    st.lists(steps_and_ending, min_size=1, max_size=8),
    st.integers(4, 40),
    st.integers(0, 60),
    st.integers(0, 2**31),
)
def test_a_restored_buffer_gives_the_same_windows(
    episodes: Episodes, capacity: int, early: int, seed: int
) -> None:
    buffer, held = filled(episodes, capacity)
    assume(held)
    stream = buffer.streams[0]
    # What a log would hold: rows in two portions, the newest row apart.
    middle = min(max(stream.first, early), stream.total)
    whole, late = stream.since(stream.first), stream.since(middle)
    rows = {name: np.concatenate([c[: middle - stream.first], late[name]]) for name, c in whole.items()}
    again = ReplayBuffer(capacity, COLUMNS)
    again.streams[0].restore(rows, stream.total)
    again.streams[0].restore({name: value[None] for name, value in stream.newest().items()}, stream.rows)
    one = buffer.sample(32, 4, np.random.default_rng(seed))
    other = again.sample(32, 4, np.random.default_rng(seed))
    for name, value in vars(one).items():
        np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)
    assert (again.streams[0].rows, again.streams[0].head) == (stream.rows, stream.head)


def test_rows_that_were_overwritten_are_not_handed_out() -> None:
    buffer, _ = filled([(20, "open")], capacity=8)
    assert len(buffer.streams[0].since(13)["last"]) == 7  # the newest is left out
    with pytest.raises(ValueError, match="overwritten"):
        buffer.streams[0].since(12)


def test_a_larger_buffer_knows_which_rows_were_never_restored() -> None:
    small, _ = filled([(20, "truncated"), (20, "open")], capacity=16)
    stream = small.streams[0]
    large = ReplayBuffer(100, COLUMNS)
    large.streams[0].restore(stream.since(stream.first), stream.total)
    large.streams[0].restore({name: value[None] for name, value in stream.newest().items()}, stream.rows)
    assert (large.streams[0].first, large.held) == (stream.first, 15)
    windows = large.sample(200, 3, np.random.default_rng(0))
    assert isinstance(windows.obs, np.ndarray)
    assert isinstance(small.obs, np.ndarray)
    assert np.isin(windows.obs, small.obs).all()
    with pytest.raises(ValueError, match="never restored"):
        large.streams[0].since(stream.first - 1)
    assert len(large.streams[0]) == len(large.filled()) == 16
    np.testing.assert_array_equal(large.filled(), np.arange(stream.first, stream.rows))


def test_rows_that_a_restored_past_does_not_reach_are_given_up() -> None:
    buffer, _ = filled([(20, "truncated"), (8, "open")], capacity=40)
    stream = buffer.streams[0]
    newest, own = {name: value[None] for name, value in stream.newest().items()}, buffer.held
    stream.restore(newest, stream.rows)  # what is here reaches up to it
    assert (stream.first, len(stream), buffer.held) == (0, 30, own)
    later = stream.since(20)
    stream.restore(later, 100)
    assert (stream.first, len(stream), buffer.held) == (91, 9, int((~later["last"]).sum()))
    assert set(buffer.filled()) == set(np.arange(91, 100) % 40)
    assert set(buffer.windows(50, 1, np.random.default_rng(0))[0]) <= set(buffer.filled())


@given(
    st.lists(st.lists(steps_and_ending, min_size=1, max_size=4), min_size=1, max_size=3),
    st.integers(4, 40),
    st.integers(2, 60),
)
def test_a_buffer_that_grows_keeps_what_it_held(streams: list[Episodes], capacity: int, more: int) -> None:
    buffer = ReplayBuffer(capacity, COLUMNS, len(streams))
    for number, episodes in enumerate(streams):
        play(buffer.streams[number], episodes, number * FAR)
    held = buffer.held
    before = [stream.since(stream.first) for stream in buffer.streams]
    firsts = [stream.first for stream in buffer.streams]
    buffer.reserve(buffer.capacity + more * len(streams))
    for stream, first, rows in zip(buffer.streams, firsts, before, strict=True):
        assert stream.first == first
        after = stream.since(first)
        for name, column in rows.items():
            np.testing.assert_array_equal(after[name], column, err_msg=name)
    assert buffer.held == held
    stream = buffer.streams[0]
    zero = np.zeros(1, np.float32)
    stream.begin(zero, zero)
    stream.add(zero, 0.0, False, zero, zero)
    assert (stream.rows, buffer.held) == (firsts[0] + len(before[0]["last"]) + 3, held + 1)


def test_a_log_of_each_stream_restores_the_buffer() -> None:
    buffer = ReplayBuffer(40, COLUMNS, 2)
    play(buffer.streams[0], [(5, "truncated"), (4, "open")])
    play(buffer.streams[1], [(7, "open")], FAR)
    again = ReplayBuffer(2, COLUMNS, 2)  # grows as the rows need it
    for number in range(2):
        rows = StreamRows(buffer, number, capacity=20)
        StreamRows(again, number, capacity=20).restore(rows.since(rows.first), rows.total)
        newest = {name: value[None] for name, value in buffer.streams[number].newest().items()}
        again.streams[number].restore(newest, buffer.streams[number].rows)
    np.testing.assert_array_equal(again.transitions(), buffer.transitions())
    places = [one.place(one.transitions()) for one in (buffer, again)]
    np.testing.assert_array_equal(buffer.observations(places[0]), again.observations(places[1]))


def test_numbers_follow_time_over_all_streams() -> None:
    buffer = ReplayBuffer(60, COLUMNS, 3)
    for number, stream in enumerate(buffer.streams):
        play(stream, [(6, "open")], number * FAR)
    numbers = buffer.transitions()
    assert (np.diff(numbers) > 0).all(), "the oldest is the first"
    now, before = (
        np.asarray(buffer.observations(buffer.place(n)))
        for n in (numbers[-3:], buffer.earlier(numbers[-3:], 4))
    )
    np.testing.assert_array_equal(now - before, np.full((3, 1), 4.0))


def test_every_part_of_an_observation_keeps_its_dtype() -> None:
    parts = [("state", (3,), "float32"), ("camera", (4, 4, 3), "uint8")]
    spec: Any = SimpleNamespace(
        observation=[SimpleNamespace(name=n, shape=s, dtype=d, stack=1) for n, s, d in parts],
        action_size=2,
        readout_sizes={"height": 1},
    )
    buffer = ReplayBuffer(10, columns_of(spec))
    seen: list[dict[str, np.ndarray]] = [
        {"state": np.full(3, t, np.float32), "camera": np.full((4, 4, 3), 10 * t, np.uint8)} for t in range(4)
    ]
    buffer.streams[0].begin(seen[0], np.zeros(1))
    for obs in seen[1:]:
        buffer.streams[0].add(np.zeros(2), 0.0, False, obs, np.zeros(1))
    windows = buffer.sample(16, 2, np.random.default_rng(0))
    assert isinstance(windows.obs, dict)
    assert {name: part.dtype.name for name, part in windows.obs.items()} == {
        "state": "float32",
        "camera": "uint8",
    }
    assert windows.obs["camera"].shape == (3, 16, 4, 4, 3)
    np.testing.assert_array_equal(windows.obs["camera"][..., 0, 0, 0], 10 * windows.obs["state"][..., 0])
    stacked = stack_parts(seen)
    assert isinstance(stacked, dict)
    assert stacked["camera"].shape == (4, 4, 4, 3)


@given(
    st.lists(
        st.tuples(st.integers(1, 6), st.sampled_from(["terminated", "truncated", "diverged"])), max_size=6
    ),
    st.lists(st.integers(1, 5), min_size=1, max_size=12),
    st.integers(16, 40),
)
def test_a_stream_that_is_handed_rows_is_that_which_was_written(
    episodes: Episodes, sizes: list[int], capacity: int
) -> None:
    written = ReplayBuffer(200, COLUMNS).streams[0]
    play(written, [*episodes, (2, "open")])
    handed = ReplayBuffer(capacity, COLUMNS).streams[0]
    every = {
        name: np.concatenate((column, written.newest()[name][None]))
        for name, column in written.since(0).items()
    }
    begin = 0
    for size in [*sizes, written.rows]:
        end = min(begin + size, written.rows)
        part = {name: column[max(begin - 1, 0) : end].copy() for name, column in every.items()}
        part["last"][-1] = True  # its action comes with the next rows
        if end == begin:
            break
        if len(part["last"]) > capacity:
            return  # no more rows than fit are handed over at a time
        handed.extend(part, continues=begin > 0)
        begin = end
    assert (handed.rows, handed.total) == (written.rows, written.total)
    rows, held = written.since(handed.first), handed.since(handed.first)
    for name, column in rows.items():
        np.testing.assert_array_equal(held[name], column)
    assert handed.held == int((~rows["last"]).sum())


def test_rows_that_follow_nothing_are_refused() -> None:
    stream = ReplayBuffer(10, COLUMNS).streams[0]
    rows = {name: np.zeros((2, *shape), dtype) for name, (shape, dtype) in COLUMNS.items()}
    with pytest.raises(ValueError, match="do not follow"):
        stream.extend(rows, continues=False)  # the last row has an action
    rows["last"][-1] = True
    with pytest.raises(ValueError, match="do not follow"):
        stream.extend(rows, continues=True)


@given(
    st.lists(
        st.tuples(st.integers(1, 6), st.sampled_from(["terminated", "truncated", "diverged"])), max_size=8
    ),
    st.integers(2, 4),
    st.integers(6, 60),
)
def test_frames_are_stored_once_and_stacked_as_they_were_seen(
    episodes: Episodes, stack: int, capacity: int
) -> None:
    """A frame is [1, 1, 2]; an observation stacks the newest `stack` frames of its episode, the first repeated."""
    columns = {**COLUMNS, "obs": ((1, 1, 2), "uint8")}
    buffer = ReplayBuffer(capacity, columns, stacks={"obs": stack})
    stream, seen, number = buffer.streams[0], [], 0
    for steps, ending in [*episodes, (2, "open")]:
        frames = [number] * stack
        for step in range(steps + 1):
            observation = np.array(frames[-stack:], np.uint8)[:, None, None].repeat(2, 2)
            seen.append(observation)
            if step == 0:
                stream.begin(observation, np.zeros(1))
            else:
                stream.add(
                    np.zeros(1), 0.0, ending == "terminated" and step == steps, observation, np.zeros(1)
                )
            number = (number + 1) % 251
            frames.append(number)
    numbers = buffer.numbers(0)
    held: Any = buffer.observations(buffer.place(numbers))
    oldest = int(numbers[0])
    for offset, observation in enumerate(held):
        expected = seen[oldest + offset]
        if offset >= stack - 1:  # frames before the oldest row are gone where rows were overwritten
            np.testing.assert_array_equal(observation, expected)
        np.testing.assert_array_equal(observation[-1], expected[-1])
    pairs: Any = buffer.observations(buffer.place(numbers)[None].repeat(2, 0))
    np.testing.assert_array_equal(pairs[1], held)


def test_a_row_that_does_not_fit_leaves_the_buffer_consistent() -> None:
    buffer, _ = filled([(20, "open")], capacity=8)
    stream, newest = buffer.streams[0], buffer.newest()
    for _ in range(3):
        with pytest.raises(ValueError, match="shape"):
            stream.add(np.zeros(1), 0.0, False, np.zeros(5), np.zeros(1))
    assert (stream.rows, buffer.newest()) == (21, newest)
    assert buffer.held == int((~buffer.last).sum()) == 6, "the oldest row made way"
    assert buffer.last[buffer.place(np.array([newest]))].all()
    check(buffer.sample(64, 3, np.random.default_rng(0)), [])

"""Windows of memory: never across an episode, whatever ended it and however often the ring came round."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import counter_env  # noqa: F401 - registers Counter-v0
import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st

import envs
from agent.memory.replay_buffer import ReplayBuffer
from agent.memory.windows import Windows

Ending = Literal["terminated", "truncated", "diverged", "open"]
Episodes = list[tuple[int, Ending]]


def lived(episodes: Episodes, capacity: int) -> tuple[ReplayBuffer, list[int]]:
    """A memory that lived through episodes of (steps, ending), and the transitions it should still hold.

    Observation and readout are 1000 * episode + t, the action repeats its observation, the reward is
    minus the observation it led to. A step that diverged is not added. Only the last may be open.
    """
    replay_buffer = ReplayBuffer(capacity, 1, 1, 1)
    written: list[int] = []  # what each row is, in the order of writing; -1 for a row without a transition
    for number, (steps, ending) in enumerate(episodes):
        start = 1000.0 * number
        replay_buffer.begin(np.array([start]), np.array([start]))
        written.append(-1)
        for t in range(steps - (ending == "diverged")):
            now, following = np.array([start + t]), np.array([start + t + 1])
            end = ending == "terminated" and t == steps - 1
            replay_buffer.add(now, -following.item(), end, following, following)
            written[-1] = int(now.item())
            written.append(-1)
    return replay_buffer, [w for w in written[-capacity:] if w >= 0]


def check(windows: Windows, ended: set[int]) -> None:
    """Everything a window promises, of windows of the world in `lived`; `ended` are terminal observations."""
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
    replay_buffer, held = lived(episodes, capacity)
    if not held:
        with pytest.raises(ValueError, match="no transition"):
            replay_buffer.sample(4, time, np.random.default_rng(seed))
        return
    windows = replay_buffer.sample(64, time, np.random.default_rng(seed))
    check(windows, {1000 * e + s for e, (s, ending) in enumerate(episodes) if ending == "terminated"})
    starts = windows.obs[0, :, 0]
    assert set(starts) <= set(held), "a window began where there is no transition"
    # A window goes on to the episode's end, and no shorter.
    for column in range(64):
        length = int(windows.valid[:, column].sum())
        if length < time:
            assert int(starts[column]) + length not in held


def test_every_transition_is_as_likely_as_any_other() -> None:
    episodes: Episodes = [(9, "truncated"), (1, "terminated"), (3, "diverged"), (1, "diverged"), (6, "open")]
    replay_buffer, held = lived(episodes, capacity=17)  # the ring has come round: 23 rows were written
    assert len(held) == 12
    starts = replay_buffer.sample(12_000, 3, np.random.default_rng(5)).obs[0, :, 0]
    counts = [int((starts == one).sum()) for one in held]
    assert sum(counts) == 12_000
    assert scipy.stats.chisquare(counts).pvalue > 1e-4


@given(
    st.lists(steps_and_ending, min_size=1, max_size=8),
    st.integers(4, 40),
    st.integers(0, 60),
    st.integers(0, 2**31),
)
def test_a_restored_memory_gives_the_same_windows(
    episodes: Episodes, capacity: int, early: int, seed: int
) -> None:
    replay_buffer, held = lived(episodes, capacity)
    assume(held)
    # What a log would hold: rows handed out in two portions, the newest row apart.
    final = replay_buffer.rows - 1
    first = max(0, replay_buffer.rows - capacity)
    middle = min(max(first, early), final)
    whole, late = replay_buffer.rows_since(first), replay_buffer.rows_since(middle)
    rows = {name: np.concatenate([column[: middle - first], late[name]]) for name, column in whole.items()}
    again = ReplayBuffer(capacity, 1, 1, 1)
    again.restore(rows, final)
    newest = {name: column[replay_buffer.head][None] for name, column in replay_buffer.columns().items()}
    again.restore(newest, replay_buffer.rows)
    one = replay_buffer.sample(32, 4, np.random.default_rng(seed))
    other = again.sample(32, 4, np.random.default_rng(seed))
    for name, value in vars(one).items():
        np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)
    assert (again.rows, again.head) == (replay_buffer.rows, replay_buffer.head)


def test_rows_that_were_overwritten_are_not_handed_out() -> None:
    replay_buffer, _ = lived([(20, "open")], capacity=8)
    assert len(replay_buffer.rows_since(13)["last"]) == 7  # the newest is left out
    with pytest.raises(ValueError, match="overwritten"):
        replay_buffer.rows_since(12)


def test_a_larger_memory_knows_which_rows_were_never_put_back() -> None:
    small, _ = lived([(20, "truncated"), (20, "open")], capacity=16)
    large = ReplayBuffer(100, 1, 1, 1)
    large.restore(small.rows_since(small.first), small.rows - 1)
    newest = {name: column[small.head][None] for name, column in small.columns().items()}
    large.restore(newest, small.rows)
    assert (large.first, large.held) == (small.first, 15)
    windows = large.sample(200, 3, np.random.default_rng(0))
    assert np.isin(windows.obs, small.obs).all()
    with pytest.raises(ValueError, match="never put back"):
        large.rows_since(small.first - 1)


@given(st.lists(steps_and_ending, min_size=1, max_size=8), st.integers(4, 40), st.integers(2, 60))
def test_a_memory_that_was_given_room_goes_on_with_what_it_held(
    episodes: Episodes, capacity: int, more: int
) -> None:
    replay_buffer, held = lived(episodes, capacity)
    first = replay_buffer.first
    before = replay_buffer.rows_since(first)
    replay_buffer.reserve(capacity + more)
    after = replay_buffer.rows_since(first)
    for name, column in before.items():
        np.testing.assert_array_equal(after[name], column, err_msg=name)
    assert (replay_buffer.first, replay_buffer.held) == (first, len(held))
    replay_buffer.begin(np.zeros(1, np.float32), np.zeros(1, np.float32))
    replay_buffer.add(np.zeros(1, np.float32), 0.0, False, np.zeros(1, np.float32), np.zeros(1, np.float32))
    assert (replay_buffer.rows, replay_buffer.held) == (first + len(before["last"]) + 3, len(held) + 1)
    if held:
        assert set(replay_buffer.sample(64, 1, np.random.default_rng(0)).obs[0, :, 0]) <= {*held, 0.0}


class Diverging:
    """A body whose physics break at step `at` of every `every`-th episode, as the guard reports it."""

    def __init__(self, body: Any, at: int, every: int = 2) -> None:
        self.body, self.at, self.every, self.t, self.env_spec = body, at, every, 0, body.env_spec
        self.number = -1

    def __getattr__(self, name: str) -> Any:
        return getattr(self.body, name)

    def reset(self, *, seed: int | None = None) -> Any:
        self.number += 1
        self.t = 0
        return self.body.reset(seed=seed)

    def step(self, action: np.ndarray) -> Any:
        self.t += 1
        if self.number % self.every == 0 and self.t == self.at:
            return self.body.observation.copy(), 0.0, False, True, {"frames": 1, "diverged": True}
        return self.body.step(action)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("capacity", [1_000_000, 37])
@pytest.mark.parametrize(
    ("ending", "breaks_at"),
    [
        ({}, None),  # the time limit of 10
        ({"terminate_at": 4}, None),
        ({"terminate_at": 1}, None),
        ({"truncate_at": 7}, None),
        ({"terminate_at": 10}, None),  # and the time limit at the same step
        ({}, 1),
        ({}, 6),
        ({"terminate_at": 5}, 5),
    ],
)
def test_what_the_agent_lives_is_what_its_memory_holds(
    make_joule: Callable[..., Any], ending: dict[str, int], breaks_at: int | None, capacity: int
) -> None:
    body: Any = envs.make("Counter-v0", kwargs=ending)
    if breaks_at is not None:
        body = Diverging(body, breaks_at)
    agent = make_joule(
        body, env="Counter-v0", learning__replay_capacity_transitions=capacity, learning__batch_size=8, explore__warmup_decisions=10_000
    )
    agent.learn(200)
    replay_buffer = agent.modules.replay_buffer
    assert replay_buffer.rows > 190
    windows = replay_buffer.sample(500, 4, np.random.default_rng(0))
    now, following = windows.obs[:-1], windows.obs[1:]
    on = windows.valid
    np.testing.assert_array_equal(following[on, 0], now[on, 0] + 1)  # also: the same episode
    np.testing.assert_array_equal(windows.cost[on], -(following[on, 0] % 1000))
    np.testing.assert_allclose(
        following[on, 1], 2 + 4 * windows.action[on, 0], rtol=1e-5
    )  # action in [-2, 6]
    end = ending.get("terminate_at", -1)
    np.testing.assert_array_equal(windows.terminated[on], following[on, 0] % 1000 == end)
    assert (agent.modules.terminations > 0) == bool(windows.terminated.any())


def test_a_world_that_always_breaks_at_once_teaches_nothing_and_hangs_nothing(
    make_joule: Callable[..., Any],
) -> None:
    body = Diverging(envs.make("Counter-v0"), at=1, every=1)
    agent = make_joule(body, env="Counter-v0", learning__replay_capacity_transitions=8, learning__batch_size=8, explore__warmup_decisions=4)
    agent.learn(30)
    assert (agent.decisions, agent.modules.replay_buffer.held, agent.modules.learner.updates) == (30, 0, 0)


@pytest.mark.usefixtures("unchecked")
def test_a_step_that_diverged_does_not_tell_what_is_usual(make_joule: Callable[..., Any]) -> None:
    body: Any = Diverging(envs.make("Counter-v0"), at=6, every=1)
    agent = make_joule(body, env="Counter-v0", learning__batch_size=8, explore__warmup_decisions=12, learning__pretrain_updates=1)
    agent.learn(36)  # six steps an episode, the last of which breaks; it plans from the third on
    assert agent.modules.surprise.count == 4 * 5

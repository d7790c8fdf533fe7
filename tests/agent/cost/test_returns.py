"""n-step targets of the critic, in closed form and against a slow reference."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from replay import state_buffer

from agent.cost.returns import bootstraps, n_step_targets

GAMMA = 0.97


def targets(cost: Any, terminated: Any, valid: Any, value: Any, n: int) -> np.ndarray:
    """`n_step_targets` of plain lists [time batch], in float64."""
    as_float = [torch.tensor(np.asarray(x, np.float64)) for x in (cost, terminated, value)]
    mask = torch.tensor(np.asarray(valid, bool))
    return n_step_targets(as_float[0], as_float[1], mask, as_float[2], GAMMA, n).numpy()


@pytest.mark.parametrize("n", [1, 3, 5])
def test_a_constant_cost_sums_to_a_geometric_series(n: int) -> None:
    time, cost, value = 5, 0.7, -3.0
    ones = np.ones((time, 1))
    got = targets(cost * ones, 0 * ones, ones, value * ones, n)[:, 0]
    steps = np.minimum(n, time - np.arange(time))
    np.testing.assert_allclose(
        got, cost * (1 - GAMMA**steps) / (1 - GAMMA) + GAMMA**steps * value, atol=1e-12
    )


@pytest.mark.parametrize("terminates", [False, True])
@pytest.mark.parametrize("n", [1, 2, 4, 8])
def test_windows_of_an_episode_have_the_targets_of_its_ending(n: int, terminates: bool) -> None:
    # An episode of `length` steps at cost 2, then another episode whose cost must not enter.
    length, cost, value = 5, 2.0, 11.0
    buffer = state_buffer(100)
    for episode, steps in enumerate((length, 20)):
        buffer.streams[0].begin(np.zeros(1), np.zeros(1))
        for t in range(steps):
            end = terminates and episode == 0 and t == steps - 1
            reward = -cost if episode == 0 else -1e6
            buffer.streams[0].add(np.zeros(1), reward, end, np.array([t + 1.0]), np.array([t + 1.0]))
    windows = buffer.sample(400, 8, np.random.default_rng(1))
    assert isinstance(windows.obs, np.ndarray)
    got = n_step_targets(
        torch.from_numpy(windows.cost).double(),
        torch.from_numpy(windows.terminated).double(),
        torch.from_numpy(windows.valid),
        torch.full(windows.cost.shape, value, dtype=torch.float64),
        GAMMA,
        n,
    )[0].numpy()
    first = windows.cost[0] == cost
    left = length - windows.obs[0, :, 0].astype(np.float64)  # steps to the end of the first episode
    summed = np.minimum(n, left)
    series = cost * (1 - GAMMA**summed) / (1 - GAMMA)
    bootstrap = GAMMA**summed * value * (1 - ((n >= left) & terminates))
    assert 20 < first.sum() < 380
    np.testing.assert_allclose(got[first], (series + bootstrap)[first], atol=1e-6)


def slow_target(cost: Any, terminated: Any, valid: Any, value: Any, t: int, n: int) -> float:
    """One target by its definition: sum costs until n steps or the end of window or episode, then bootstrap."""
    total = 0.0
    for m in range(n):
        total += GAMMA**m * cost[t + m]
        if terminated[t + m]:
            return total
        if m == n - 1 or t + m + 1 == len(cost) or not valid[t + m + 1]:
            return total + GAMMA ** (m + 1) * value[t + m]
    raise AssertionError("unreachable")


@given(st.integers(1, 7), st.integers(1, 9), st.integers(0, 2**31))
def test_targets_equal_a_slow_reference(time: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    batch = 6
    cost, value = rng.normal(size=(2, time, batch)) * 10
    length = rng.integers(1, time + 1, batch)  # valid transitions of each window
    valid = np.arange(time)[:, None] < length
    terminated = (np.arange(time)[:, None] == length - 1) & (rng.random(batch) < 0.5)
    used = bootstraps(torch.from_numpy(valid), n).numpy()
    got = targets(cost, terminated, valid, np.where(used, value, 1e9), n)
    for b in range(batch):
        for t in range(length[b]):
            expected = slow_target(cost[:, b], terminated[:, b], valid[:, b], value[:, b], t, n)
            assert got[t, b] == pytest.approx(expected, abs=1e-9)


def test_values_are_used_at_the_ends_of_the_sums_only() -> None:
    valid = torch.ones(5, 2, dtype=torch.bool)
    valid[2:, 1] = False
    assert bootstraps(valid, 3)[:, 0].tolist() == [False, False, True, True, True]
    assert bootstraps(valid, 3)[:, 1].tolist() == [False, True, True, True, True]

"""Targets of the critic in closed form, the energy in its formula, and the agent as linear controller."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from linear_problem import GAMMA, LinearWorld, linear_problem

import planners
from agent.actor.actor import Actor
from agent.cost.energy import Energy, EnergyWeights
from agent.cost.returns import bootstraps, n_step_targets
from agent.memory.replay_buffer import ReplayBuffer


def targets(cost: Any, terminated: Any, valid: Any, value: Any, n: int) -> np.ndarray:
    """`n_step_targets` on plain lists [time batch], in float64."""
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
    # An episode of `length` steps at cost 2, then another world whose cost must not be seen.
    length, cost, value = 5, 2.0, 11.0
    replay_buffer = ReplayBuffer(100, 1, 1, 1)
    for episode, steps in enumerate((length, 20)):
        replay_buffer.begin(np.zeros(1), np.zeros(1))
        for t in range(steps):
            end = terminates and episode == 0 and t == steps - 1
            reward = -cost if episode == 0 else -1e6
            replay_buffer.add(np.zeros(1), reward, end, np.array([t + 1.0]), np.array([t + 1.0]))
    windows = replay_buffer.sample(400, 8, np.random.default_rng(1))
    got = n_step_targets(
        torch.from_numpy(windows.cost).double(),
        torch.from_numpy(windows.terminated).double(),
        torch.from_numpy(windows.valid),
        torch.full(windows.cost.shape, value, dtype=torch.float64),
        GAMMA,
        n,
    )[0].numpy()
    ours = windows.cost[0] == cost
    left = length - windows.obs[0, :, 0].astype(np.float64)  # steps to the end of the first episode
    steps_seen = np.minimum(n, left)
    series = cost * (1 - GAMMA**steps_seen) / (1 - GAMMA)
    bootstrap = GAMMA**steps_seen * value * (1 - ((n >= left) & terminates))
    assert 20 < ours.sum() < 380
    np.testing.assert_allclose(got[ours], (series + bootstrap)[ours], atol=1e-6)


def slow_target(cost: Any, terminated: Any, valid: Any, value: Any, t: int, n: int) -> float:
    """One target as one would say it: pay until n steps or the end of window or episode, then bootstrap."""
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
    asked = bootstraps(torch.from_numpy(valid), n).numpy()
    got = targets(cost, terminated, valid, np.where(asked, value, 1e9), n)
    for b in range(batch):
        for t in range(length[b]):
            expected = slow_target(cost[:, b], terminated[:, b], valid[:, b], value[:, b], t, n)
            assert got[t, b] == pytest.approx(expected, abs=1e-9)


def test_whole_windows_ask_for_the_ends_of_their_sums_alone() -> None:
    valid = torch.ones(5, 2, dtype=torch.bool)
    valid[2:, 1] = False
    assert bootstraps(valid, 3)[:, 0].tolist() == [False, False, True, True, True]
    assert bootstraps(valid, 3)[:, 1].tolist() == [False, True, True, True, True]


@pytest.mark.parametrize(
    ("kind", "settings", "tolerance"),
    [
        ("gradient", {"iterations": 40}, 1e-3),
        ("icem", {"samples": 300, "iterations": 25, "elites": 20}, 3e-2),
    ],
)
@pytest.mark.parametrize("horizon", [1, 3])
def test_with_the_true_linear_model_the_agent_is_the_linear_controller(
    kind: str, settings: dict[str, Any], tolerance: float, horizon: int
) -> None:
    ones = torch.ones(2, dtype=torch.float64)
    for seed in range(4):
        world, policy, critic, gain = linear_problem(seed)
        z = torch.randn(3, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        z = 0.5 * z / (z @ gain.T).abs().max()  # the best action lies well inside the box
        actor = Actor(
            policy,
            lambda batch: planners.make(kind, horizon=horizon, low=-ones, high=ones, batch=batch, **settings),
            horizon,
            0,
        )
        energy = Energy(z, world, critic, policy, GAMMA, EnergyWeights(), terminates=False)
        action, plan = actor.act(energy, z, world, None, torch.Generator().manual_seed(0), explore=False)
        expected = -z @ gain.T
        assert expected.abs().max() > 0.3  # not the zero action, which any lazy actor finds
        torch.testing.assert_close(action, expected, rtol=0, atol=tolerance)
        # The energy of that plan is the cost-to-go itself: planning ahead changes nothing at the optimum.
        assert plan is not None
        value = critic(z, policy(z)).mean(1)
        torch.testing.assert_close(plan.energy, value, rtol=tolerance, atol=tolerance)


def test_the_energy_is_the_sum_of_its_formula() -> None:
    base, policy, critic, _ = linear_problem(9)
    world = LinearWorld(base.a, base.b, base.q, base.r, gap=0.3, ends=-1.2)
    generator = torch.Generator().manual_seed(2)
    z = torch.randn(2, 4, generator=generator, dtype=torch.float64)
    actions = torch.rand(2, 3, 5, 2, generator=generator, dtype=torch.float64) - 0.5
    energy = Energy(z, world, critic, policy, GAMMA, EnergyWeights(uncertainty=0.7, action=0.2), terminates=True)
    terms = energy.terms(actions)
    survival = 1 / (1 + np.exp(-1.2))
    for i in range(2):
        for j in range(3):
            expected = dict.fromkeys(("task", "effort", "unsure"), 0.0)
            here, scale = z[i], 1.0
            for t in range(5):
                act = actions[i, j, t]
                expected["task"] += scale * (here @ base.q @ here + act @ base.r @ act).item()
                expected["effort"] += scale * 0.2 * (act @ act).item()
                expected["unsure"] += scale * 0.7 * 0.3  # the deviation of two heads 0.3 either side
                here = base.a @ here + base.b @ act
                scale *= GAMMA * survival
            expected["critic"] = scale * critic(here[None], policy(here[None])).mean().item()
            assert {name: term[i, j].item() for name, term in terms.items()} == pytest.approx(expected)
            assert energy(actions)[i, j].item() == pytest.approx(sum(expected.values()))


def test_a_world_that_never_terminated_predicts_survival() -> None:
    base, policy, critic, _ = linear_problem(3)
    doomed = LinearWorld(base.a, base.b, base.q, base.r, ends=5.0)
    z, actions = torch.ones(1, 4, dtype=torch.float64), torch.zeros(1, 1, 3, 2, dtype=torch.float64)
    terms = [
        Energy(z, world, critic, policy, GAMMA, EnergyWeights(), terminates=False).terms(actions)
        for world in (base, doomed)
    ]
    assert terms[0] == terms[1]
    assert set(terms[0]) == {"task", "critic"}, "a term of weight zero is not computed"

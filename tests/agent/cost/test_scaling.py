"""Scales of costs and returns are those of numpy, however the rows arrive."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.cost.scaling import Scales, share_shown

GAMMA, LIMIT = 0.9, 5.0


def experience(seed: int, rows: int, unit: float) -> tuple[np.ndarray, np.ndarray]:
    """Costs, and whether a row is its episode's last."""
    rng = np.random.default_rng(seed)
    return (rng.normal(0.3, 1.0, rows) * unit).astype(np.float32), rng.random(rows) < 0.2


def measured(cost: np.ndarray, last: np.ndarray, cuts: list[int]) -> Scales:
    """The scales of rows that arrive in parts."""
    scales = Scales(LIMIT)
    for part, ends in zip(np.split(cost, cuts), np.split(last, cuts), strict=True):
        scales.update(torch.from_numpy(part), torch.from_numpy(ends), GAMMA)
    return scales


def discounted_sums(cost: np.ndarray, last: np.ndarray) -> list[float]:
    """G_t = c_t + gamma G_{t-1} of every transition."""
    sums, running = [], 0.0
    for value, ends in zip(cost.astype(float), last, strict=True):
        running = 0.0 if ends else value + GAMMA * running
        if not ends:
            sums.append(running)
    return sums


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.lists(st.integers(0, 60), max_size=4), st.sampled_from([1e-9, 1.0, 1e6]))
def test_scales_are_those_of_all_rows(seed: int, cuts: list[int], unit: float) -> None:
    cost, last = experience(seed, 60, unit)
    sums = discounted_sums(cost, last)
    scales = measured(cost, last, sorted(cuts))
    assert scales.cost() == pytest.approx(np.sqrt(np.mean(cost[~last].astype(float) ** 2)), rel=1e-6)
    largest = np.abs(sums).max() * Scales.HEADROOM / LIMIT
    assert scales.cost_to_go() == pytest.approx(max(np.std(sums), largest), rel=1e-6)
    assert (
        np.abs(sums).max() / scales.cost_to_go() <= LIMIT
    )  # every return in the data fits the critic's range


def largest_by_blocks(sums: list[float], half_life: int) -> float:
    """The largest |G_t| by its definition: halved at the end of a block, but not below the block's own."""
    largest = 0.0
    for start in range(0, len(sums), half_life):
        block = np.abs(sums[start : start + half_life])
        largest = max(largest, block.max())
        if len(block) == half_life:
            largest = max(0.5 * largest, block.max())
    return largest


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.lists(st.integers(0, 60), max_size=4), st.integers(1, 70))
def test_the_largest_return_is_forgotten_by_transitions_and_not_by_calls(
    seed: int, cuts: list[int], half_life: int
) -> None:
    cost, last = experience(seed, 60, 1.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Scales, "HALVING_PERIOD", half_life)
        scales = measured(cost, last, sorted(cuts))
    assert scales.largest.item() == pytest.approx(largest_by_blocks(discounted_sums(cost, last), half_life))


def test_an_outlier_is_forgotten() -> None:
    blocks = 8
    cost, last = experience(0, blocks * Scales.HALVING_PERIOD, 1.0)
    last[:] = False
    usual = measured(cost, last, [])
    cost[100] = 20.0 * usual.largest.item()
    after = Scales(LIMIT)
    coarse = []
    for part in np.split(cost, blocks):
        after.update(torch.from_numpy(part), torch.zeros(len(part), dtype=torch.bool), GAMMA)
        coarse.append(after.largest.item() / usual.largest.item())
    np.testing.assert_allclose(coarse[:4], coarse[0] / 2 ** np.arange(4), rtol=1e-9)
    assert coarse[0] > 19.0
    assert after.largest.item() == pytest.approx(usual.largest.item(), rel=0.3)
    assert after.cost_to_go() < 2.0 * usual.cost_to_go()


def test_the_deviation_of_an_outlier_is_measured_anew() -> None:
    cost, last = experience(0, 6 * Scales.HALVING_PERIOD, 1.0)
    usual = measured(cost, last, [])
    cost[100] = 1_000.0 * usual.largest.item()
    with_outlier = measured(cost, last, list(range(500, len(cost), 500)))
    assert with_outlier.cost_to_go() == pytest.approx(usual.cost_to_go(), rel=0.5)


def test_what_is_recorded_counts_in_any_order() -> None:
    cost, last = experience(1, 4 * Scales.HALVING_PERIOD, 0.01)
    last[:], found = False, []
    for place in (0, len(cost) - 100):
        changed, scales = cost.copy(), Scales(LIMIT)
        changed[place : place + 100] = 1.0
        scales.update(torch.from_numpy(changed), torch.from_numpy(last), GAMMA, forgets=False)
        found.append(scales.largest.item())
    assert found[0] == pytest.approx(found[1], rel=0.05)


@pytest.mark.parametrize("decisions", [1, 5, 30, 1_000, None])
def test_costs_that_go_on_after_a_time_limit_fit_the_range(decisions: int | None) -> None:
    episode = decisions or 300
    cost, last = np.ones(3 * (episode + 1), np.float32), np.zeros(3 * (episode + 1), bool)
    last[episode :: episode + 1] = True
    size = measured(cost, last, []).cost_to_go(share_shown(decisions, GAMMA))
    assert LIMIT * size >= (1.0 - 1e-6) / (1.0 - GAMMA)


def test_returns_that_stay_alike_do_not_decay() -> None:
    scales, found = Scales(LIMIT), []
    cost = torch.ones(Scales.HALVING_PERIOD // 4)
    for _ in range(40):
        scales.update(cost, torch.zeros(len(cost), dtype=torch.bool), GAMMA)
        found.append(scales.cost_to_go())
    assert found == pytest.approx([found[0]] * 40, rel=1e-3)


def test_a_loaded_scale_continues_in_the_middle_of_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scales, "HALVING_PERIOD", 20)
    cost, last = experience(3, 60, 1.0)
    whole, half, loaded = Scales(LIMIT), Scales(LIMIT), Scales(LIMIT)
    for scales, rows in ((whole, slice(0, 60)), (half, slice(0, 33))):
        scales.update(torch.from_numpy(cost[rows]), torch.from_numpy(last[rows]), GAMMA)
    loaded.load_state_dict(half.state_dict())
    loaded.update(torch.from_numpy(cost[33:]), torch.from_numpy(last[33:]), GAMMA)
    assert loaded.largest == whole.largest
    assert loaded.newest_largest == whole.newest_largest


def test_streams_have_running_sums_of_their_own() -> None:
    one, other = Scales(LIMIT), Scales(LIMIT, streams=2)
    cost, last = torch.tensor([1.0, 2.0]), torch.tensor([False, False])
    one.update(cost, last, GAMMA)
    for stream in (0, 1):
        other.update(cost, last, GAMMA, stream)
    assert other.running.tolist() == [one.running.item()] * 2
    assert other.cost_to_go() == one.cost_to_go()


def test_without_costs_there_is_no_size_of_a_cost_to_go() -> None:
    scales = measured(np.zeros(5, np.float32), np.array([False, True, False, False, True]), [])
    assert (scales.cost(), scales.cost_to_go()) == (1.0, 0.0)


def test_the_last_row_of_an_episode_has_no_cost() -> None:
    scales = measured(np.array([1.0, 99.0], np.float32), np.array([False, True]), [])
    assert scales.cost() == 1.0
    assert scales.running.item() == 0.0


def test_the_largest_return_fits_the_range_of_the_critic_with_room() -> None:
    cost, last = np.zeros(1_000, np.float32), np.ones(1_000, bool)
    cost[400], last[::2] = -100.0, False
    scales = measured(cost, last, [])
    assert 100.0 / scales.cost_to_go() == pytest.approx(LIMIT / 1.2)

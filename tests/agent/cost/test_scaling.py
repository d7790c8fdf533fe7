"""Costs and returns are measured as numpy would, however the rows arrive; heads then see numbers near one."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.cost.scaling import Scales

GAMMA, LIMIT = 0.9, 5.0


def lived(seed: int, rows: int, unit: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (rng.normal(0.3, 1.0, rows) * unit).astype(np.float32), rng.random(rows) < 0.2


def measured(cost: np.ndarray, last: np.ndarray, cuts: list[int]) -> Scales:
    scales = Scales(LIMIT)
    for part, ends in zip(np.split(cost, cuts), np.split(last, cuts), strict=True):
        scales.update(torch.from_numpy(part), torch.from_numpy(ends), GAMMA)
    return scales


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.lists(st.integers(0, 60), max_size=4), st.sampled_from([1e-9, 1.0, 1e6]))
def test_scales_are_those_of_the_whole_life(seed: int, cuts: list[int], unit: float) -> None:
    cost, last = lived(seed, 60, unit)
    sums, running = [], 0.0
    for value, ends in zip(cost.astype(float), last, strict=True):
        running = 0.0 if ends else value + GAMMA * running
        if not ends:
            sums.append(running)
    scales = measured(cost, last, sorted(cuts))
    assert scales.cost() == pytest.approx(np.sqrt(np.mean(cost[~last].astype(float) ** 2)), rel=1e-6)
    largest = np.abs(sums).max() * Scales.HEADROOM / LIMIT
    assert scales.cost_to_go() == pytest.approx(max(np.std(sums), largest), rel=1e-6)
    assert np.abs(sums).max() / scales.cost_to_go() <= LIMIT  # every return lived can be said


def test_a_world_without_costs_has_scale_one() -> None:
    scales = measured(np.zeros(5, np.float32), np.array([False, True, False, False, True]), [])
    assert (scales.cost(), scales.cost_to_go()) == (1.0, 1.0)


def test_an_episodes_last_row_has_no_cost() -> None:
    scales = measured(np.array([1.0, 99.0], np.float32), np.array([False, True]), [])
    assert scales.cost() == 1.0
    assert scales.running.item() == 0.0

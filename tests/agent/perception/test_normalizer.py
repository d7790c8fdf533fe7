"""Running statistics are numpy's, however the rows arrive; loaded statistics normalise at once."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.perception.normalizer import Normalizer


@settings(max_examples=40)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.integers(0, 2**31))
def test_statistics_do_not_depend_on_how_rows_are_split(sizes: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(rng.uniform(-50, 50, 3), [0.1, 1.0, 30.0], (sum(sizes), 3)).astype(np.float32)
    normalizer = Normalizer(3)
    for part in np.split(rows, np.cumsum(sizes)[:-1]):
        normalizer.update(torch.from_numpy(part))
    count = sum(sizes)
    assert float(normalizer.count) == count
    if count:
        exact = rows[:count].astype(np.float64)
        np.testing.assert_allclose(normalizer.mean, exact.mean(0), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(normalizer.variance, exact.var(0), rtol=1e-6, atol=1e-7)


def test_normalised_rows_have_mean_zero_and_deviation_one_and_can_be_inverted() -> None:
    rows = torch.from_numpy(np.random.default_rng(0).normal(3.0, [0.01, 200.0], (500, 2)).astype(np.float32))
    normalizer = Normalizer(2)
    normalizer.update(rows)
    normal = normalizer(rows)
    torch.testing.assert_close(normal.mean(0), torch.zeros(2), rtol=0, atol=1e-3)
    torch.testing.assert_close(normal.std(0, correction=0), torch.ones(2), rtol=1e-3, atol=0)
    torch.testing.assert_close(normalizer.inverse(normal), rows, rtol=1e-4, atol=1e-3)
    assert normalizer(torch.full((1, 2), 1e30)).abs().max() == normalizer.clip


@pytest.mark.parametrize("constant", [0.0, 1.0, -1e6, 0.1])
def test_a_dimension_that_never_varied_stays_finite_when_it_does(constant: float) -> None:
    normalizer = Normalizer(1)
    for _ in range(3):
        normalizer.update(torch.full((7, 1), constant))
    assert normalizer(torch.full((1, 1), constant)).item() == pytest.approx(0.0, abs=0.1)
    moved = normalizer(torch.full((1, 1), constant + 1.0))
    assert moved.item() == pytest.approx(1.0, abs=0.1)


def test_a_loaded_normalizer_normalises_at_once() -> None:
    saved, loaded = Normalizer(2), Normalizer(2)
    saved.update(torch.randn(50, 2) * 4 + 1)
    loaded.load_state_dict(saved.state_dict())
    row = torch.randn(3, 2)
    assert torch.equal(saved(row), loaded(row))
    assert torch.equal(saved.inverse(row), loaded.inverse(row))


def test_a_copy_of_a_normalizer_refreshes_itself_and_not_the_original() -> None:
    original, other = Normalizer(2), Normalizer(2)
    original.update(torch.randn(50, 2) * 4 + 1)
    other.update(torch.randn(50, 2) * 9 - 3)
    row = torch.randn(3, 2)
    expected = original(row)
    copied = copy.deepcopy(original)
    assert torch.equal(copied(row), expected)
    copied.load_state_dict(other.state_dict())
    assert torch.equal(copied(row), other(row))
    assert torch.equal(original(row), expected)


def test_a_normalizer_inside_a_loaded_module_normalises_at_once() -> None:
    saved, loaded = torch.nn.ModuleDict({"a": Normalizer(2)}), torch.nn.ModuleDict({"a": Normalizer(2)})
    saved["a"].update(torch.randn(50, 2) * 4 + 1)  # type: ignore[operator]
    loaded.load_state_dict(saved.state_dict())
    row = torch.randn(3, 2)
    assert torch.equal(saved["a"](row), loaded["a"](row))


def test_what_never_varied_is_predicted_as_its_mean_and_what_varied_as_by_the_inverse() -> None:
    normalizer, loaded = Normalizer(3), Normalizer(3)
    rows = torch.randn(50, 3) * torch.tensor([2.0, 0.0, 0.0]) + torch.tensor([3.0, 1.0, 5.5e6])
    head = torch.randn(4, 3)
    assert torch.equal(normalizer.predicted(head), head), "nothing is known yet"
    normalizer.update(rows)
    loaded.load_state_dict(normalizer.state_dict())
    for each in (normalizer, loaded):
        found = each.predicted(head)
        assert torch.equal(found[:, 1:], rows[:4, 1:])
        assert torch.equal(found[:, 0], each.inverse(head)[:, 0])
        assert each.predicted(torch.full((1, 3), torch.nan)).isnan().all(), "divergence stays visible"
    normalizer.update(rows + torch.tensor([0.0, 1.0, 0.0]))
    assert torch.equal(normalizer.predicted(head)[:, 1], normalizer.inverse(head)[:, 1])


def test_an_untrained_normalizer_predicts_the_same_when_it_is_loaded() -> None:
    loaded, head = Normalizer(2), torch.randn(4, 2)
    loaded.load_state_dict(Normalizer(2).state_dict())
    assert torch.equal(loaded.predicted(head), head)

"""Two-hot scalars mean what cross-entropy says, and running statistics are numpy's, however rows arrive."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.layers import TwoHot, symexp, symlog, zero_linear
from agent.perception import regularizers
from agent.perception.normalizer import Normalizer
from agent.world_model.dynamics import WorldModel

BINS, LIMIT = 21, 10.0
LOGARITHMIC = TwoHot(BINS, LIMIT, logarithmic=True)


def two_hot_code(values: np.ndarray) -> np.ndarray:
    """The code by its definition: weights of the two nearest bins, the nearer the heavier."""
    centres = np.linspace(-LIMIT, LIMIT, BINS)
    place = np.clip(np.sign(values) * np.log1p(np.abs(values)), -LIMIT, LIMIT)
    width = centres[1] - centres[0]
    return np.clip(1.0 - np.abs(place[:, None] - centres) / width, 0.0, None)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8))
def test_symexp_is_the_inverse_of_symlog(values: list[float]) -> None:
    x = torch.tensor(values, dtype=torch.float64)
    torch.testing.assert_close(symexp(symlog(x)), x, rtol=1e-9, atol=1e-12)
    # The identity on both sides of zero to first order, and never more than the identity.
    assert bool((symlog(x).abs() <= x.abs() * (1 + 1e-12) + 1e-300).all())  # but for rounding


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8), st.integers(0, 2**31))
def test_two_hot_loss_is_cross_entropy_to_the_two_nearest_bins(values: list[float], seed: int) -> None:
    logits = torch.randn(
        len(values), BINS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    target = torch.tensor(values, dtype=torch.float64)
    expected = -(two_hot_code(np.array(values)) * logits.log_softmax(-1).numpy()).sum(1)
    np.testing.assert_allclose(LOGARITHMIC.loss(logits, target), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, 0.37, -123.4, 9_999.0, -2e4])
def test_the_logits_of_least_loss_have_the_target_as_their_value(value: float) -> None:
    head, target = LOGARITHMIC, torch.tensor([value])
    code = torch.from_numpy(two_hot_code(np.array([value]))).float()
    logits = code.clamp_min(1e-30).log().requires_grad_()
    head.loss(logits, target).sum().backward()
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-6  # a stationary point of a convex loss: its minimum
    torch.testing.assert_close(head.value(logits.detach()), target, rtol=1e-4, atol=1e-5)


def test_a_value_beyond_the_bins_is_read_as_the_last_bin() -> None:
    head = LOGARITHMIC
    code = torch.full((1, BINS), -100.0)
    code[0, -1] = 100.0
    edge = symexp(torch.tensor([LIMIT]))
    torch.testing.assert_close(head.value(code), edge)
    assert head.loss(code, torch.tensor([1e9])) == pytest.approx(0.0, abs=1e-6)


def test_a_fresh_head_has_the_value_zero() -> None:
    logits = zero_linear(5, BINS)(torch.randn(3, 2, 5))
    assert LOGARITHMIC.value(logits).abs().max() < 1e-4


@given(st.lists(st.floats(-6.0, 6.0), min_size=1, max_size=8))
def test_evenly_spaced_bins_say_what_lies_between_their_ends(values: list[float]) -> None:
    head, target = TwoHot(11, 5.0, logarithmic=False), torch.tensor(values)
    place = (target.clamp(-5, 5) + 5).double()
    code = torch.zeros(len(values), 11, dtype=torch.float64)
    lower = place.floor().clamp(0, 9).long()
    code.scatter_add_(1, lower[:, None], (1 - (place - lower))[:, None])
    code.scatter_add_(1, lower[:, None] + 1, (place - lower)[:, None])
    logits = code.clamp_min(1e-30).log().float()
    torch.testing.assert_close(head.value(logits), target.clamp(-5, 5), rtol=1e-4, atol=1e-4)
    entropy = -(code * code.clamp_min(1e-30).log()).sum(1).float()
    torch.testing.assert_close(head.loss(logits, target), entropy, rtol=1e-3, atol=1e-4)


@settings(max_examples=40)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.integers(0, 2**31))
def test_statistics_do_not_depend_on_how_rows_are_split(sizes: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(rng.uniform(-50, 50, 3), [0.1, 1.0, 30.0], (sum(sizes), 3)).astype(np.float32)
    ours = Normalizer(3)
    for part in np.split(rows, np.cumsum(sizes)[:-1]):
        ours.update(torch.from_numpy(part))
    count = sum(sizes)
    assert float(ours.count) == count
    if count:
        exact = rows[:count].astype(np.float64)
        np.testing.assert_allclose(ours.mean, exact.mean(0), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(ours.variance, exact.var(0), rtol=1e-6, atol=1e-7)


def test_a_normalised_row_has_mean_zero_deviation_one_and_comes_back() -> None:
    rows = torch.from_numpy(np.random.default_rng(0).normal(3.0, [0.01, 200.0], (500, 2)).astype(np.float32))
    ours = Normalizer(2)
    ours.update(rows)
    normal = ours(rows)
    torch.testing.assert_close(normal.mean(0), torch.zeros(2), rtol=0, atol=1e-3)
    torch.testing.assert_close(normal.std(0, correction=0), torch.ones(2), rtol=1e-3, atol=0)
    torch.testing.assert_close(ours.inverse(normal), rows, rtol=1e-4, atol=1e-3)
    assert ours(torch.full((1, 2), 1e30)).abs().max() == ours.clip


@pytest.mark.parametrize("constant", [0.0, 1.0, -1e6, 0.1])
def test_a_dimension_that_never_varied_stays_finite_when_it_does(constant: float) -> None:
    ours = Normalizer(1)
    for _ in range(3):
        ours.update(torch.full((7, 1), constant))
    assert ours(torch.full((1, 1), constant)).item() == pytest.approx(0.0, abs=0.1)
    moved = ours(torch.full((1, 1), constant + 1.0))
    assert moved.item() == pytest.approx(1.0, abs=0.1)


def test_loaded_statistics_normalise_as_the_saved_ones() -> None:
    saved, loaded = Normalizer(2), Normalizer(2)
    saved.update(torch.randn(50, 2) * 4 + 1)
    loaded.load_state_dict(saved.state_dict())
    loaded.refresh()
    row = torch.randn(3, 2)
    assert torch.equal(saved(row), loaded(row))


@pytest.mark.parametrize("heads", [2, 5])
def test_what_is_expected_next_is_where_the_whole_prediction_goes_on_from(heads: int) -> None:
    torch.manual_seed(0)
    model = WorldModel(16, 3, 32, 24, heads, 11, regularizers.make("simnorm"))
    z, action = torch.rand(7, 16), torch.rand(7, 3)
    assert torch.equal(model.expect(z, action), model.predict(z, action).z)

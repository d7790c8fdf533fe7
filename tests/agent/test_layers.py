"""Two-hot scalars: the value is the expectation, the loss is the cross-entropy of the two-hot code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agent.layers import TwoHot, symexp, symlog, zero_linear

BINS, LIMIT = 21, 10.0
LOGARITHMIC = TwoHot(BINS, LIMIT, logarithmic=True)


def two_hot_code(values: np.ndarray) -> np.ndarray:
    """The code by its definition: weights of the two nearest bins, linear in the distance."""
    centres = np.linspace(-LIMIT, LIMIT, BINS)
    place = np.clip(np.sign(values) * np.log1p(np.abs(values)), -LIMIT, LIMIT)
    width = centres[1] - centres[0]
    return np.clip(1.0 - np.abs(place[:, None] - centres) / width, 0.0, None)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8))
def test_symexp_is_the_inverse_of_symlog(values: list[float]) -> None:
    x = torch.tensor(values, dtype=torch.float64)
    torch.testing.assert_close(symexp(symlog(x)), x, rtol=1e-9, atol=1e-12)
    # Symlog never exceeds the identity, but for rounding.
    assert bool((symlog(x).abs() <= x.abs() * (1 + 1e-12) + 1e-300).all())


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


def test_a_value_beyond_the_bins_is_that_of_the_last_bin() -> None:
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
def test_evenly_spaced_bins_represent_values_within_their_range(values: list[float]) -> None:
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

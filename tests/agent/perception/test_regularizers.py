"""Regularisers against plain numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agent.perception.regularizers import Contrast, SIGReg, SimNorm, VICReg, make, simplicial_norm


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=30)
@given(st.integers(1, 5), st.integers(2, 9), st.integers(1, 6), st.floats(0.01, 100.0))
def test_simnorm_makes_every_group_a_point_of_a_simplex(
    rows: int, group: int, count: int, scale: float
) -> None:
    raw = scale * normal(2, rows, group * count)
    z = simplicial_norm(raw, group)
    assert z.shape == raw.shape
    assert bool((z >= 0).all())
    members = z.unflatten(-1, (group, count))  # the members of a group are `count` entries apart
    torch.testing.assert_close(members.sum(-2), torch.ones(2, rows, count))
    # Adding a constant to a group changes nothing.
    shifted = simplicial_norm(raw + normal(count, seed=1).repeat(group), group)
    torch.testing.assert_close(shifted, z, rtol=1e-3, atol=1e-4)


def test_vicreg_is_its_hinge_and_covariance() -> None:
    rows = (normal(50, 6) * torch.tensor([0.1, 0.5, 1.0, 2.0, 0.0, 1.5])) @ (torch.eye(6) + 0.3)
    z = rows.double().numpy()
    covariance = np.cov(z, rowvar=False)
    hinge = np.maximum(0, 1 - np.sqrt(np.var(z, 0, ddof=1) + 1e-4)).mean()
    off = (covariance**2).sum() - (np.diag(covariance) ** 2).sum()
    expected = hinge + VICReg().covariance_weight * off / 6
    assert VICReg().loss(rows).item() == pytest.approx(expected, rel=1e-4)


def test_vicreg_widens_a_narrow_dimension_and_leaves_a_wide_one() -> None:
    z = (normal(200, 2) * torch.tensor([0.2, 3.0])).requires_grad_()
    VICReg(covariance_weight=0.0).loss(z).backward()
    assert z.grad is not None
    outwards = (z.grad * (z - z.mean(0)).detach()).sum(0)
    assert outwards[0] < -1e-3  # descent moves away from the mean
    assert outwards[1] == 0.0


def test_sigreg_is_small_for_a_gaussian_and_large_for_other_distributions() -> None:
    torch.manual_seed(0)
    loss = SIGReg().loss
    gaussian = np.mean([loss(normal(500, 16, seed=k)).item() for k in range(5)])
    # For N(0, 1) samples the expected statistic is 1/rows of the weight's integral, whatever the rows.
    assert gaussian < 0.03
    wrong = {
        "a point": torch.zeros(500, 16),
        "another point": torch.full((500, 16), 2.0),
        "narrow": 0.3 * normal(500, 16),
        "wide": 3.0 * normal(500, 16),
        "one direction": normal(500, 1) * torch.ones(1, 16),
        "shifted": normal(500, 16) + 1.0,
    }
    assert {name for name, z in wrong.items() if loss(z).item() < 5 * gaussian} == set()
    assert loss(wrong["a point"]).item() > 30 * gaussian


def test_sigreg_of_a_point_is_the_integral_in_closed_form() -> None:
    # At the origin the characteristic function is 1: twice the integral of (1 - g)^2 g with g = exp(-t^2/2).
    exact = math.sqrt(2 * math.pi) * (1 - 2 / math.sqrt(2) + 1 / math.sqrt(3))
    assert SIGReg(knots=200).loss(torch.zeros(100, 4)).item() == pytest.approx(exact, rel=0.02)


@pytest.mark.slow
def test_descent_of_a_penalty_undoes_a_collapse() -> None:
    for kind in ("vicreg", "sigreg"):
        torch.manual_seed(1)
        z = (0.01 * normal(256, 8)).requires_grad_()
        optimizer = torch.optim.Adam([z], 0.03)
        for _ in range(150):
            optimizer.zero_grad()
            make(kind).loss(z).backward()
            optimizer.step()
        assert 0.6 < z.std(0).mean().item() < 1.5, kind


def test_contrast_is_the_cross_entropy_of_which_latent_followed() -> None:
    predicted, following = 0.3 * normal(2, 5, 3), 0.3 * normal(2, 5, 3, seed=1)
    valid = torch.tensor([[True] * 5, [True, False, True, True, False]])
    losses = []
    for step in range(2):
        candidates = [k for k in range(5) if valid[step, k]]
        for k in candidates:
            squares = [(predicted[step, k] - following[step, j]).square().sum().item() for j in candidates]
            odds = np.exp(-np.array(squares) / 0.2)
            losses.append(-math.log(odds[candidates.index(k)] / odds.sum()))
    found = Contrast(temperature=0.2).contrast(predicted, following, valid)
    assert found.item() == pytest.approx(np.mean(losses), rel=1e-4)


def test_contrast_draws_what_followed_near_and_pushes_the_others_away() -> None:
    predicted = torch.zeros(1, 3, 2)
    following = torch.tensor([[[0.1, 0.0], [0.0, 0.1], [-0.1, 0.0]]]).requires_grad_()
    Contrast().contrast(predicted, following, torch.tensor([[True, True, False]])).backward()
    assert following.grad is not None
    # Each of the two is drawn to its own prediction and pushed from that of the other, which is at the same place.
    torch.testing.assert_close(following.grad, torch.zeros(1, 3, 2), atol=1e-6, rtol=0.0)
    assert Contrast().contrast(following, following, torch.ones(1, 3, dtype=torch.bool)) < math.log(3)


def test_only_ema_has_a_moving_target_and_unknown_kinds_are_refused() -> None:
    kinds = ("simnorm", "ema", "vicreg", "sigreg", "contrast", "sensors", "none")
    assert [kind for kind in kinds if make(kind).ema_target] == ["ema"]
    with pytest.raises(ValueError, match="simnorm, ema, vicreg, sigreg, contrast, sensors, none"):
        make("batchnorm")


def test_the_settings_of_a_kind_reach_it() -> None:
    assert make("simnorm", {"group_size": 4}) == SimNorm(group_size=4)
    assert make("sigreg", {"knots": 9, "projections": 3}) == SIGReg(projections=3, knots=9)
    assert make("vicreg") == VICReg()

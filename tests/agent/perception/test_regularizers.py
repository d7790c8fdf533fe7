"""What keeps latents apart, against plain numpy, and the monitor that tells when it did not."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agent.perception.collapse import latent_health
from agent.perception.regularizers import SIGReg, VICReg, make, simplicial_norm


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
    members = z.unflatten(-1, (group, count))  # a group is a column: its members are `count` apart
    torch.testing.assert_close(members.sum(-2), torch.ones(2, rows, count))
    # Adding a constant to a group changes nothing; so no group can drift off.
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


def test_vicreg_pushes_a_narrow_dimension_apart_and_leaves_a_wide_one() -> None:
    z = (normal(200, 2) * torch.tensor([0.2, 3.0])).requires_grad_()
    VICReg(covariance_weight=0.0).loss(z).backward()
    assert z.grad is not None
    outwards = (z.grad * (z - z.mean(0)).detach()).sum(0)
    assert outwards[0] < -1e-3  # down the gradient is away from the mean
    assert outwards[1] == 0.0


def test_sigreg_tells_a_gaussian_from_what_has_collapsed_or_is_stretched() -> None:
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


def test_descending_a_penalty_undoes_a_collapse() -> None:
    for kind in ("vicreg", "sigreg"):
        torch.manual_seed(1)
        z = (0.01 * normal(256, 8)).requires_grad_()
        optimizer = torch.optim.Adam([z], 0.03)
        for _ in range(150):
            optimizer.zero_grad()
            make(kind).loss(z).backward()
            optimizer.step()
        assert 0.6 < z.std(0).mean().item() < 1.5, kind


def test_only_ema_has_a_moving_target_and_unknown_names_are_refused() -> None:
    kinds = ("simnorm", "ema", "vicreg", "sigreg", "none")
    assert [kind for kind in kinds if make(kind).ema_target] == ["ema"]
    with pytest.raises(ValueError, match="simnorm, ema, vicreg, sigreg, none"):
        make("batchnorm")


ROWS, LATENT = 128, 32

COLLAPSED: dict[str, Callable[[int], tuple[Tensor, Tensor]]] = {
    # (targets, their predictions)
    "one point": lambda s: (torch.ones(ROWS, LATENT),) * 2,
    "the origin": lambda s: (torch.zeros(ROWS, LATENT),) * 2,
    "rounding about a point": lambda s: (1 + 1e-6 * normal(ROWS, LATENT, seed=s),) * 2,
    "a simplex's centre": lambda s: (simplicial_norm(1e-4 * normal(ROWS, LATENT, seed=s), 8),) * 2,
    "a simplex's corner": lambda s: (
        (simplicial_norm(50 * normal(1, LATENT, seed=s).expand(ROWS, -1), 8),) * 2
    ),
    "one dimension left": lambda s: (normal(ROWS, LATENT, seed=s) * torch.eye(LATENT)[0],) * 2,
    "one direction, unpredicted": lambda s: (
        normal(ROWS, 1, seed=s) * normal(1, LATENT, seed=9),
        torch.zeros(ROWS, LATENT),
    ),
    "one direction, predicted wrongly": lambda s: (
        normal(ROWS, 1, seed=s) * torch.ones(1, LATENT),
        normal(ROWS, LATENT, seed=s + 50),
    ),
    "not a number": lambda s: (torch.full((ROWS, LATENT), torch.nan),) * 2,
    "tiny in every direction": lambda s: (1e-5 * normal(ROWS, LATENT, seed=s),) * 2,
}

HEALTHY: dict[str, Callable[[int], tuple[Tensor, Tensor]]] = {
    "gaussian": lambda s: (normal(ROWS, LATENT, seed=s),) * 2,
    "gaussian, not yet predicted": lambda s: (normal(ROWS, LATENT, seed=s), torch.zeros(ROWS, LATENT)),
    "wide": lambda s: (100 * normal(ROWS, LATENT, seed=s),) * 2,
    "small": lambda s: (0.01 * normal(ROWS, LATENT, seed=s),) * 2,
    "simplices": lambda s: (simplicial_norm(normal(ROWS, LATENT, seed=s), 8),) * 2,
    "sharp simplices": lambda s: (simplicial_norm(20 * normal(ROWS, LATENT, seed=s), 8),) * 2,
    "an untrained simplex": lambda s: (simplicial_norm(0.1 * normal(ROWS, LATENT, seed=s), 8),) * 2,
    "four directions": lambda s: (normal(ROWS, 4, seed=s) @ normal(4, LATENT, seed=9),) * 2,
    "half of the dimensions": lambda s: (normal(ROWS, LATENT, seed=s) * (torch.arange(LATENT) % 2),) * 2,
    "one direction, well predicted": lambda s: (normal(ROWS, 1, seed=s) * torch.ones(1, LATENT),) * 2,
}


@pytest.mark.parametrize("kind", COLLAPSED)
def test_the_monitor_alarms_when_latents_have_collapsed(kind: str) -> None:
    assert all(latent_health(*COLLAPSED[kind](seed)).collapsed() for seed in range(10))


@pytest.mark.parametrize("kind", HEALTHY)
def test_the_monitor_is_quiet_when_they_are_healthy(kind: str) -> None:
    assert not any(latent_health(*HEALTHY[kind](seed)).collapsed() for seed in range(10))


def test_the_monitor_measures_what_it_says() -> None:
    z = torch.cat([normal(4000, 3), torch.zeros(4000, 1)], 1)
    health = latent_health(z, z + 0.5)
    assert health.std == pytest.approx(0.75, abs=0.03)
    assert health.dead == 0.25
    assert health.rank == pytest.approx(3.0, abs=0.01)
    assert health.relative_error == pytest.approx(0.25 / 0.75, rel=0.05)
    assert latent_health(z, z.mean(0).expand_as(z)).relative_error == pytest.approx(1.0, abs=1e-4)

"""The collapse monitor: it alarms on collapsed latents, not on healthy ones, and measures what it says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from agent.perception.collapse import latent_health
from agent.perception.regularizers import simplicial_norm


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


ROWS, LATENT = 128, 32

Pair = tuple[Tensor, Tensor]
"""Targets and their predictions."""
COLLAPSED: dict[str, Callable[[int], Pair]] = {
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

HEALTHY: dict[str, Callable[[int], Pair]] = {
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
def test_the_monitor_does_not_alarm_when_latents_are_healthy(kind: str) -> None:
    assert not any(latent_health(*HEALTHY[kind](seed)).collapsed() for seed in range(10))


def test_the_monitor_measures_deviation_rank_and_error() -> None:
    z = torch.cat([normal(4000, 3), torch.zeros(4000, 1)], 1)
    health = latent_health(z, z + 0.5)
    assert health.std == pytest.approx(0.75, abs=0.03)
    assert health.dead == 0.25
    assert health.rank == pytest.approx(3.0, abs=0.01)
    assert health.relative_error == pytest.approx(0.25 / 0.75, rel=0.05)
    assert latent_health(z, z.mean(0).expand_as(z)).relative_error == pytest.approx(1.0, abs=1e-4)


def test_a_latent_that_shrank_to_noise_has_collapsed() -> None:
    z = 0.05 * normal(ROWS, LATENT)
    assert latent_health(z, normal(ROWS, LATENT, seed=1)).collapsed(first_std=1.0)
    assert not latent_health(z, z).collapsed(first_std=1.0)  # it is small, and predicted

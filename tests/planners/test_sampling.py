"""The Gaussian planners: how near they come to an optimum, how they weigh elites, and their noise."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from planning_problems import Regulators, many_minima, seeded
from torch import Tensor

import planners
from planners import Plan
from planners.icem import coloured
from planners.mppi import MPPI, MPPISettings

GAUSSIAN = ["cem", "icem", "mppi"]


@pytest.mark.parametrize("kind", GAUSSIAN)
def test_within_five_percent_of_the_optimum_of_easy_systems(kind: str) -> None:
    systems = Regulators.random(10, state=2, act=1, horizon=3, radius=0.9)
    energy, best, side = systems.energy(torch.float32), systems.optimum(), torch.full((1,), 2.0)
    planner = planners.make(
        kind, horizon=3, low=-side, high=side, batch=10, samples=256, iterations=8, std_min=0.01
    )
    plan = planner.plan(energy, generator=seeded(0))
    assert (plan.energy / best - 1).max() <= 0.05
    assert (energy(torch.zeros(10, 1, 3, 1))[:, 0] / best - 1).median() > 0.05, "zero actions must not pass"


@pytest.mark.parametrize("kind", [*GAUSSIAN, "gradient"])
def test_first_mean_and_std_are_those_of_the_warm_start(kind: str) -> None:
    evaluated: list[Tensor] = []

    def energy(actions: Tensor) -> Tensor:
        evaluated.append(actions.detach().clone())
        return many_minima(actions)

    planner = planners.make(
        kind, horizon=2, low=-2 * torch.ones(2), high=2 * torch.ones(2), batch=2, samples=400, elites=4
    )
    mean = torch.tensor([[[0.5, -0.5], [1.0, 0.0]], [[-1.0, 0.2], [0.0, 0.0]]])
    std = torch.tensor([0.1, 0.2]).expand(2, 2, 2)

    best = mean + 0.3  # the best candidate of a plan is not its mean
    planner.plan(energy, warm_start=Plan(best, torch.zeros(2), mean=mean, std=std), generator=seeded(0))
    torch.testing.assert_close(evaluated[0].std(1), std, rtol=0.15, atol=0)
    torch.testing.assert_close(evaluated[0].mean(1), mean, rtol=0, atol=0.05)

    evaluated.clear()
    wide = Plan(mean, torch.zeros(2), mean=mean, std=1e3 * std)
    planner.plan(energy, warm_start=wide, generator=seeded(0))
    drawn = evaluated[0].std(1)
    assert (drawn < 2.0).all(), "no wider than the planner's own std_max"
    assert (drawn > 0.3).all()


@pytest.mark.parametrize("kind", GAUSSIAN)
def test_number_of_evaluations_is_that_of_the_settings(kind: str) -> None:
    sizes = []

    def energy(actions: Tensor) -> Tensor:
        sizes.append(actions.shape[1])
        return many_minima(actions)

    planner = planners.make(
        kind, horizon=3, low=-torch.ones(2), high=torch.ones(2), samples=100, iterations=3, elites=10
    )
    planner.plan(energy, proposals=torch.zeros(1, 24, 3, 2))
    assert sizes == ([100, 80, 64] if kind == "icem" else [100, 100, 100])


def test_mppi_weighs_elites_as_tdmpc2_does() -> None:
    energies = torch.tensor([[1.0, 1.5, 4.0, math.inf]])
    planner = MPPI(MPPISettings(temperature=0.5), 1, -torch.ones(1), torch.ones(1))
    expected = np.exp(-0.5 * (energies.numpy() - 1.0))
    np.testing.assert_allclose(planner.weights(energies), expected / expected.sum(), rtol=1e-6)


def test_relative_mppi_weights_do_not_depend_on_the_scale_of_the_cost() -> None:
    energies = torch.tensor([[1.0, 1.5, 4.0, math.inf]])
    relative = MPPI(MPPISettings(temperature=0.5, relative=True), 1, -torch.ones(1), torch.ones(1))
    scaled = [relative.weights(energies * scale) for scale in (1e-6, 1.0, 1e6)]
    torch.testing.assert_close(scaled[0], scaled[1])
    torch.testing.assert_close(scaled[2], scaled[1])
    greedy = MPPI(MPPISettings(temperature=1e9, relative=True), 1, -torch.ones(1), torch.ones(1))
    torch.testing.assert_close(greedy.weights(torch.full((1, 4), -1e30)), torch.full((1, 4), 0.25))


@pytest.mark.parametrize("horizon", [1, 2, 7, 256])
def test_coloured_noise_has_unit_variance_and_its_exponent(horizon: int) -> None:
    white = coloured(horizon, 0.0, torch.float64, torch.device("cpu"))
    torch.testing.assert_close(white @ white.T, torch.eye(horizon, dtype=torch.float64))
    for exponent in (0.25, 2.0):
        matrix = coloured(horizon, exponent, torch.float64, torch.device("cpu"))
        torch.testing.assert_close(matrix.square().sum(1), torch.ones(horizon, dtype=torch.float64))
        if horizon > 100:
            power = torch.fft.rfft(matrix, dim=0).abs().square().sum(1)[1:-1].log()
            frequency = torch.arange(1, len(power) + 1).log().double()
            slope = np.polyfit(frequency, power, 1)[0]
            assert slope == pytest.approx(-exponent, abs=1e-6)


def test_the_noise_of_icem_is_correlated_along_the_horizon_and_in_no_other_way() -> None:
    side = torch.ones(2)
    planner: Any = planners.make("icem", horizon=6, low=-side, high=side, samples=20_000, colour=2.0)
    first = planner.draws(seeded(0))[0].flatten(1)  # [samples, horizon * act]
    correlation = torch.corrcoef(first.T).view(6, 2, 6, 2)
    torch.testing.assert_close(first.std(0), torch.ones(12), rtol=0.05, atol=0)
    for act in (0, 1):
        neighbours = correlation[:, act, :, act].diagonal(1)
        assert neighbours.min() > 0.4
        torch.testing.assert_close(neighbours, neighbours[:1].expand(5), rtol=0.1, atol=0)
    assert correlation[:, 0, :, 1].abs().max() < 0.05


@pytest.mark.parametrize(("kind", "kept"), [("cem", 1), ("icem", 3), ("mppi", 10)])
def test_so_many_elites_compete_with_the_candidates_of_the_next_iteration(kind: str, kept: int) -> None:
    evaluations: list[int] = []

    def energy(actions: Tensor) -> Tensor:
        evaluations.append(1)
        return many_minima(actions) + (1e3 if len(evaluations) > 1 else 0.0)

    settings: dict[str, Any] = {"samples": 50, "iterations": 3, "elites": 10} | (
        {"kept": 0.3} if kind == "icem" else {}
    )
    plan = planners.make(kind, horizon=3, low=-1.0, high=1.0, **settings).plan(energy, generator=seeded(0))
    assert plan.elite_energy is not None
    assert int((plan.elite_energy < 500.0).sum()) == kept

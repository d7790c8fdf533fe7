"""The gradient planner against closed forms."""

import numpy as np
import pytest
import torch
from planning_problems import Regulators, many_minima, seeded
from scipy.optimize import lsq_linear
from torch import Tensor

import planners
from planners import PlanError
from planners.gradient import energy_and_gradient


@pytest.mark.parametrize(("dtype", "gap"), [(torch.float64, 1e-6), (torch.float32, 1e-3)])
def test_optimum_of_twenty_linear_systems(dtype: torch.dtype, gap: float) -> None:
    systems = Regulators.random(20, state=4, act=2, horizon=10, radius=1.05)
    side = torch.full((2,), 20.0, dtype=dtype)
    planner = planners.make(
        "gradient", horizon=10, low=-side, high=side, batch=20, iterations=150, memory=20, elites=1
    )
    plan = planner.plan(systems.energy(dtype), generator=seeded(0))
    best = systems.optimum()
    assert plan.actions.abs().max() < 20, "the optimum must lie inside the box"
    assert ((plan.energy - best).abs() / best).max() <= gap


def test_constrained_optimum_on_the_bounds_of_the_box() -> None:
    rng, rows, numbers = np.random.default_rng(3), 8, 12
    matrix, target = rng.normal(size=(rows, 20, numbers)), 3 * rng.normal(size=(rows, 20))
    low, high = -torch.tensor([0.2, 0.5, 0.3]).double(), torch.tensor([0.4, 0.1, 0.6]).double()

    def energy(actions: Tensor) -> Tensor:
        fit = torch.einsum("brk,bsk->bsr", torch.from_numpy(matrix), actions.flatten(2))
        return (fit - torch.from_numpy(target)[:, None]).square().sum(2)

    planner = planners.make("gradient", horizon=4, low=low, high=high, batch=rows, iterations=100)
    plan = planner.plan(energy, generator=seeded(0))
    bounds = (np.tile(low, 4), np.tile(high, 4))
    exact = [2 * lsq_linear(matrix[k], target[k], bounds=bounds, tol=1e-13).cost for k in range(rows)]
    active = (plan.actions == low) | (plan.actions == high)
    assert active.double().mean() > 0.2, "some bounds must be active"
    np.testing.assert_allclose(plan.energy, exact, rtol=1e-9)


def test_derivatives_that_are_not_finite() -> None:
    def energy(actions: Tensor) -> Tensor:
        # Infinite slope at the bound where the least energy lies; undefined slope of the norm at zero.
        roots = (actions[..., 0] + 1).sqrt().sum(2)
        return roots + (0 * actions[..., 1]).norm(dim=2) + (actions[..., 2] - 0.5).square().sum(2)

    planner = planners.make("gradient", horizon=2, low=-torch.ones(3), high=torch.ones(3), iterations=30)
    plan = planner.plan(energy, generator=seeded(0))
    assert plan.energy.item() < 1e-6
    assert plan.actions.isfinite().all()


def test_gradient_equals_finite_differences() -> None:
    actions = 2 * torch.rand(2, 3, 4, 2, generator=seeded(1), dtype=torch.float64) - 1
    _, gradient = energy_and_gradient(many_minima, actions)
    step = 1e-5
    for index in np.ndindex(4, 2):
        offset = torch.zeros(4, 2, dtype=torch.float64)
        offset[index] = step
        slope = (many_minima(actions + offset) - many_minima(actions - offset)) / (2 * step)
        assert (slope - gradient[:, :, index[0], index[1]]).abs().max() <= 1e-6


def test_energy_without_gradient_is_refused() -> None:
    planner = planners.make("gradient", horizon=2, low=-1.0, high=1.0)
    with pytest.raises(PlanError, match="differentiable"):
        planner.plan(lambda actions: actions.detach().sum((2, 3)))


@pytest.mark.parametrize("steps", [0, 1, 4])
def test_every_step_of_the_descent_is_one_evaluation_after_the_first_gradient(steps: int) -> None:
    evaluated: list[bool] = []

    def energy(actions: Tensor) -> Tensor:
        evaluated.append(actions.requires_grad)
        return (actions - 0.3).abs().add(1.0).log().sum((2, 3))  # the descent does not end by itself

    planners.make("gradient", horizon=2, low=-1.0, high=1.0, iterations=steps).plan(
        energy, generator=seeded(0)
    )
    assert evaluated == [False, *[True] * (steps + 1 if steps else 0)]

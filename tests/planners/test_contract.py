"""What every planner guarantees."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_problems import many_minima, seeded
from torch import Tensor

import planners
from planners import Plan, PlanError

KINDS = list(planners.KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_least_energy_never_increases_and_is_that_of_the_plan(kind: str) -> None:
    planner = planners.make(kind, horizon=4, low=-torch.ones(2), high=torch.ones(2), batch=3)
    plan = planner.plan(many_minima, generator=seeded(0))
    assert isinstance(planner, planners.Planner)
    assert plan.trace is not None
    assert plan.elites is not None
    assert (plan.trace.diff(dim=0) <= 0).all()
    torch.testing.assert_close(plan.trace[-1], plan.energy, rtol=0, atol=0)
    torch.testing.assert_close(many_minima(plan.actions[:, None])[:, 0], plan.energy)
    torch.testing.assert_close(many_minima(plan.elites), plan.elite_energy)


@pytest.mark.parametrize("kind", KINDS)
def test_every_candidate_is_inside_the_box(kind: str) -> None:
    low, high = torch.tensor([-1.0, 2.0, -0.3]), torch.tensor([-0.5, 5.0, 0.1])
    evaluated = []

    def energy(actions: Tensor) -> Tensor:
        evaluated.append(actions.detach().clone())
        return -actions.sum((2, 3))

    planner = planners.make(kind, horizon=3, low=low, high=high)
    outside = Plan(actions=torch.full((1, 3, 3), 100.0), energy=torch.zeros(1))
    plan = planner.plan(energy, warm_start=outside, proposals=torch.full((1, 2, 3, 3), -math.inf))
    assert plan.elites is not None
    for sequences in (*evaluated, plan.actions, plan.elites):
        assert ((sequences >= low) & (sequences <= high)).all()
    torch.testing.assert_close(plan.actions, high.expand(1, 3, 3))


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    value=st.sampled_from([math.nan, math.inf, -math.inf]),
    share=st.floats(0.0, 1.0),
    seed=st.integers(0, 2**31),
)
def test_a_candidate_of_non_finite_energy_is_never_chosen(
    kind: str, value: float, share: float, seed: int
) -> None:
    def non_finite(actions: Tensor) -> Tensor:
        # Without pattern over the box, so that the planner cannot learn to avoid them.
        return (1e4 * actions.sum((2, 3))).sin() < 2 * share - 1

    def energy(actions: Tensor) -> Tensor:
        return torch.where(non_finite(actions), value, many_minima(actions))

    side = torch.ones(2, dtype=torch.float64)
    planner = planners.make(kind, horizon=2, low=-side, high=side, batch=2, samples=24, elites=8)
    try:
        plan = planner.plan(energy, generator=seeded(seed))
    except PlanError:
        assert share > 0.5, "not all of 24 candidates are non-finite when few are"
        return
    assert plan.energy.isfinite().all()
    assert not non_finite(plan.actions[:, None]).any()
    torch.testing.assert_close(many_minima(plan.actions[:, None])[:, 0], plan.energy)
    assert plan.mean is None or plan.mean.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_no_finite_candidate_is_an_error_that_names_the_environment(kind: str) -> None:
    def energy(actions: Tensor) -> Tensor:
        return actions.sum((2, 3)) * torch.tensor([[1.0], [math.nan], [1.0]])

    planner = planners.make(kind, horizon=2, low=-torch.ones(1), high=torch.ones(1), batch=3)
    with pytest.raises(PlanError, match=r"environments \[1\] of 3"):
        planner.plan(energy)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_plans_equals_separate_plans(kind: str) -> None:
    low, high = -torch.tensor([1.0, 2.0]).double(), torch.tensor([1.0, 3.0]).double()
    proposals = torch.randn(3, 4, 5, 2, generator=seeded(5), dtype=torch.float64)
    targets = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)

    def energy_to(target: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda actions: (
            (actions - target[:, None, None, None]).square().sum((2, 3)).sin() + target[:, None]
        )

    def plan_twice(batch: int, target: Tensor, proposed: Tensor) -> Plan:
        planner = planners.make(kind, horizon=5, low=low, high=high, batch=batch)
        first = planner.plan(energy_to(target), proposals=proposed, generator=seeded(0))
        return planner.plan(energy_to(target), warm_start=first.shifted(), generator=seeded(1))

    together = plan_twice(3, targets, proposals)
    for row in range(3):
        alone = plan_twice(1, targets[row : row + 1], proposals[row : row + 1])
        torch.testing.assert_close(together.actions[row], alone.actions[0], rtol=0, atol=1e-9)
        torch.testing.assert_close(together.energy[row], alone.energy[0], rtol=0, atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 2**31), count=st.integers(0, 12))
def test_the_plan_is_no_worse_than_its_warm_start_and_proposals(kind: str, seed: int, count: int) -> None:
    side, generator = torch.ones(2), seeded(seed)
    iterations = {} if kind == "random_shooting" else {"iterations": 1}
    planner = planners.make(kind, horizon=2, low=-side, high=side, batch=2, samples=6, elites=2, **iterations)
    proposals = torch.randn(2, count, 2, 2, generator=generator)
    warm_start = Plan(actions=torch.randn(2, 2, 2, generator=generator), energy=torch.zeros(2))
    plan = planner.plan(many_minima, warm_start=warm_start, proposals=proposals, generator=generator)
    given_candidates = torch.cat([warm_start.actions[:, None], proposals], dim=1).clamp(-1, 1)
    assert (plan.energy[:, None] <= many_minima(given_candidates) + 1e-5).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_determines_the_plan(kind: str) -> None:
    planner = planners.make(kind, horizon=3, low=-torch.ones(2), high=torch.ones(2))
    first, again, other = (planner.plan(many_minima, generator=seeded(seed)) for seed in (4, 4, 5))
    assert torch.equal(first.actions, again.actions)
    assert torch.equal(first.sample(0.0, seeded(0)), again.sample(0.0, seeded(0)))
    assert not torch.equal(first.sample(0.0, seeded(0)), other.sample(0.0, seeded(0)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_plan_has_the_dtype_of_the_box_whatever_that_of_the_energy(kind: str, dtype: torch.dtype) -> None:
    planner = planners.make(kind, horizon=3, low=-torch.ones(2, dtype=dtype), high=torch.ones(2, dtype=dtype))
    plan = planner.plan(lambda actions: many_minima(actions).bfloat16(), generator=seeded(0))
    assert plan.actions.dtype == plan.energy.dtype == dtype
    assert not plan.actions.requires_grad


def test_energies_and_proposals_of_a_wrong_shape_are_refused() -> None:
    with pytest.raises(PlanError, match=r"returned shape \(1,\), expected \(1, 64\)"):
        planners.make("mppi", horizon=2, low=-1.0, high=1.0).plan(lambda actions: actions.sum((1, 2, 3)))
    with pytest.raises(PlanError, match="proposals"):
        planners.make("cem", horizon=2, low=-1.0, high=1.0).plan(
            many_minima, proposals=torch.zeros(1, 1, 3, 1)
        )

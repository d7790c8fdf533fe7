"""A search that is asked to end early: what it has found by then, and that asking changes nothing else."""

from collections.abc import Callable, Iterator

import pytest
import torch
from planning_problems import many_minima, seeded
from torch import Tensor

import planners
from planners import Plan, Planner

KINDS = list(planners.KINDS)
ITERATING = [kind for kind in KINDS if kind != "random_shooting"]


def planner_of(kind: str) -> Planner:
    return planners.make(kind, horizon=4, low=-torch.ones(2), high=torch.ones(2), batch=3)


def yes(times: int) -> Callable[[], bool]:
    """Answers yes so many times, then no."""
    answers: Iterator[bool] = iter([True] * times + [False])
    return lambda: next(answers)


def assert_equal(one: Plan, other: Plan) -> None:
    for name, value in vars(one).items():
        assert (
            torch.equal(value, vars(other)[name]) if isinstance(value, Tensor) else vars(other)[name] is None
        )


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_that_may_go_on_is_the_whole_search_bit_for_bit(kind: str) -> None:
    plain = planner_of(kind).plan(many_minima, generator=seeded(0))
    assert_equal(planner_of(kind).plan(many_minima, generator=seeded(0), proceed=lambda: True), plain)


@pytest.mark.parametrize("kind", ITERATING)
@pytest.mark.parametrize("times", [0, 1, 2])
def test_a_search_that_ends_early_has_made_the_first_iterations(kind: str, times: int) -> None:
    evaluations: list[int] = []

    def energy(actions: Tensor) -> Tensor:
        evaluations.append(actions.shape[1])
        return many_minima(actions)

    whole = planner_of(kind).plan(many_minima, generator=seeded(0))
    early = planner_of(kind).plan(energy, generator=seeded(0), proceed=yes(times))
    assert len(evaluations) == 1 + times
    assert whole.trace is not None
    assert early.trace is not None
    # The first gradient of the descent evaluates the candidates that it starts from, and improves nothing.
    expected = 1 + max(times - 1, 0) if kind == "gradient" else 1 + times
    assert len(early.trace) == expected
    assert torch.equal(early.trace, whole.trace[:expected])
    assert torch.equal(early.trace[-1], early.energy)
    torch.testing.assert_close(many_minima(early.actions[:, None])[:, 0], early.energy)


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_of_one_iteration_is_no_worse_than_its_warm_start_and_proposals(kind: str) -> None:
    generator = seeded(3)
    proposals = torch.rand(3, 5, 4, 2, generator=generator) * 2 - 1
    warm_start = Plan(actions=torch.rand(3, 4, 2, generator=generator) * 2 - 1, energy=torch.zeros(3))
    plan = planner_of(kind).plan(
        many_minima, warm_start=warm_start, proposals=proposals, generator=generator, proceed=yes(0)
    )
    offered = torch.cat([warm_start.actions[:, None], proposals], dim=1)
    assert (plan.energy[:, None] <= many_minima(offered) + 1e-5).all()


def test_what_is_one_iteration_asks_nobody() -> None:
    def refuse() -> bool:
        raise AssertionError

    planner_of("random_shooting").plan(many_minima, proceed=refuse)
    one = planners.make("mppi", horizon=4, low=-1.0, high=1.0, iterations=1)
    one.plan(many_minima, proceed=refuse)

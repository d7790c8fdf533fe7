"""Planners against closed forms, and the promises that every planner makes."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear
from torch import Tensor

import planners
from planners import Plan, PlanError, SettingError
from planners.gradient import energy_and_gradient
from planners.icem import coloured
from planners.mppi import MPPI, MPPISettings

KINDS = list(planners.KINDS)
GAUSSIAN = ["cem", "icem", "mppi"]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@dataclass
class Regulators:
    """Random linear systems x' = A x + B u with quadratic cost, one per row of a batch."""

    transition: Tensor
    control: Tensor
    state_cost: Tensor
    control_cost: Tensor
    start: Tensor
    horizon: int

    @staticmethod
    def random(count: int, state: int, act: int, horizon: int, radius: float) -> "Regulators":
        source = seeded(7)

        def normal(*shape: int) -> Tensor:
            return torch.randn(count, *shape, generator=source, dtype=torch.float64)

        transition = normal(state, state)
        largest = torch.linalg.eigvals(transition).abs().amax(dim=1)

        def definite(size: int) -> Tensor:
            root = normal(size, size)
            return root @ root.mT / size + 0.1 * torch.eye(size, dtype=torch.float64)

        return Regulators(
            transition=transition * (radius / largest)[:, None, None],
            control=normal(state, act),
            state_cost=definite(state),
            control_cost=definite(act),
            start=normal(state),
            horizon=horizon,
        )

    def optimum(self) -> Tensor:
        """Least cost from the start, by the backward Riccati recursion."""
        a, b, r = self.transition, self.control, self.control_cost
        p = self.state_cost
        for _ in range(self.horizon):
            gain = torch.linalg.solve(r + b.mT @ p @ b, b.mT @ p @ a)
            p = self.state_cost + a.mT @ p @ (a - b @ gain)
        return torch.einsum("bi,bij,bj->b", self.start, p, self.start)

    def energy(self, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
        a, b, q, r = (
            m.to(dtype) for m in (self.transition, self.control, self.state_cost, self.control_cost)
        )
        start = self.start.to(dtype).unsqueeze(1)

        def energy(actions: Tensor) -> Tensor:
            state = start.expand(-1, actions.shape[1], -1)
            total = ((state @ q) * state).sum(-1)
            for step in range(self.horizon):
                action = actions[:, :, step]
                state = state @ a.mT + action @ b.mT
                total = total + ((state @ q) * state).sum(-1) + ((action @ r) * action).sum(-1)
            return total

        return energy


def rugged(actions: Tensor) -> Tensor:
    """A smooth energy with many minima, different in every row of the batch."""
    row = torch.arange(actions.shape[0], dtype=actions.dtype)[:, None, None, None]
    return ((actions - 0.3 - 0.1 * row).square() + 0.3 * (7 * actions + row).sin()).sum((2, 3))


@pytest.mark.parametrize(("dtype", "gap"), [(torch.float64, 1e-6), (torch.float32, 1e-3)])
def test_gradient_reaches_the_riccati_optimum_on_twenty_systems(dtype: torch.dtype, gap: float) -> None:
    systems = Regulators.random(20, state=4, act=2, horizon=10, radius=1.05)
    side = torch.full((2,), 20.0, dtype=dtype)
    planner = planners.make(
        "gradient", horizon=10, low=-side, high=side, batch=20, iterations=150, memory=20, elites=1
    )
    plan = planner.plan(systems.energy(dtype), generator=seeded(0))
    best = systems.optimum()
    assert plan.actions.abs().max() < 20, "the optimum of an easy system lies inside the box"
    assert ((plan.energy - best).abs() / best).max() <= gap


def test_gradient_reaches_the_constrained_optimum_on_the_walls_of_the_box() -> None:
    source, rows, numbers = np.random.default_rng(3), 8, 12
    matrix, target = source.normal(size=(rows, 20, numbers)), 3 * source.normal(size=(rows, 20))
    low, high = -torch.tensor([0.2, 0.5, 0.3]).double(), torch.tensor([0.4, 0.1, 0.6]).double()

    def energy(actions: Tensor) -> Tensor:
        fit = torch.einsum("brk,bsk->bsr", torch.from_numpy(matrix), actions.flatten(2))
        return (fit - torch.from_numpy(target)[:, None]).square().sum(2)

    planner = planners.make("gradient", horizon=4, low=low, high=high, batch=rows, iterations=100)
    plan = planner.plan(energy, generator=seeded(0))
    walls = (np.tile(low, 4), np.tile(high, 4))
    exact = [2 * lsq_linear(matrix[k], target[k], bounds=walls, tol=1e-13).cost for k in range(rows)]
    pressed = (plan.actions == low) | (plan.actions == high)
    assert pressed.double().mean() > 0.2, "walls must matter in this test"
    np.testing.assert_allclose(plan.energy, exact, rtol=1e-9)


def test_gradient_planner_survives_derivatives_that_are_not_finite() -> None:
    def energy(actions: Tensor) -> Tensor:
        # Infinite slope on the wall, where the least energy lies; undefined slope of the norm at zero.
        roots = (actions[..., 0] + 1).sqrt().sum(2)
        return roots + (0 * actions[..., 1]).norm(dim=2) + (actions[..., 2] - 0.5).square().sum(2)

    planner = planners.make("gradient", horizon=2, low=-torch.ones(3), high=torch.ones(3), iterations=30)
    plan = planner.plan(energy, generator=seeded(0))
    assert plan.energy.item() < 1e-6
    assert plan.actions.isfinite().all()


def test_gradient_agrees_with_finite_differences() -> None:
    actions = 2 * torch.rand(2, 3, 4, 2, generator=seeded(1), dtype=torch.float64) - 1
    _, gradient = energy_and_gradient(rugged, actions)
    step = 1e-5
    for index in np.ndindex(4, 2):
        nudge = torch.zeros(4, 2, dtype=torch.float64)
        nudge[index] = step
        slope = (rugged(actions + nudge) - rugged(actions - nudge)) / (2 * step)
        assert (slope - gradient[:, :, index[0], index[1]]).abs().max() <= 1e-6


@pytest.mark.parametrize("kind", GAUSSIAN)
def test_sampling_planners_come_within_five_percent_on_easy_systems(kind: str) -> None:
    systems = Regulators.random(10, state=2, act=1, horizon=3, radius=0.9)
    energy, best, side = systems.energy(torch.float32), systems.optimum(), torch.full((1,), 2.0)
    budget = {"samples": 256, "iterations": 8, "std_min": 0.01}
    planner = planners.make(kind, horizon=3, low=-side, high=side, batch=10, **budget)
    plan = planner.plan(energy, generator=seeded(0))
    assert (plan.energy / best - 1).max() <= 0.05
    assert (energy(torch.zeros(10, 1, 3, 1))[:, 0] / best - 1).median() > 0.05, "doing nothing must not pass"


@pytest.mark.parametrize("kind", KINDS)
def test_best_energy_never_increases_and_is_that_of_the_plan(kind: str) -> None:
    planner = planners.make(kind, horizon=4, low=-torch.ones(2), high=torch.ones(2), batch=3)
    plan = planner.plan(rugged, generator=seeded(0))
    assert plan.trace is not None
    assert plan.elites is not None
    assert (plan.trace.diff(dim=0) <= 0).all()
    torch.testing.assert_close(plan.trace[-1], plan.energy, rtol=0, atol=0)
    torch.testing.assert_close(rugged(plan.actions[:, None])[:, 0], plan.energy)
    torch.testing.assert_close(rugged(plan.elites), plan.elite_energy)


@pytest.mark.parametrize("kind", KINDS)
def test_every_candidate_respects_the_box(kind: str) -> None:
    low, high = torch.tensor([-1.0, 2.0, -0.3]), torch.tensor([-0.5, 5.0, 0.1])
    seen = []

    def energy(actions: Tensor) -> Tensor:
        seen.append(actions.detach().clone())
        return -actions.sum((2, 3))

    planner = planners.make(kind, horizon=3, low=low, high=high)
    outside = Plan(actions=torch.full((1, 3, 3), 100.0), energy=torch.zeros(1))
    plan = planner.plan(energy, warm_start=outside, proposals=torch.full((1, 2, 3, 3), -math.inf))
    assert plan.elites is not None
    for sequences in (*seen, plan.actions, plan.elites):
        assert ((sequences >= low) & (sequences <= high)).all()
    torch.testing.assert_close(plan.actions, high.expand(1, 3, 3))


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    poison=st.sampled_from([math.nan, math.inf, -math.inf]),
    share=st.floats(0.0, 1.0),
    seed=st.integers(0, 2**31),
)
def test_a_candidate_of_non_finite_energy_is_never_chosen(
    kind: str, poison: float, share: float, seed: int
) -> None:
    def poisoned(actions: Tensor) -> Tensor:
        # Scattered without pattern over the box, so that the search cannot learn to avoid it.
        return (1e4 * actions.sum((2, 3))).sin() < 2 * share - 1

    def energy(actions: Tensor) -> Tensor:
        return torch.where(poisoned(actions), poison, rugged(actions))

    side = torch.ones(2, dtype=torch.float64)
    planner = planners.make(kind, horizon=2, low=-side, high=side, batch=2, samples=24, elites=8)
    try:
        plan = planner.plan(energy, generator=seeded(seed))
    except PlanError:
        assert share > 0.5, "24 candidates cannot all be poisoned when few are"
        return
    assert plan.energy.isfinite().all()
    assert not poisoned(plan.actions[:, None]).any()
    torch.testing.assert_close(rugged(plan.actions[:, None])[:, 0], plan.energy)
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
    tilt = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)

    def tilted(rows: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda actions: (
            (actions - rows[:, None, None, None]).square().sum((2, 3)).sin() + rows[:, None]
        )

    def twice(batch: int, rows: Tensor, offered: Tensor) -> Plan:
        planner = planners.make(kind, horizon=5, low=low, high=high, batch=batch)
        first = planner.plan(tilted(rows), proposals=offered, generator=seeded(0))
        return planner.plan(tilted(rows), warm_start=first.shifted(), generator=seeded(1))

    together = twice(3, tilt, proposals)
    for row in range(3):
        alone = twice(1, tilt[row : row + 1], proposals[row : row + 1])
        torch.testing.assert_close(together.actions[row], alone.actions[0], rtol=0, atol=1e-9)
        torch.testing.assert_close(together.energy[row], alone.energy[0], rtol=0, atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 2**31), offered=st.integers(0, 12))
def test_neither_warm_start_nor_proposals_beat_the_plan(kind: str, seed: int, offered: int) -> None:
    side, source = torch.ones(2), seeded(seed)
    planner = planners.make(
        kind, horizon=2, low=-side, high=side, batch=2, samples=6, elites=2, **few_iterations(kind)
    )
    proposals = torch.randn(2, offered, 2, 2, generator=source)
    warm = Plan(actions=torch.randn(2, 2, 2, generator=source), energy=torch.zeros(2))
    plan = planner.plan(rugged, warm_start=warm, proposals=proposals, generator=source)
    rivals = torch.cat([warm.actions[:, None], proposals], dim=1).clamp(-1, 1)
    assert (plan.energy[:, None] <= rugged(rivals) + 1e-5).all()


@pytest.mark.parametrize("kind", [*GAUSSIAN, "gradient"])
def test_a_search_begins_where_and_as_wide_as_its_warm_start_says(kind: str) -> None:
    seen: list[Tensor] = []

    def energy(actions: Tensor) -> Tensor:
        seen.append(actions.detach().clone())
        return rugged(actions)

    planner = planners.make(
        kind, horizon=2, low=-2 * torch.ones(2), high=2 * torch.ones(2), batch=2, samples=400, elites=4
    )
    course = torch.tensor([[[0.5, -0.5], [1.0, 0.0]], [[-1.0, 0.2], [0.0, 0.0]]])
    width = torch.tensor([0.1, 0.2]).expand(2, 2, 2)
    for plan, expected in (
        (Plan(course, torch.zeros(2), mean=course, std=width), width),
        (Plan(course, torch.zeros(2), mean=course, std=1e3 * width), None),
    ):
        seen.clear()
        planner.plan(energy, warm_start=plan, generator=seeded(0))
        std = seen[0].std(1)
        if expected is None:  # no wider than the planner's own widest
            assert (std < 2.0).all()
            assert (std > 0.3).all()
        else:
            torch.testing.assert_close(std, expected, rtol=0.15, atol=0)
            torch.testing.assert_close(seen[0].mean(1), course, rtol=0, atol=0.05)


def few_iterations(kind: str) -> dict[str, int]:
    return {} if kind == "random_shooting" else {"iterations": 1}


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides_the_plan(kind: str) -> None:
    planner = planners.make(kind, horizon=3, low=-torch.ones(2), high=torch.ones(2))
    first, again, other = (planner.plan(rugged, generator=seeded(seed)) for seed in (4, 4, 5))
    assert torch.equal(first.actions, again.actions)
    assert torch.equal(first.sample(0.0, seeded(0)), again.sample(0.0, seeded(0)))
    assert not torch.equal(first.sample(0.0, seeded(0)), other.sample(0.0, seeded(0)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_box_decides_dtype_and_energies_may_be_coarser(kind: str, dtype: torch.dtype) -> None:
    planner = planners.make(kind, horizon=3, low=-torch.ones(2, dtype=dtype), high=torch.ones(2, dtype=dtype))
    plan = planner.plan(lambda actions: rugged(actions).bfloat16(), generator=seeded(0))
    assert plan.actions.dtype == plan.energy.dtype == dtype
    assert not plan.actions.requires_grad


@pytest.mark.parametrize("kind", GAUSSIAN)
def test_a_plan_costs_what_its_settings_say(kind: str) -> None:
    sizes = []

    def energy(actions: Tensor) -> Tensor:
        sizes.append(actions.shape[1])
        return rugged(actions)

    planner = planners.make(
        kind, horizon=3, low=-torch.ones(2), high=torch.ones(2), samples=100, iterations=3, elites=10
    )
    planner.plan(energy, proposals=torch.zeros(1, 24, 3, 2))
    assert sizes == ([100, 80, 64] if kind == "icem" else [100, 100, 100])


def test_mppi_weighs_elites_as_tdmpc2_does() -> None:
    energies = torch.tensor([[1.0, 1.5, 4.0, math.inf]])
    planner = MPPI(MPPISettings(temperature=0.5), 1, -torch.ones(1), torch.ones(1))
    expected = np.exp(-0.5 * (energies.numpy() - 1.0))
    np.testing.assert_allclose(planner._weights(energies), expected / expected.sum(), rtol=1e-6)
    relative = MPPI(MPPISettings(temperature=0.5, relative=True), 1, -torch.ones(1), torch.ones(1))
    scaled = [relative._weights(energies * scale) for scale in (1e-6, 1.0, 1e6)]
    torch.testing.assert_close(scaled[0], scaled[1])
    torch.testing.assert_close(scaled[2], scaled[1])
    greedy = MPPI(MPPISettings(temperature=1e9, relative=True), 1, -torch.ones(1), torch.ones(1))
    torch.testing.assert_close(greedy._weights(torch.full((1, 4), -1e30)), torch.full((1, 4), 0.25))


@pytest.mark.parametrize("horizon", [1, 2, 7, 256])
def test_coloured_noise_keeps_unit_variance_and_has_its_exponent(horizon: int) -> None:
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


def test_shifting_drops_the_first_action_and_repeats_the_last() -> None:
    actions = torch.arange(12.0).view(2, 3, 2)
    plan = Plan(actions=actions, energy=torch.zeros(2), mean=actions + 1, elites=actions[:, None])
    moved = plan.shifted(restart=torch.tensor([False, True]))
    torch.testing.assert_close(moved.actions[0], actions[0, [1, 2, 2]])
    assert moved.mean is not None
    assert moved.elites is not None
    torch.testing.assert_close(moved.mean[0], actions[0, [1, 2, 2]] + 1)
    torch.testing.assert_close(moved.elites[0, 0], actions[0, [1, 2, 2]])
    assert not moved.actions[1].any()
    assert torch.equal(plan.actions, torch.arange(12.0).view(2, 3, 2)), "the plan itself stays"


def test_sampling_among_elites_follows_their_energies() -> None:
    energies = torch.tensor([[0.0, 1.0, math.inf]])
    plan = Plan(
        actions=torch.zeros(1, 1, 1),
        energy=torch.zeros(1),
        elites=torch.arange(3.0).view(1, 3, 1, 1),
        elite_energy=energies,
    )
    source = seeded(0)
    drawn = torch.stack([plan.sample(2.0, source).flatten() for _ in range(4000)]).flatten()
    assert (drawn == 1).float().mean().item() == pytest.approx(1 / (1 + math.exp(2.0)), abs=0.015)
    assert not (drawn == 2).any()


def test_an_energy_that_cannot_be_used_is_refused() -> None:
    gradient = planners.make("gradient", horizon=2, low=-1.0, high=1.0)
    with pytest.raises(PlanError, match="differentiable"):
        gradient.plan(lambda actions: actions.detach().sum((2, 3)))
    with pytest.raises(PlanError, match=r"returned shape \(1,\), expected \(1, 64\)"):
        planners.make("mppi", horizon=2, low=-1.0, high=1.0).plan(lambda actions: actions.sum((1, 2, 3)))
    with pytest.raises(PlanError, match="proposals"):
        planners.make("cem", horizon=2, low=-1.0, high=1.0).plan(rugged, proposals=torch.zeros(1, 1, 3, 1))


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("mpii", {}, r"found 'mpii'.*did you mean mppi\?"),
        ("mppi", {"sample": 3}, r"sample: planner mppi accepts samples.*did you mean samples\?"),
        ("cem", {"temperature": 1.0}, "temperature: planner cem accepts samples, iterations"),
        ("mppi", {"samples": 0}, "samples: 0 is outside 1 to 1e\\+06"),
        ("mppi", {"temperature": math.nan}, "temperature: nan is outside"),
        ("cem", {"elites": 200, "samples": 100}, "elites: 200 exceeds samples 100"),
        ("icem", {"std_min": 0.9}, "std_min: 0.9 exceeds std_max 0.5"),
    ],
)
def test_a_bad_setting_is_named(kind: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        planners.make(kind, horizon=3, low=-1.0, high=1.0, **values)


def test_settings_are_listed_and_none_means_default() -> None:
    assert planners.settings("mppi") is MPPISettings
    planner = planners.make("mppi", horizon=3, low=-1.0, high=1.0, samples=None, std_max=2)
    assert isinstance(planner, MPPI)
    assert planner.settings == MPPISettings()
    with pytest.raises(SettingError, match="low, high"):
        planners.make("mppi", horizon=3, low=-torch.ones(2), high=torch.tensor([1.0, math.inf]))

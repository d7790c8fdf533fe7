"""A plan: its shift to the next decision, and the draw among its elites."""

import math

import pytest
import torch
from planning_problems import seeded

from planners import Plan


def test_shifting_drops_the_first_action_and_repeats_the_last() -> None:
    actions = torch.arange(12.0).view(2, 3, 2)
    plan = Plan(actions=actions, energy=torch.zeros(2), mean=actions + 1, elites=actions[:, None])
    shifted = plan.shifted(restart=torch.tensor([False, True]))
    torch.testing.assert_close(shifted.actions[0], actions[0, [1, 2, 2]])
    assert shifted.mean is not None
    assert shifted.elites is not None
    torch.testing.assert_close(shifted.mean[0], actions[0, [1, 2, 2]] + 1)
    torch.testing.assert_close(shifted.elites[0, 0], actions[0, [1, 2, 2]])
    assert not shifted.actions[1].any()
    assert torch.equal(plan.actions, torch.arange(12.0).view(2, 3, 2)), "the plan itself does not change"


def test_sampling_among_elites_follows_their_energies() -> None:
    energies = torch.tensor([[0.0, 1.0, math.inf]])
    plan = Plan(
        actions=torch.zeros(1, 1, 1),
        energy=torch.zeros(1),
        elites=torch.arange(3.0).view(1, 3, 1, 1),
        elite_energy=energies,
    )
    generator = seeded(0)
    drawn = torch.stack([plan.sample(2.0, generator).flatten() for _ in range(4000)]).flatten()
    assert (drawn == 1).float().mean().item() == pytest.approx(1 / (1 + math.exp(2.0)), abs=0.015)
    assert not (drawn == 2).any()


def test_a_plan_without_elites_samples_its_own_actions() -> None:
    plan = Plan(actions=torch.ones(1, 2, 1), energy=torch.zeros(1))
    assert plan.sample(1.0) is plan.actions


@pytest.mark.parametrize(("height", "taken"), [(0.0, True), (1.0, True), (2.5, False), (math.nan, False)])
def test_the_mean_replaces_the_best_candidate_only_where_it_costs_no_more_than_the_worst_elite(
    height: float, taken: bool
) -> None:
    best, mean = torch.full((1, 2, 1), 0.5), torch.zeros(1, 2, 1)
    plan = Plan(
        best, torch.tensor([0.5]), mean, torch.ones(1, 2, 1),
        elites=torch.zeros(1, 3, 2, 1), elite_energy=torch.tensor([[0.5, 2.0, math.inf]]),
    )  # fmt: skip
    found = plan.by_mean(lambda actions: torch.full(actions.shape[:2], height))
    assert torch.equal(found.actions, mean if taken else best)
    assert found.energy.item() == (height if taken else 0.5)


def test_a_plan_without_a_distribution_keeps_its_actions() -> None:
    plan = Plan(actions=torch.ones(1, 2, 1), energy=torch.zeros(1))
    assert plan.by_mean(lambda actions: torch.zeros(actions.shape[:2])) is plan


def test_a_temperature_of_0_draws_uniformly_among_places_that_a_candidate_filled() -> None:
    plan = Plan(
        actions=torch.zeros(1, 1, 1), energy=torch.zeros(1), elites=torch.arange(3.0).view(1, 3, 1, 1),
        elite_energy=torch.tensor([[0.0, 1.0, math.inf]]),
    )  # fmt: skip
    generator = seeded(0)
    drawn = torch.stack([plan.sample(0.0, generator).flatten() for _ in range(400)]).flatten()
    assert sorted(set(drawn.tolist())) == [0.0, 1.0]
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.1)

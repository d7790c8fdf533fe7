"""Mode 2: the policy proposes, the planner searches near it, and what is done with the plan."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from linear_problem import LinearModel
from torch import Tensor, nn

from agent.actor import acting_batch
from agent.actor.actor import ActingState, Actor, ConstrainedChoice
from agent.actor.policy import Policy
from planners import Plan

HORIZON, ACT = 3, 1


class Point(LinearModel):
    """A point that moves by its action."""

    def __init__(self) -> None:
        one = torch.ones(1, 1)
        super().__init__(one, one, one, one)

    def expect(self, z: Tensor, action: Tensor) -> Tensor:
        return self.predict(z, action).z


class Towards0(Policy):
    """The most likely action is tanh(-z)."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.action_size = ACT

    def distribution(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return -z, torch.zeros_like(z)


class Found:
    """A planner that always finds the same: candidates of 0.5, whose distribution has the mean 0."""

    horizon = HORIZON

    def __init__(self, batch: int, std: float = 0.0) -> None:
        half = torch.full((batch, HORIZON, ACT), 0.5)
        energy = torch.full((batch,), 0.5)
        self.found = Plan(
            half, energy, torch.zeros_like(half), torch.full_like(half, std), half[:, None], energy[:, None]
        )
        self.given: dict[str, Any] = {}

    def plan(self, energy: Any, **given: Any) -> Plan:
        self.given = given
        return self.found


def zero_energy(actions: Tensor) -> Tensor:
    return torch.zeros(actions.shape[:2])


def act(
    planner: Found,
    z: Tensor,
    *,
    prior_std: float = 0.0,
    proposals: int = 0,
    explore: bool = False,
    **more: Any,
) -> Tensor:
    actor = Actor(Towards0(), lambda _: planner, HORIZON, proposals, prior_std)
    generator = torch.Generator().manual_seed(0)
    action, plan = actor.act(
        zero_energy, z, Point(), more.pop("warm_start", None), generator, explore, **more
    )
    assert plan is not None
    return action


def likely(z: Tensor) -> Tensor:
    """The most likely sequence [batch, horizon, act] from latents [batch, 1]."""
    actions = []
    for _ in range(HORIZON):
        actions.append((-z).tanh())
        z = z + actions[-1]
    return torch.stack(actions, 1)


def test_the_first_proposal_is_the_most_likely_sequence_and_a_batch_is_its_environments() -> None:
    actor = Actor(Towards0(), None, HORIZON, proposals=4)
    z = torch.tensor([[1.0], [-0.5]])
    drawn = [actor.propose(part, Point(), torch.Generator().manual_seed(3)) for part in (z, z[:1], z[1:])]
    torch.testing.assert_close(drawn[0], torch.cat(drawn[1:]))
    torch.testing.assert_close(drawn[0][:, 0], likely(z))
    assert drawn[0].std(1).min() > 0.1, "the others are draws"


def test_the_search_begins_at_the_policy_and_wide_where_the_policy_violates_a_constraint() -> None:
    z = torch.tensor([[1.0], [-0.5]])
    planner = Found(2)
    choice = ConstrainedChoice(
        lambda sequences: {
            "task": torch.zeros(sequences.shape[:2]),
            "constraint": (sequences[:, :, 0, 0] > 0.0).float(),  # of the second environment alone
        }
    )
    act(planner, z, prior_std=0.2, constrained_choice=choice)
    start = planner.given["warm_start"]
    torch.testing.assert_close(start.mean, likely(z))
    torch.testing.assert_close(start.actions, likely(z))
    assert start.std[:, 0, 0].tolist() == pytest.approx([0.2, 1.0])
    assert planner.given["proposals"] is None


def test_a_search_for_a_task_that_the_policy_does_not_know_begins_at_the_last_plan() -> None:
    planner, before = Found(1), Found(1).found
    taken = act(planner, torch.ones(1, 1), prior_std=0.2, warm_start=before, task_unknown_to_policy=True)
    assert planner.given["warm_start"] is before
    assert taken.item() == 0.5


def test_the_mean_is_executed_unless_the_agent_explores_or_keeps_a_constraint() -> None:
    z = torch.ones(1, 1)
    assert act(Found(1), z).item() == 0.0
    assert act(Found(1), z, explore=True).item() == 0.5
    actor = Actor(Towards0(), lambda _: Found(1), HORIZON, 0)
    _, plan = actor.act(zero_energy, z, Point(), None, torch.Generator().manual_seed(0), explore=True)
    assert plan is not None
    assert plan.actions[0, 0].item() == 0.5, "the mean takes the place of no candidate"

    def terms(sequences: Tensor) -> dict[str, Tensor]:
        none = torch.zeros(sequences.shape[:2])
        return {"task": none, "constraint": none}

    assert act(Found(1), z, constrained_choice=ConstrainedChoice(terms)).item() == 0.5


def test_where_a_plan_is_worse_the_policy_is_followed() -> None:
    def terms(sequences: Tensor) -> dict[str, Tensor]:
        return {"task": sequences[..., 0, 0], "constraint": torch.zeros(sequences.shape[:2])}

    z = torch.tensor([[1.0], [-1.0]])  # the policy's first action costs -0.76 and 0.76, the plan's 0.5
    taken = act(Found(2), z, constrained_choice=ConstrainedChoice(terms))
    assert taken.flatten().tolist() == pytest.approx([likely(z)[0, 0].item(), 0.5])


def test_exploring_adds_noise_as_wide_as_the_search_ended() -> None:
    z = torch.zeros(4_000, 1)
    noisy = act(Found(4_000, std=0.1), z, explore=True)
    assert noisy.mean().item() == pytest.approx(0.5, abs=0.01)
    assert noisy.std().item() == pytest.approx(0.1, rel=0.05)
    assert act(Found(4_000, std=9.0), z, explore=True).abs().max() <= 1.0
    assert act(Found(4_000, std=0.1), z).unique().tolist() == [0.0]


def test_the_states_of_a_batch_are_those_of_its_environments() -> None:
    numbers = iter(range(100))

    def of(*shape: int) -> Tensor:
        """Every entry says which field and which environment it is of; environments are the first axis."""
        return 10.0 * next(numbers) + torch.arange(3.0).view(3, *[1] * (len(shape) - 1)).expand(shape)

    plan = Plan(
        of(3, HORIZON, ACT), of(3), of(3, HORIZON, ACT), of(3, HORIZON, ACT), of(3, 2, HORIZON, ACT), of(3, 2),
        of(3, 4).T,
    )  # fmt: skip
    surprise = of(3).numpy()
    state = ActingState(torch.Generator(), plan, of(3, 2), of(3, 2), surprise, of(3, ACT))
    for place, one in enumerate(acting_batch.separate(state)):
        assert one.plan is not None
        assert one.action is not None
        found = [getattr(one.plan, item.name) for item in fields(Plan)] + [one.z, one.expected, one.action]
        assert [sorted(set(value.flatten().tolist())) for value in found] == [
            [10.0 * field + place] for field in (*range(7), 8, 9, 10)
        ]
        assert one.surprise.tolist() == [70.0 + place]
    again = acting_batch.joined(acting_batch.separate(state))
    assert again.plan is not None
    for item in fields(Plan):
        assert torch.equal(getattr(again.plan, item.name), getattr(plan, item.name)), item.name
    assert torch.equal(again.expected, state.expected)
    np.testing.assert_array_equal(again.surprise, surprise)

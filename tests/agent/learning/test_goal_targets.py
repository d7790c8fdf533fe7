"""Targets of the critic of goals: discounted decisions to the goal, and the end of an episode on the way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from agent.goal_networks import GoalNetworks
from agent.learning.goal_learning import N_STEP, GoalLearner, Moments

GAMMA, LATENT = 0.9, 4


def discounted(decisions: int) -> float:
    """The sum of GAMMA^t over so many decisions."""
    return sum(GAMMA**t for t in range(decisions))


@pytest.fixture
def learner() -> GoalLearner:
    """It has three episodes of 25 decisions: one cut off, one that terminates, and the goals of another one."""
    torch.manual_seed(0)
    count, last = 78, np.arange(78) % 26 == 25
    terminated = np.arange(count) == 50
    moments = Moments(
        torch.randn(count, LATENT), torch.rand(count, 1) * 2 - 1, last, np.arange(count) // 26 * 26 + 25,
        np.flatnonzero(~last), terminated,
    )  # fmt: skip
    return GoalLearner(GoalNetworks(LATENT, 1, 16, 2, 21, GAMMA), moments, 10, seed=0)


def test_a_target_counts_the_decisions_to_the_goal(
    learner: GoalLearner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def critics(pair: Tensor, action: Tensor) -> Tensor:
        return torch.tensor([[3.0, 6.0]]).expand(len(pair), -1)

    monkeypatch.setattr(learner.networks.target_critic, "forward", critics)
    far, never = discounted(N_STEP) + GAMMA**N_STEP * 6.0, 1.0 / (1.0 - GAMMA)
    expected = {
        (0, 1): 1.0,
        (0, N_STEP): discounted(N_STEP),
        (0, N_STEP + 1): far,  # by the more pessimistic critic
        (0, 60): far,  # of another episode
        (4, 2): far,  # before the start
        (20, 25): discounted(5),
        (20, 60): discounted(5) + GAMMA**5 * 6.0,  # the episode is cut off, and would go on
        (46, 60): never,  # the episode terminates on the way
        (46, 51): discounted(5),  # with the goal
        (46, 49): discounted(3),
        (36, 60): far,  # it terminates later
    }
    starts, goals = np.array(list(expected)).T
    found = learner.targets(starts, goals)
    assert found.tolist() == pytest.approx(list(expected.values()), rel=1e-5)


def test_a_discounted_number_of_decisions_is_read_as_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    networks, known = GoalNetworks(LATENT, 1, 16, 2, 21, GAMMA), [1, 2, 7, 30]

    def critics(pair: Tensor, action: Tensor) -> Tensor:
        worse = torch.tensor([discounted(count) for count in known])
        return torch.stack((0.5 * worse, worse), 1)

    monkeypatch.setattr(networks.critic, "forward", critics)
    z = torch.zeros(4, LATENT)
    assert networks.steps(z, z).tolist() == pytest.approx(known, rel=1e-3)


def test_where_nothing_is_learned_of_decisions_the_policy_gains_entropy(learner: GoalLearner) -> None:
    def entropy() -> float:
        torch.manual_seed(1)
        with torch.no_grad():
            return -float(learner.networks.policy.sample(pair)[1].mean())

    pair: Any = torch.randn(256, 2 * LATENT)
    learner.critic.rates = [0.0]
    before = entropy()
    for _ in range(30):
        learner.update()
    assert entropy() > before + 0.1

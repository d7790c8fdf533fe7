"""The cost of not being at a goal: in decisions, and of the goal of each environment."""

from __future__ import annotations

import torch
from torch import Tensor

from agent.cost.goal_cost import GoalCost
from agent.cost.goal_target import GoalTarget
from agent.world_model.dynamics import Step
from agent.world_model.experience_graph import Route


class OneByOne(Route):
    """A route whose sub-goal of the latent number k is k."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def sub_goals(self, z: Tensor, ahead: int) -> Tensor:
        self.asked.append(ahead)
        return torch.arange(len(z), dtype=z.dtype).unsqueeze(1).expand_as(z)


def step_to(z: Tensor) -> Step:
    return Step(z.unsqueeze(0), torch.zeros(len(z), 1), torch.zeros(len(z)))


def test_the_distance_of_latents_counts_in_usual_steps() -> None:
    target = GoalTarget(torch.zeros(1, 2))
    cost = GoalCost("home", target, 0.5, lambda z, goal: z[:, 0] + 10.0, known_to_policy=True)
    terms = cost(step_to(torch.tensor([[3.0, 4.0], [0.0, 0.0]])), torch.zeros(2, 1))
    assert terms["latent distance"].tolist() == [10.0, 0.0]
    assert terms["decisions to goal"].tolist() == [13.0, 10.0]


def test_the_candidates_of_an_environment_have_its_sub_goal() -> None:
    route = OneByOne()
    target = GoalTarget(torch.full((1, 1), 9.0), route, ahead=5)
    assert target.rows(2).tolist() == [[9.0], [9.0]], "before the first look, the goal itself"
    target.look(torch.zeros(2, 1))
    assert route.asked == [5]
    # The rows of an energy: the candidates of the first environment, then those of the second.
    assert target.rows(6).flatten().tolist() == [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]

"""The cost of not being at a goal: in decisions, and of the goal of each environment."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from agent.cost.goal import Goal
from agent.cost.goal_cost import (
    DECISIONS,
    LATENT_DISTANCE,
    Between,
    GoalCost,
    LatentDistance,
    ReadoutDistance,
)
from agent.cost.goal_target import GoalTarget
from agent.cost.readouts import Readouts
from agent.errors import ConfigError
from agent.world_model.dynamics import Step
from agent.world_model.experience_graph import Route


class OneByOne(Route):
    """A route whose sub-goal of the latent number k is k."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def sub_goals(self, z: Tensor, ahead: int) -> Tensor:
        self.asked.append(ahead)
        return torch.arange(len(z), dtype=z.dtype).unsqueeze(1).expand_as(z)


HOME = Goal(np.zeros(2, np.float32), name="home")


def step_to(z: Tensor) -> Step:
    return Step(z.unsqueeze(0), torch.zeros(len(z), 1), torch.zeros(len(z)))


def ten_more(z: Tensor, goal: Tensor) -> Tensor:
    return z[:, 0] + 10.0


def test_the_distance_of_latents_counts_in_usual_steps() -> None:
    target = GoalTarget(torch.zeros(1, 2))
    distances: dict[str, Between] = {LATENT_DISTANCE: LatentDistance(0.5), DECISIONS: ten_more}
    cost = GoalCost(HOME, target, distances, known_to_policy=True)
    terms = cost(step_to(torch.tensor([[3.0, 4.0], [0.0, 0.0]])), torch.zeros(2, 1))
    assert terms["latent distance"].tolist() == [10.0, 0.0]
    assert terms["decisions to goal"].tolist() == [13.0, 10.0]
    assert cost.near_policy, "its critic says what follows"


def test_of_distances_the_least_on_the_path_counts_and_of_learned_decisions_the_sum() -> None:
    target = GoalTarget(torch.zeros(1, 2))
    counted = {}
    for distances in ({LATENT_DISTANCE: ten_more}, {LATENT_DISTANCE: ten_more, DECISIONS: ten_more}):
        cost = GoalCost(HOME, target, distances, known_to_policy=True)
        counted[cost.energy] = cost.least_of_path & set(distances)
    assert counted == {"latent": {LATENT_DISTANCE}, "both": set()}


def test_the_candidates_of_an_environment_have_its_sub_goal() -> None:
    route = OneByOne()
    target = GoalTarget(torch.full((1, 1), 9.0), route, ahead=5)
    assert target.rows(2).tolist() == [[9.0], [9.0]], "before the first look, the goal itself"
    target.look(torch.zeros(2, 1))
    assert route.asked == [5]
    # The rows of an energy: the candidates of the first environment, then those of the second.
    assert target.rows(6).flatten().tolist() == [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]


def at(x: float, y: float, heading: float) -> Tensor:
    return torch.tensor([x, y, math.cos(heading), math.sin(heading)])


def test_the_distance_of_readouts_counts_those_that_are_named() -> None:
    angle = {"of": "turn", "at": [0, 1], "sign": 1.0, "plus": 0.0, "as": "angle"}
    layout = Readouts({"place": 2, "turn": 2}, {"heading": angle})
    distance = ReadoutDistance(layout, torch.clone, {"place": 0.1, "heading": 0.5})
    here, goal = torch.stack((at(0.3, 0.4, 3.0), at(0, 0, 1))), torch.stack((at(0, 0, -3.0), at(0, 0, 1)))
    turn = 2 * math.pi - 6.0  # the short way round
    torch.testing.assert_close(distance(here, goal), torch.tensor([math.hypot(5.0, turn / 0.5), 0.0]))
    at_goal = goal.clone().requires_grad_()
    distance(at_goal, goal).sum().backward()
    assert at_goal.grad is not None
    assert at_goal.grad.isfinite().all(), "planners that follow gradients arrive there"


def test_a_goal_by_readouts_says_which() -> None:
    for given in ({"energy": "readouts"}, {"within": {"block": 0.03}}):
        with pytest.raises(ConfigError, match="the energy 'readouts' and within go together"):
            Goal(np.zeros(3), **given)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("within", "said"),
    [
        ({"block": 0}, "block=0 is not a finite number above 0"),
        ({"block": 1e-300}, "block=1e-300 is rounding; give 1e-09 or more"),
        ({"block": math.nan}, "block=nan is not"),
        ({"block": True}, "block has True; give a number"),
        ({"block": "near"}, "block has 'near'; give a number"),
        ({1: 0.1}, "found 1; give the name"),
        (["block"], r"found \['block'\]; give distances by readout"),
    ],
)
def test_distances_that_are_near_enough_are_numbers_above_0(within: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=f"goal: within: {said}"):
        Goal(np.zeros(3), "readouts", within=within)

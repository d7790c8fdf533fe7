"""Constraints in planning: no cost outweighs them, the worst head counts, and the safety margin is measured."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from linear_problem import GAMMA, linear_problem
from replay import state_buffer
from torch import Tensor

from agent.actor.actor import ConstrainedChoice
from agent.cost.constraint import Constraint, parse_constraint
from agent.cost.constraint_cost import ConstraintCost
from agent.cost.energy import Energy, EnergyWeights
from agent.cost.readouts import Readouts, TaskError
from agent.memory.replay_buffer import ReplayBuffer
from agent.world_model.dynamics import Step
from joule_errors import Advice

LAYOUT = Readouts({"speed": 1, "place": 2}, {})
pytestmark = pytest.mark.usefixtures("unchecked")


def networks_reading(size: int, **parts: Any) -> Any:
    """Networks whose latents are the readouts themselves."""
    return SimpleNamespace(
        read=lambda z: z,
        readout_normalizer=SimpleNamespace(mean=torch.zeros(size)),
        parameters=lambda: iter([torch.zeros(1)]),
        **parts,
    )


def test_the_head_that_predicts_the_worst_counts() -> None:
    # One head predicts speeds 1 and 5, the other 4 and 0.
    networks = networks_reading(3)
    limits = [parse_constraint("speed<2"), parse_constraint("place<9")]
    constraint_cost = ConstraintCost(limits, LAYOUT, networks, 1)
    heads = torch.zeros(2, 2, 3)
    heads[:, :, 0] = torch.tensor([[1.0, 5.0], [4.0, 0.0]])
    step = Step(heads, torch.zeros(2, 1), torch.zeros(2))
    assert constraint_cost(step, torch.zeros(2, 1)).tolist() == [2.0, 3.0]
    nan = ConstraintCost([Constraint("odd", lambda r: r["speed"] / 0.0 * 0.0)], LAYOUT, networks, 1)
    assert nan(step, torch.zeros(2, 1)).tolist() == [torch.inf] * 2
    with pytest.raises(TaskError, match="'height' is no readout"):
        ConstraintCost([parse_constraint("height<1")], LAYOUT, networks, 1)


def test_every_head_is_judged_with_the_action_of_its_row() -> None:
    cost = ConstraintCost([parse_constraint("action<2")], LAYOUT, networks_reading(3), 1)
    step = Step(torch.zeros(3, 2, 3), torch.zeros(2, 1), torch.zeros(2))
    assert cost.predicted(step, torch.tensor([[1.0], [5.0]])).tolist() == [[[-1.0, 3.0]] * 3]


class Short:
    """A model of a point that moves by its action; its heads predict 0.1 and 0.3 too little in each step."""

    def predict(self, z: Tensor, action: Tensor) -> Step:
        heads = z + action - torch.tensor([[[0.1]], [[0.3]]])
        return Step(heads.expand(2, -1, -1), torch.zeros(len(z), 1), torch.zeros(len(z)))


def places(episodes: int) -> ReplayBuffer:
    """What is remembered of a point that moves by its action, in episodes of ten decisions."""
    buffer = state_buffer(900)
    rng = np.random.default_rng(3)
    for _ in range(episodes):
        place = rng.uniform(-1.0, 1.0, 1)
        buffer.streams[0].begin(place, place)
        for _ in range(10):
            action = rng.uniform(-0.2, 0.2, 1)
            place = place + action
            buffer.streams[0].add(action, 0.0, False, place, place)
    return buffer


def test_a_margin_that_nothing_remembered_keeps_is_said() -> None:
    buffer = places(80)
    lowest = float(buffer.readout[buffer.filled()].min())
    cost = ConstraintCost(
        [parse_constraint(f"place<{lowest + 0.3:.4f}"), parse_constraint("place<0.5")],
        Readouts({"place": 1}, {}),
        networks_reading(1, world_model=Short()),
        1,
    )
    with pytest.warns(Advice, match=r"its safety margin, .*, is 0\.5, and no remembered step keeps") as said:
        cost.margin(buffer, lambda obs: torch.from_numpy(np.asarray(obs, np.float32)), 3)
    assert len(said) == 1, "the other limit has room"


def test_a_limit_that_nothing_remembered_keeps_is_said() -> None:
    buffer = places(80)
    lowest = float(buffer.readout[buffer.filled()].min())
    limit = parse_constraint(f"place<{lowest - 0.5:.4f}")
    cost = ConstraintCost([limit], Readouts({"place": 1}, {}), networks_reading(1, world_model=Short()), 1)
    with pytest.warns(Advice, match=r"none of the 800 remembered steps keeps it, .* by 0\.5; ") as said:
        cost.margin(buffer, lambda obs: torch.from_numpy(np.asarray(obs, np.float32)), 3)
    assert len(said) == 1


def test_the_margin_is_the_error_of_predictions_of_stored_steps() -> None:
    networks = networks_reading(1, world_model=Short())
    buffer = places(80)
    limits = [parse_constraint("place<0.5"), parse_constraint("place>-0.5")]
    constraint_cost = ConstraintCost(limits, Readouts({"place": 1}, {}), networks, 1)

    def perceive(obs: Any) -> Tensor:
        return torch.from_numpy(obs.astype(np.float32))

    # The mean of the heads is 0.2 short a step; the head that counts above is the one only 0.1 short.
    margin = constraint_cost.margin(buffer, perceive, 3)
    torch.testing.assert_close(margin[:, 0], torch.tensor([0.1, 0.3, 0.5]))
    assert margin[:, 1].tolist() == [0.0] * 3, "a violation that is predicted too large needs no margin"
    step = Step(torch.full((2, 4, 1), 0.3), torch.zeros(4, 1), torch.zeros(4))
    assert constraint_cost(step, torch.zeros(4, 1), 1, margin).tolist() == pytest.approx([0.1] * 4)
    assert constraint_cost(step, torch.zeros(4, 1), 0, margin).tolist() == [0.0] * 4
    assert constraint_cost.margin(state_buffer(9), perceive, 2).tolist() == [[0.0, 0.0]] * 2


class ShortAtFirst:
    """A model that predicts 0.3 too little in the first step, and makes up for it in the second.

    The second number of a latent counts its steps.
    """

    def predict(self, z: Tensor, action: Tensor) -> Step:
        off = torch.tensor([-0.3, 0.3, 0.0])[z[:, 1].long()]
        heads = torch.stack((z[:, 0] + action[:, 0] + off, z[:, 1] + 1.0), -1)
        return Step(heads[None], torch.zeros(len(z), 1), torch.zeros(len(z)))


def test_a_margin_never_decreases_along_the_horizon() -> None:
    networks = networks_reading(1, world_model=ShortAtFirst())
    networks.read = lambda z: z[:, :1]
    cost = ConstraintCost([parse_constraint("place<0.5")], Readouts({"place": 1}, {}), networks, 1)

    def perceive(obs: Any) -> Tensor:
        place = torch.from_numpy(obs.astype(np.float32))
        return torch.cat((place, torch.zeros_like(place)), -1)

    torch.testing.assert_close(cost.margin(places(80), perceive, 3), torch.full((3, 1), 0.3))


def test_a_margin_is_that_of_the_steps_on_which_a_function_is_a_number() -> None:
    buffer, networks = places(80), networks_reading(1, world_model=Short())
    edges = sorted(buffer.readout[buffer.filled()][:, 0].tolist())
    perceive = partial(torch.as_tensor, dtype=torch.float32)

    def beyond(edge: float) -> Constraint:
        return Constraint("root", lambda r: torch.where(r["place"] > edge, r["place"], torch.nan))

    few = ConstraintCost([beyond(edges[len(edges) // 4])], Readouts({"place": 1}, {}), networks, 1)
    margin = few.margin(buffer, perceive, 1)
    assert margin.isfinite().all()
    assert float(margin[0, 0]) == pytest.approx(0.1, abs=1e-5)
    most = ConstraintCost([beyond(edges[-5])], Readouts({"place": 1}, {}), networks, 1)
    with pytest.warns(Advice, match="root: it is no finite number on most of the"):
        assert most.margin(buffer, perceive, 1).tolist() == [[0.0]]


def test_a_disc_is_kept_by_its_margin_and_no_farther() -> None:
    disc = parse_constraint("out-of:x=0,y=0,r=2,of=place")
    constraint_cost = ConstraintCost([disc], LAYOUT, networks_reading(3), 1)
    at = torch.tensor(
        [[0.0, 0.0, 1.0], [0.0, 0.0, 2.5], [0.0, 0.0, 9.0]]
    )  # speed, and a place inside, near, far
    step = Step(at.expand(2, -1, -1), torch.zeros(3, 1), torch.zeros(3))
    violations = constraint_cost(step, torch.zeros(3, 1), 0, torch.full((1, 1), 0.5)).tolist()
    assert violations == pytest.approx([1.0, 0.25, 0.0])
    assert constraint_cost.predicted(step, torch.zeros(3, 1))[0, 0].tolist() == pytest.approx(
        [0.5, -0.25, -3.5]
    )


@pytest.mark.parametrize(
    ("costs", "uncertainty", "violation", "plan"),
    [
        ((2.0, 1.0), (0.0, 5.0), (0.0, 0.0), True),
        ((1.0, 2.0), (5.0, 0.0), (0.0, 0.0), False),  # less uncertainty is no reason
        ((2.0, 1.0), (0.0, 0.0), (0.0, 1.0), False),
        ((1.0, 9.0), (0.0, 9.0), (2.0, 1.0), True),
        ((2.0, 1.0), (0.0, 0.0), (1.0, 2.0), False),
    ],
)
def test_a_plan_replaces_the_policy_where_it_is_safe_and_costs_less(
    costs: tuple[float, float],
    uncertainty: tuple[float, float],
    violation: tuple[float, float],
    plan: bool,
) -> None:
    """The policy learned its constraints; each pair is of the policy's sequence and of the plan."""
    terms = {"task": costs, "uncertainty": uncertainty, "constraint": violation}
    choice = ConstrainedChoice(lambda _: {name: torch.tensor([pair]) for name, pair in terms.items()})
    assert choice.prefers_plan(torch.zeros(1, 3, 1), torch.ones(1, 3, 1)).tolist() == [plan]


def test_a_sequence_violates_a_constraint_where_its_term_is_positive() -> None:
    choice = ConstrainedChoice(lambda plans: {"task": plans[..., 0, 0], "constraint": plans[..., 0, 0]})
    sequences = torch.tensor([0.0, 1e9])[:, None, None].expand(-1, 3, 1)
    assert choice.violates(sequences).tolist() == [False, True]


@pytest.mark.parametrize("size", [1.0, 1e9, 1e12])
def test_no_cost_outweighs_a_constraint_and_less_violation_is_better(size: float) -> None:
    model, policy, critic, _ = linear_problem(1)
    critic.scale = torch.tensor(size)

    def costs(step: Step, action: Tensor) -> dict[str, Tensor]:
        return {"task": -size * step.z[:, 0]}  # the larger the violation, the cheaper

    def violation(step: Step, action: Tensor, ahead: int = 0) -> Tensor:
        return (step.z[:, 0] - 0.5).clamp_min(0.0)

    z = torch.zeros(1, 4).double()
    energy = Energy(z, model, critic, policy, GAMMA, EnergyWeights(), False, costs, violation)
    actions = torch.rand(1, 400, 2, 2, generator=torch.Generator().manual_seed(1)).double() * 2 - 1
    future = model.rollout(torch.zeros(400, 4).double(), actions[0])
    total = torch.stack([violation(step, actions) for step in future]).sum(0)
    values, violating = energy(actions)[0], total > 0
    assert 20 < violating.sum() < 380
    assert values[violating].min() > values[~violating].max()
    assert values.isfinite().all()
    kept = torch.stack([GAMMA**t * step.z[:, 0] for t, step in enumerate(future)]).sum(0)[~violating]
    assert torch.equal(values[~violating].argsort(), (-kept).argsort()), "no cost is cut off"
    if size == 1.0:
        assert torch.equal(values[violating].argsort(), total[violating].argsort())

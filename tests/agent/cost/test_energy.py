"""The energy is the sum of its formula; with the true linear model, planning is the linear controller."""

from typing import Any

import numpy as np
import pytest
import torch
from linear_problem import GAMMA, LinearModel, linear_problem
from torch import Tensor

import planners
from agent.actor.actor import Actor
from agent.cost.energy import Energy, EnergyWeights
from agent.world_model.dynamics import Step


@pytest.mark.parametrize(
    ("kind", "settings", "tolerance"),
    [
        ("gradient", {"iterations": 40}, 1e-3),
        ("icem", {"samples": 300, "iterations": 25, "elites": 20}, 3.5e-2),
    ],
)
@pytest.mark.parametrize("horizon", [1, 3])
def test_with_the_true_linear_model_planning_is_the_linear_controller(
    kind: str, settings: dict[str, Any], tolerance: float, horizon: int
) -> None:
    ones = torch.ones(2, dtype=torch.float64)
    for seed in range(4):
        model, policy, critic, gain = linear_problem(seed)
        z = torch.randn(3, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        z = 0.5 * z / (z @ gain.T).abs().max()  # the best action lies well inside the box
        actor = Actor(
            policy,
            lambda batch: planners.make(kind, horizon=horizon, low=-ones, high=ones, batch=batch, **settings),
            horizon,
            0,
        )
        energy = Energy(z, model, critic, policy, GAMMA, EnergyWeights(), terminates=False)
        action, plan = actor.act(energy, z, model, None, torch.Generator().manual_seed(0), explore=False)
        expected = -z @ gain.T
        assert expected.abs().max() > 0.3  # not the zero action, which any broken actor finds
        torch.testing.assert_close(action, expected, rtol=0, atol=tolerance)
        # At the optimum the energy of the plan is the cost-to-go itself.
        assert plan is not None
        value = critic(z, policy(z)).mean(1)
        torch.testing.assert_close(plan.energy, value, rtol=tolerance, atol=tolerance)


class UncertainOfActions(LinearModel):
    """Its two heads lie farther apart for larger actions."""

    def predict(self, z: Tensor, action: Tensor) -> Step:
        step = super().predict(z, action)
        apart = self.apart(action).unsqueeze(1)
        return Step(torch.stack([step.z - apart, step.z + apart]), step.cost_logits, step.termination)

    @staticmethod
    def apart(action: Tensor) -> Tensor:
        return 0.3 * action.abs().sum(-1)


@pytest.mark.parametrize("weight", [0.7, -0.7])
def test_the_energy_is_the_sum_of_its_formula(weight: float) -> None:
    base, policy, critic, gain = linear_problem(9)
    model = UncertainOfActions(base.a, base.b, base.q, base.r, termination=-1.2)
    generator = torch.Generator().manual_seed(2)
    z = torch.randn(2, 4, generator=generator, dtype=torch.float64)
    actions = torch.rand(2, 3, 5, 2, generator=generator, dtype=torch.float64) - 0.5
    weights = EnergyWeights(uncertainty=weight, action=0.2)
    energy = Energy(z, model, critic, policy, GAMMA, weights, terminates=True)
    terms = energy.terms(actions)
    survival = 1 / (1 + np.exp(-1.2))
    for i in range(2):
        for j in range(3):
            expected = dict.fromkeys(("task", "control", "uncertainty"), 0.0)
            here, scale, of_policy = z[i], 1.0, z[i]
            for t in range(5):
                act = actions[i, j, t]
                expected["task"] += scale * (here @ base.q @ here + act @ base.r @ act).item()
                expected["control"] += scale * 0.2 * (act @ act).item()
                # The deviation of two heads is how far each lies from their mean.
                usual = model.apart(-gain @ of_policy).item() if weight > 0.0 else 0.0
                expected["uncertainty"] += scale * weight * max(model.apart(act).item() - usual, 0.0)
                of_policy = base.a @ of_policy - base.b @ gain @ of_policy
                here = base.a @ here + base.b @ act
                scale *= GAMMA * survival
            expected["critic"] = scale * critic(here[None], policy(here[None])).mean().item()
            assert {name: term[i, j].item() for name, term in terms.items()} == pytest.approx(expected)
            assert energy(actions)[i, j].item() == pytest.approx(sum(expected.values()))
    sequence = [z]
    for _ in range(4):
        sequence.append(sequence[-1] @ (base.a - base.b @ gain).T)
    own = torch.stack([policy(state) for state in sequence], 1).unsqueeze(1)
    free = bool((energy.terms(own)["uncertainty"].abs() < 1e-12).all())
    assert free == (weight > 0.0), "what the policy does itself costs nothing"


def test_an_environment_that_never_terminated_is_predicted_to_survive() -> None:
    base, policy, critic, _ = linear_problem(3)
    terminating = LinearModel(base.a, base.b, base.q, base.r, termination=5.0)
    z, actions = torch.ones(1, 4, dtype=torch.float64), torch.zeros(1, 1, 3, 2, dtype=torch.float64)
    terms = [
        Energy(z, model, critic, policy, GAMMA, EnergyWeights(), terminates=False).terms(actions)
        for model in (base, terminating)
    ]
    assert terms[0] == terms[1]
    assert set(terms[0]) == {"task", "critic"}, "a term of weight zero is not computed"


class FarAndAway:
    """Costs by the step: what a path is nearest to, and what it pays."""

    least_of_path = frozenset({"goal"})

    def __init__(self) -> None:
        self.steps = iter((3.0, 1.0, 5.0, 0.5))

    def __call__(self, step: Step, action: Tensor) -> dict[str, Tensor]:
        cost = torch.full_like(action[:, 0], next(self.steps))
        return {"goal": cost, "paid": cost}


def test_what_a_path_comes_nearest_to_counts_once() -> None:
    model, policy, critic, _ = linear_problem(3)
    z, actions = torch.ones(1, 4, dtype=torch.float64), torch.zeros(1, 1, 4, 2, dtype=torch.float64)
    energy = Energy(z, model, critic, policy, 0.5, EnergyWeights(), False, FarAndAway())
    terms = {name: term.item() for name, term in energy.terms(actions).items()}
    assert terms == {"goal": 0.5, "paid": 3.0 + 0.5 + 1.25 + 0.0625}

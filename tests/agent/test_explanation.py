"""The explanation of a decision: the energies are those that the planner compared."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import joule
from agent import explanation

pytestmark = pytest.mark.usefixtures("unchecked")


def test_energies_are_those_that_the_planner_compared(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    obs = np.array([0.3, 0.0, -0.4], np.float32)
    plain_action, plain = agent.predict(obs)
    action, state, why = explanation.explain_decision(agent.modules, obs, None, 8)
    np.testing.assert_array_equal(action, plain_action)
    assert state.plan is not None
    assert torch.equal(state.plan.energy, plain.plan.energy), "an explained decision is the same decision"
    chosen, runner_up, policy, no_action = why.alternatives
    assert len(why.energies) == 2 * 16 + 1, "the candidates of two iterations, and the mean of the best"
    assert chosen.energy == pytest.approx(state.plan.energy.item(), rel=1e-5)
    assert chosen.energy <= np.sort(why.energies[:-1])[4], "no worse than the elites"
    nearest = why.energies[np.argmin(np.abs(why.energies - runner_up.energy))]
    assert runner_up.energy == pytest.approx(nearest)
    apart = np.abs(why.first_actions[:, 0] - chosen.actions[0])
    # Of an even number of candidates, torch's median is the lower of the middle two.
    least = np.quantile(apart, 0.5, method="lower")
    assert np.abs(runner_up.actions[0] - chosen.actions[0]) >= least - 1e-6
    with torch.inference_mode():
        by_policy = agent.modules.networks.policy(state.z).numpy()
    np.testing.assert_allclose(policy.actions[:1], by_policy, rtol=1e-5)
    assert {one.future.shape for one in why.alternatives} == {(9, 2)}
    np.testing.assert_allclose(no_action.future[0], chosen.future[0])
    discounts = agent.modules.discount ** np.arange(3)
    assert float(discounts @ chosen.costs) == pytest.approx(chosen.terms["task"], rel=1e-4)
    at = np.interp(chosen.actions[0, 0], why.slice.values, why.slice.energy)
    assert at == pytest.approx(chosen.energy, abs=0.05)


def test_a_decision_of_the_policy_alone_has_no_energies(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run, settings={"planner.kind": "policy"})
    with pytest.raises(ValueError, match="mode 1"):
        explanation.explain_decision(agent.modules, np.zeros(3, np.float32), None, 8)


def test_the_slice_lies_in_the_two_first_actions_that_vary_most() -> None:
    def energy(plans: torch.Tensor) -> torch.Tensor:
        assert (plans[0, :, 1] == 7.0).all()
        assert (plans[0, :, 0, 1] == 7.0).all(), "the rest is as in the chosen plan"
        return 10 * plans[..., 0, 2] + plans[..., 0, 0]

    modules: Any = SimpleNamespace(energy=lambda z: energy)
    chosen, variance = torch.full((2, 3), 7.0), torch.tensor([2.0, 1.0, 3.0])
    found = explanation.slice_of(modules, torch.zeros(1, 2), chosen, variance)
    assert found.dimensions == (2, 0)
    columns, rows = np.meshgrid(found.values, found.values)
    np.testing.assert_allclose(found.energy, 10 * columns + rows, atol=1e-5)

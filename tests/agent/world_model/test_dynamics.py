"""The world model: its shortcuts agree with the whole prediction, and disagreement is one quantity."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agent.perception import regularizers
from agent.world_model.dynamics import WorldModel


def world_model(heads: int = 2) -> WorldModel:
    torch.manual_seed(0)
    return WorldModel(16, 3, 32, 24, heads, 11, regularizers.make("simnorm"))


@pytest.mark.parametrize("heads", [2, 5])
def test_the_expected_latent_is_that_of_the_whole_prediction(heads: int) -> None:
    model = world_model(heads)
    z, action = torch.rand(7, 16), torch.rand(7, 3)
    assert torch.equal(model.expect(z, action), model.predict(z, action).z)


@pytest.mark.parametrize("heads", [2, 5])
def test_disagreement_is_the_root_of_the_variance_over_heads(heads: int) -> None:
    model = world_model(heads)
    z, action = torch.rand(7, 16), torch.rand(7, 3)
    step = model.predict(z, action)
    assert torch.equal(model.disagreement(z, action), step.disagreement)
    expected = np.sqrt(step.heads.detach().numpy().var(0).mean(-1))
    np.testing.assert_allclose(step.disagreement.detach(), expected, rtol=1e-5)


def test_a_rollout_continues_from_the_mean_of_the_heads() -> None:
    model = world_model()
    z, actions = torch.rand(4, 16), torch.rand(4, 3, 3)
    steps = model.rollout(z, actions)
    for k, step in enumerate(steps):
        assert torch.equal(step.heads, model.predict(z, actions[:, k]).heads)
        z = step.z


def test_the_cost_head_gives_the_cost_and_the_termination_of_a_step() -> None:
    model = world_model()
    with torch.no_grad():
        for parameter in model.cost.parameters():
            parameter.normal_()
    z, action = torch.rand(7, 16), torch.rand(7, 3)
    step = model.predict(z, action)
    cost_logits, termination = model.cost.read(model.trunk(torch.cat((z, action), -1)))
    assert torch.equal(step.cost_logits, cost_logits)
    assert torch.equal(step.termination, termination)
    assert cost_logits.shape == (7, 11)
    # Termination has a logit of its own: the value of the cost does not depend on it.
    with torch.no_grad():
        list(model.cost.parameters())[-1][-1] += 3.0
    moved = model.predict(z, action)
    torch.testing.assert_close(moved.termination, termination + 3.0)
    assert torch.equal(model.expected_cost(moved), model.expected_cost(step))

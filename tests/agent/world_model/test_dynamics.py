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

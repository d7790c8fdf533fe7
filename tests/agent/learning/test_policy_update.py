"""One gradient step of the policy: its entropy, the unit of its costs-to-go, and the actions that it clones."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from agent.configurator.settings import Config, LearningConfig, ModelConfig
from agent.learning.learner import Learner
from agent.learning.losses import WindowBatch
from agent.learning.policy_update import ENTROPY_GAIN
from agent.networks import Networks
from envs.env_spec import ObservationPart

LATENT, ACT = 16, 3


def learner_of(fused: bool, target_entropy: float = -0.5, tau: float = 0.0) -> Learner:
    """A learner whose critics are not zero."""
    torch.manual_seed(0)
    learning = LearningConfig(fused=fused, tau=tau, learning_rate=0.0, max_grad_norm=1e9)
    model = ModelConfig(latent_dim=LATENT, hidden_dim=32, head_width=16)
    config = Config(model=model, learning=learning)
    networks = Networks((ObservationPart("state", (5,), "float32"),), ACT, 1, config)
    for member in networks.critic.members:
        nn.init.normal_(list(member.parameters())[-2], std=0.3)
    networks.critic.scale.fill_(4.0)
    return Learner(
        networks, learning, lambda: 0.97, target_entropy=target_entropy, curiosity=0.0, regularizer_weight=1.0
    )


def latents() -> Tensor:
    return torch.randn(64, LATENT, generator=torch.Generator().manual_seed(1)).softmax(-1)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("target", [-1.5, -2.5])
def test_the_entropy_weight_follows_the_error_of_the_entropy_in_every_dimension(
    fused: bool, target: float
) -> None:
    learner = learner_of(fused, target)
    weight = learner.networks.log_entropy_weight
    weight.fill_(-3.0)
    entropy = learner.update_policy(latents(), True)["policy/entropy"]
    error = entropy - target * ACT
    assert 0.3 < abs(error) < 5.0, "a smaller error than at which the controller saturates"
    assert weight.item() == pytest.approx(-3.0 - ENTROPY_GAIN * error, abs=1e-6)


@pytest.mark.parametrize("fused", [False, True])
def test_the_entropy_weight_stays_within_its_bounds(fused: bool) -> None:
    for target, edge in ((2.0, 1.0), (-9.0, 1e-4)):
        learner = learner_of(fused, target)
        learner.networks.log_entropy_weight.fill_(edge).log_()
        learner.update_policy(latents(), False)
        assert learner.networks.log_entropy_weight.exp().item() == pytest.approx(edge, rel=1e-6)


@pytest.mark.parametrize("fused", [False, True])
def test_costs_to_go_count_in_units_of_their_range_or_of_a_tenth_of_their_scale(fused: bool) -> None:
    gradients = []
    for spread in (1e-6, 0.4, 0.8):
        learner = learner_of(fused)
        learner.networks.spread.fill_(spread)
        learner.networks.log_entropy_weight.fill_(-torch.inf)  # leaves the costs-to-go alone
        torch.manual_seed(2)
        learner.update_policy(latents(), False)
        (vector,) = learner.policy_group.vectors
        assert vector.grad is not None
        gradients.append(vector.grad.clone())
    assert gradients[0].norm() > 0.0
    torch.testing.assert_close(gradients[0], gradients[1])
    torch.testing.assert_close(gradients[1], 2.0 * gradients[2])


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("poison", [torch.inf, torch.nan])
def test_a_range_that_is_not_finite_is_not_followed(fused: bool, poison: float) -> None:
    update = learner_of(fused, tau=0.5).policy_update
    update.networks.spread.fill_(3.0)
    assert update.spread(torch.tensor([0.0, 1.0, poison, poison])).item() == 3.0
    assert update.spread(torch.zeros(4)).item() == pytest.approx(1.5)


def test_a_stored_action_is_that_of_the_state_of_the_update() -> None:
    """The states are the first of each window, and the last in its three decisions that is not an end."""
    valid = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 0, 0]]).T.bool()
    terminated = torch.zeros(5, 4)
    terminated[2, 2] = 1.0
    action = 10.0 * torch.arange(5).view(5, 1, 1) + torch.arange(4).view(1, 4, 1)
    none = torch.zeros(6, 4, 1)
    batch = WindowBatch(none, action, torch.zeros(5, 4), terminated, valid, none)
    rows, known = batch.stored_actions(3)
    assert known.tolist() == [1.0] * 7 + [0.0], "the last window was cut off in its newest state"
    assert rows[:7].flatten().tolist() == [0.0, 1.0, 2.0, 3.0, 30.0, 11.0, 22.0]
    short = WindowBatch(none[:4], action[:3], torch.zeros(3, 4), terminated[:3], valid[:3], none[:4])
    rows, known = short.stored_actions(3)
    assert known[4:].tolist() == [0.0, 1.0, 1.0, 0.0], "beyond the window no action is known"
    assert rows[5:7].flatten().tolist() == [11.0, 22.0]

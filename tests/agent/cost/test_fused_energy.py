"""The energy on plain tensors is the sum of the terms of the energy on modules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from agent.configurator.settings import Config, CostConfig, ModelConfig
from agent.cost.energy import Energy, EnergyWeights
from agent.cost.fused_energy import FusedEnergy
from agent.fused_networks import FusedNetworks
from agent.networks import Networks
from envs.env_spec import ObservationPart

ACT, LATENT = 2, 16


def networks_of(heads: int, critics: int) -> Networks:
    """Networks of double precision, whose zero-initialised heads have been filled."""
    torch.manual_seed(heads)
    model = ModelConfig(latent_dim=LATENT, hidden_dim=12, head_width=8, ensemble_size=heads)
    config = Config(model=model, cost=CostConfig(critics=critics, bins=11))
    networks = Networks((ObservationPart("state", (5,), "float32"),), ACT, 3, config).double()
    for head in (networks.world_model.cost, *networks.critic.members):
        nn.init.normal_(list(head.parameters())[-2], std=0.3)
    networks.critic.scale.fill_(1.7)
    networks.world_model.cost_scale.fill_(0.6)
    return networks


@pytest.mark.parametrize("terminates", [False, True])
@pytest.mark.parametrize(
    ("heads", "critics", "weights"),
    [(2, 2, EnergyWeights()), (3, 2, EnergyWeights(0.7, 0.2)), (2, 3, EnergyWeights(-0.4))],
)
def test_it_is_the_sum_of_the_terms(
    heads: int, critics: int, weights: EnergyWeights, terminates: bool
) -> None:
    networks = networks_of(heads, critics)
    z = torch.randn(3, 8, LATENT // 8, dtype=torch.float64).softmax(1).flatten(1)
    actions = torch.rand(3, 7, 4, ACT, dtype=torch.float64) * 2.0 - 1.0
    parts = (z, networks.world_model, networks.critic, networks.policy, 0.9, weights, terminates)
    energy = FusedEnergy(FusedNetworks(networks), *parts)
    expected = Energy(*parts)(actions)
    torch.testing.assert_close(energy(actions), expected, rtol=1e-12, atol=1e-12)
    assert expected.std() > 1e-3
    (gradient,) = torch.autograd.grad(energy(actions.requires_grad_()).sum(), actions)
    assert bool(gradient.abs().sum(-1).all()), "a planner that descends gets a gradient"


def test_a_term_that_was_added_is_not_left_out() -> None:
    """As `docs/guide/costs.md` adds one: with its weight the energy on modules is taken, which has it."""

    @dataclass(frozen=True)
    class Weights(EnergyWeights):
        smoothness: float = 0.0

    assert FusedEnergy.knows(Weights(0.7, 0.2))
    assert not FusedEnergy.knows(Weights(0.7, smoothness=0.5))


def test_plans_for_what_was_not_learned_are_left_to_modules(make_agent: Callable[..., Any]) -> None:
    agent = make_agent(learning__fused=True)
    modules = agent.modules
    z = torch.zeros(1, modules.config.model.latent_dim)
    assert type(modules.energy(z)) is FusedEnergy
    modules.task_cost = lambda step, action: {}
    assert type(modules.energy(z)) is Energy
    other = make_agent(learning__fused=False)
    assert type(other.modules.energy(z)) is Energy

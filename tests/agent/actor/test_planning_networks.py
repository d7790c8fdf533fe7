"""The networks that planning evaluates: the learned ones in another precision, always up to date."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from agent.actor.planning_networks import PlanningNetworks
from agent.layers import NormedLinear

pytestmark = pytest.mark.usefixtures("unchecked")


def perturb(agent: Any, seed: int) -> None:
    """Changes all weights, so that heads that begin at zero have other values."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in agent.modules.networks.parameters():
            p.add_(0.1 * torch.randn_like(p))


def test_only_linear_layers_are_copied_and_the_rest_is_shared(make_agent: Callable[..., Any]) -> None:
    m = make_agent().modules.networks
    planning_networks = PlanningNetworks(m, torch.bfloat16)
    for name in ("world_model", "critic", "policy"):
        ours, theirs = getattr(planning_networks, name), getattr(m, name)
        for (key, low), whole in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            if "norm" in key:
                assert low is whole, key
            else:
                assert low.dtype == torch.bfloat16, key
                torch.testing.assert_close(low, whole.to(torch.bfloat16), rtol=0, atol=0)
        for one, other in zip(ours.buffers(), theirs.buffers(), strict=True):
            assert one is other


def test_each_layer_gets_the_precision_of_its_weights() -> None:
    # On a GPU the norm returns float32. The meta device shows the same dtypes.
    layer = NormedLinear(4, 8).to("meta")
    layer.linear.to(torch.bfloat16)
    assert layer(torch.zeros(3, 4, device="meta")).dtype == torch.bfloat16
    assert layer.to(torch.float32)(torch.zeros(3, 4, device="meta")).dtype == torch.float32


def test_float32_shares_all_networks(make_agent: Callable[..., Any]) -> None:
    m = make_agent().modules.networks
    planning_networks = PlanningNetworks(m, torch.float32)
    assert planning_networks.copies == []
    for name in ("world_model", "critic", "policy"):
        pairs = zip(getattr(planning_networks, name).parameters(), getattr(m, name).parameters(), strict=True)
        assert all(one is other for one, other in pairs)


def test_an_energy_in_bfloat16_ranks_candidates_as_in_float32(make_agent: Callable[..., Any]) -> None:
    whole = make_agent()
    low = make_agent(learning__precision="bfloat16")
    perturb(whole, 1)
    low.modules.networks.load_state_dict(whole.modules.networks.state_dict())
    z = whole.modules.perceive(np.zeros((1, whole.env_spec.observation_size), np.float32))
    torch.manual_seed(2)
    actions = torch.rand(1, 200, 3, whole.env_spec.action_size) * 2 - 1
    with torch.inference_mode():
        expected, got = whole.modules.energy(z)(actions)[0], low.modules.energy(z)(actions)[0]
    assert low.modules.energy(z).model is low.modules.planning_networks.world_model
    assert got.dtype == torch.float32
    assert not torch.equal(got, expected)
    error = (got - expected) - (got - expected).mean()
    assert error.std() < 0.1 * expected.std()


def test_planning_uses_every_change_of_the_weights(make_agent: Callable[..., Any]) -> None:
    brief = {
        "explore__warmup_decisions": 30,
        "learning__pretrain_updates": 5,
        "learning__precision": "bfloat16",
    }
    agent, other = (make_agent(seed=seed, **brief) for seed in (1, 2))
    perturb(other, 3)
    z = torch.rand(1, agent.config.model.latent_dim)
    torch.manual_seed(4)
    actions = torch.rand(1, 8, 3, agent.env_spec.action_size)

    def energy(one: Any) -> torch.Tensor:
        with torch.inference_mode():
            found: torch.Tensor = one.modules.energy(z)(actions)
        return found

    before = energy(agent)
    agent.modules.networks.load_state_dict(other.modules.networks.state_dict())
    assert torch.equal(energy(agent), energy(other))
    assert not torch.equal(energy(agent), before)
    agent.learn(35)
    after = energy(agent)
    agent.interaction.update_once()
    assert not torch.equal(energy(agent), after)

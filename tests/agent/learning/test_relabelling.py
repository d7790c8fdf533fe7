"""Costs of another task take the place of those that were learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import joule
from agent.learning.relabelling import reset_costs

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.mark.parametrize("keeps", [True, False])
def test_a_cost_head_that_forgets_costs_predicts_terminations_as_before(
    trained_run: Path, keeps: bool
) -> None:
    modules = joule.load(trained_run).modules  # type: ignore[attr-defined]
    networks, untrained = modules.networks, modules.new_networks()
    features = torch.randn(64, networks.world_model.cost[0].linear.in_features)

    def read(head: Any) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            costs, termination = head.read(features)
        return costs.clone(), termination.clone()

    (before_costs, before), (new_costs, new) = (
        read(networks.world_model.cost),
        read(untrained.world_model.cost),
    )
    assert not torch.equal(before, new)
    reset_costs(networks, untrained, keeps_termination=keeps)
    costs, termination = read(networks.world_model.cost)
    assert torch.equal(costs, new_costs)
    assert not torch.equal(costs, before_costs)
    assert torch.equal(termination, before if keeps else new)

"""The weights of an agent's networks, to compare them later."""

from __future__ import annotations

from typing import Any

import torch


def weights(agent: Any) -> dict[str, torch.Tensor]:
    """Copies of them, by name."""
    return {name: value.clone() for name, value in agent.modules.networks.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether the weights of `one` are those of the same names of `other`."""
    return all(torch.equal(value, other[name]) for name, value in one.items())

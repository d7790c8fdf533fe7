"""The networks that planning searches, with matrices in the precision of the large products.

A search asks the same weights thousands of times, and nothing of their gradients. Autocast would cast every
weight at every product; here one copy a decision does it.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from agent.actor.policy import Policy
from agent.cost.critic import Critic
from agent.networks import Networks
from agent.world_model.dynamics import WorldModel


class PlanningNetworks:
    """World model, critic and policy of `modules`, the linear layers among them in `dtype`.

    Everything else, norms, scales, bins, is shared. The copies are those of the last `renewed`. With a
    `dtype` of float32 all is shared.
    """

    def __init__(self, networks: Networks, dtype: torch.dtype):
        parts = nn.ModuleList([networks.world_model, networks.critic, networks.policy])
        self.originals: list[Tensor] = []
        self.copies: list[Tensor] = []
        known: dict[int, Any] = {id(tensor): tensor for tensor in (*parts.parameters(), *parts.buffers())}
        if dtype != torch.float32:
            for layer in parts.modules():
                if isinstance(layer, nn.Linear):
                    for parameter in layer.parameters():
                        low = nn.Parameter(parameter.detach().to(dtype), requires_grad=False)
                        known[id(parameter)] = low
                        self.originals.append(parameter)
                        self.copies.append(low)
        low_parts: Any = copy.deepcopy(parts, known)
        self.world_model: WorldModel = low_parts[0]
        self.critic: Critic = low_parts[1]
        self.policy: Policy = low_parts[2]

    @torch.no_grad()
    def renewed(self) -> "PlanningNetworks":
        """Itself, with the weights that the modules have now."""
        if self.copies:
            torch._foreach_copy_(self.copies, self.originals)
        return self

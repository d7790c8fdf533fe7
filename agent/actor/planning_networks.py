"""The networks that planning evaluates, with their matrices in the precision of the matrix products.

Planning evaluates the same weights thousands of times and needs no gradients. Autocast would convert every
weight at every product; here the weights are converted once a decision.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from agent.actor.policy import Policy
from agent.cost.critic import Critic
from agent.fused_networks import FusedNetworks, refusal
from agent.networks import Networks
from agent.world_model.dynamics import WorldModel


class PlanningNetworks:
    """World model, critic and policy of `networks`, with the linear layers in `dtype`.

    Everything else (norms, scales, bins) is shared with `networks`. The copies of the linear layers are those
    of the last call of `renewed`. With float32 everything is shared.

    Args:
        networks: the networks that learn.
        dtype: of the matrix products.
        fused: whether energies are computed on plain tensors where they can be; see `FusedNetworks`.
    """

    def __init__(self, networks: Networks, dtype: torch.dtype, fused: bool = True):
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
        self._networks = networks
        self._served = fused and refusal(networks, str(dtype).removeprefix("torch.")) is None
        self._fused: FusedNetworks | None = None

    @torch.no_grad()
    def renewed(self) -> "PlanningNetworks":
        """Itself, with the present weights of the networks that learn."""
        if self.copies:
            torch._foreach_copy_(self.copies, self.originals)
        return self

    @property
    def fused(self) -> FusedNetworks | None:
        """The networks on plain tensors; None where the settings or the networks leave them to modules."""
        if self._served and (self._fused is None or self._fused.outdated):
            self._fused = FusedNetworks(self._networks)
        return self._fused

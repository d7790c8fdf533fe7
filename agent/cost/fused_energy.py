"""The energy of the default agent on plain tensors: the sum of the terms of `Energy`, in less time."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from agent.cost.energy import Energy, EnergyWeights
from agent.fused_networks import FusedNetworks, ensemble_logits
from agent.world_model.dynamics import mean_of


class FusedEnergy(Energy):
    """An energy of learned costs without constraints. `terms` are those of `Energy`.

    The cost head reads the features of all predicted steps at once, and the sum is taken from its end:
    E_t = c_t + gamma (1 - termination_t) E_{t+1}, where E_H is the critic's cost-to-go.

    Args:
        fused: the networks.
        parts: the arguments of `Energy`, without costs and constraints.
    """

    def __init__(self, fused: FusedNetworks, *parts: Any) -> None:
        super().__init__(*parts)
        self.fused = fused

    @staticmethod
    def knows(weights: EnergyWeights) -> bool:
        """Whether it computes all terms that have a weight; one that was added to `Energy.terms` it does not."""
        return not any(
            value for name, value in vars(weights).items() if name not in ("uncertainty", "action")
        )

    def __call__(self, actions: Float[Tensor, "batch samples horizon act"]) -> Float[Tensor, "batch samples"]:
        """The energy of each sequence."""
        if actions.requires_grad:  # the passes of plain tensors have no gradient
            return super().__call__(actions)
        networks, weights = self.fused, self.weights
        batch, samples, horizon, act = actions.shape
        latent, rows = networks.latent, batch * samples
        pairs = actions.new_empty(horizon, rows, latent + act)
        pairs[..., latent:] = actions.flatten(0, 1).transpose(0, 1)
        z: Tensor = self.z.unsqueeze(1).expand(-1, samples, -1).reshape(rows, latent)
        features, uncertainties = [], []
        for step in pairs.unbind(0):
            step[:, :latent] = z
            heads, feature, _ = networks.predict(step)
            features.append(feature)
            if weights.uncertainty:
                uncertainties.append(networks.disagreement(heads))
            z = mean_of(heads)
        model, critic = self.world_model, self.critic
        out, _ = networks.cost.forward(torch.cat(features))
        cost = model.two_hot.value(out[:, :-1]).mul_(model.cost_scale).view(horizon, rows)
        if weights.uncertainty:
            uncharged = self.uncharged_disagreement(horizon).repeat_interleave(samples, 1)
            charged = torch.stack(uncertainties).sub_(uncharged).clamp_min_(0.0)
            cost.add_(charged, alpha=weights.uncertainty)
        if weights.action:
            cost.add_(pairs[..., latent:].square().sum(-1), alpha=weights.action)
        mode = networks.policy.forward(z)[0][:, :act].tanh()
        logits, _ = ensemble_logits(networks.critics, torch.cat((z, mode), -1), critic.two_hot.bins)
        total = critic.two_hot.value(logits).mean(1).mul_(critic.scale)
        survival = torch.sigmoid(-out[:, -1]).view(horizon, rows) if self.terminates else None
        for t in range(horizon - 1, -1, -1):
            onward = total if survival is None else total * survival[t]
            total = torch.add(cost[t], onward, alpha=self.discount)
        return total.view(batch, samples)

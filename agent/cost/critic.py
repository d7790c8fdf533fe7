"""The trainable cost: an ensemble of critics."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from agent.layers import NormedLinear, TwoHot, zero_linear


class Critic(nn.Module):
    """The trainable cost: an ensemble that predicts the discounted cost still to come.

    (z [rows, latent], action [rows, act]) -> two-hot logits [rows, critics, bins] of the cost-to-go over
    `scale`, the size of returns here. Evenly spaced bins, because what tells one action from another is a
    small share of the cost-to-go, which a logarithmic code blurs.
    """

    LIMIT = 5.0
    scale: Tensor

    def __init__(self, latent: int, act: int, hidden: int, critics: int, bins: int):
        super().__init__()
        self.two_hot = TwoHot(bins, self.LIMIT, logarithmic=False)
        self.register_buffer("scale", torch.ones(()))
        # Separate products, because on a CPU they take 60 % of the time of one batched product.
        self.members = nn.ModuleList(
            nn.Sequential(
                NormedLinear(latent + act, hidden), NormedLinear(hidden, hidden), zero_linear(hidden, bins)
            )
            for _ in range(critics)
        )

    def logits(
        self, z: Float[Tensor, "rows latent"], action: Float[Tensor, "rows act"]
    ) -> Float[Tensor, "rows critics bins"]:
        """Two-hot logits of every critic."""
        pair = torch.cat((z, action), -1)
        return torch.stack([member(pair) for member in self.members], 1)

    def forward(
        self, z: Float[Tensor, "rows latent"], action: Float[Tensor, "rows act"]
    ) -> Float[Tensor, "rows critics"]:
        """Cost-to-go by every critic, in the environment's units."""
        return self.two_hot.value(self.logits(z, action)) * self.scale

"""The critic: the trainable part of the cost, an ensemble of two-hot heads."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from agent.layers import NormedLinear, TwoHot, through, zero_linear


class Critic(nn.Module):
    """Predicts the cost-to-go, the discounted sum of future costs; it is minus the return.

    (z, action) -> two-hot logits of the cost-to-go over `scale`, the usual size of a cost-to-go in this
    environment. The bins are evenly spaced: actions differ by a small share of the cost-to-go, which
    logarithmic bins do not resolve.

    Args:
        latent: size of z.
        act: size of an action.
        hidden: width of the hidden layers.
        critics: size of the ensemble.
        bins: of each head.
    """

    LIMIT = 5.0
    """The largest value of a head, in units of `scale`."""
    scale: Tensor

    def __init__(self, latent: int, act: int, hidden: int, critics: int, bins: int):
        super().__init__()
        self.two_hot = TwoHot(bins, self.LIMIT, logarithmic=False)
        self.register_buffer("scale", torch.ones(()))
        # Separate products: on a CPU they take 60 % of the time of one batched product.
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
        return torch.stack([through(member, pair) for member in self.members], 1)

    def forward(
        self, z: Float[Tensor, "rows latent"], action: Float[Tensor, "rows act"]
    ) -> Float[Tensor, "rows critics"]:
        """Cost-to-go by every critic, in the environment's units."""
        return self.two_hot.value(self.logits(z, action)) * self.scale

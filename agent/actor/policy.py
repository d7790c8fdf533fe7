"""The policy (mode 1): acts without planning."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from agent.layers import NormedLinear, full, through

LOG_STD_LOW, LOG_STD_HIGH = -10.0, 2.0
"""Bounds of the log standard deviation before squashing."""


class Policy(nn.Module):
    """z -> a squashed Gaussian over actions in [-1, 1] (Haarnoja et al. 2018, appendix C).

    Args:
        latent: size of z.
        act: size of an action.
        hidden: width of the hidden layers.
    """

    def __init__(self, latent: int, act: int, hidden: int):
        super().__init__()
        self.action_size = act
        self.trunk = nn.Sequential(NormedLinear(latent, hidden), NormedLinear(hidden, hidden))
        self.out = nn.Linear(hidden, 2 * act)
        with torch.no_grad():
            self.out.weight.mul_(0.1)
            self.out.bias.zero_()

    def distribution(
        self, z: Float[Tensor, "rows latent"]
    ) -> tuple[Float[Tensor, "rows act"], Float[Tensor, "rows act"]]:
        """Mean and log standard deviation before squashing."""
        mean, log_std = self.out.forward(through(self.trunk, z)).chunk(2, -1)
        log_std = LOG_STD_LOW + 0.5 * (LOG_STD_HIGH - LOG_STD_LOW) * (log_std.tanh() + 1.0)
        return mean, log_std

    def forward(self, z: Float[Tensor, "rows latent"]) -> Float[Tensor, "rows act"]:
        """The most likely action."""
        return self.distribution(z)[0].tanh()

    def sample(
        self, z: Float[Tensor, "rows latent"], generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "rows act"], Float[Tensor, " rows"]]:
        """An action and its log-probability, differentiable in the policy's weights."""
        mean, log_std = self.distribution(z)
        mean, log_std = full(mean), full(log_std)
        noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
        raw = torch.addcmul(mean, noise, log_std.exp())
        log_prob = (-0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)).sum(-1)
        # log(1 - tanh(x)^2) = 2 (log 2 - x - softplus(-2x)), without cancellation.
        log_prob = log_prob - (2.0 * (math.log(2.0) - raw - F.softplus(-2.0 * raw))).sum(-1)
        return raw.tanh(), log_prob

    def draw(
        self,
        z: Float[Tensor, "rows latent"],
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "rows act"]:
        """An action as from `sample`, without its log-probability."""
        mean, log_std = self.distribution(z)
        mean, log_std = full(mean), full(log_std)
        noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
        return torch.addcmul(mean, noise, log_std.exp()).tanh()

    def with_noise(
        self, z: Float[Tensor, "rows latent"], noise: Float[Tensor, "n act"]
    ) -> Float[Tensor, "rows act"]:
        """Actions for standard normal `noise`, which repeats every n rows; 0 gives the most likely action."""
        mean, log_std = self.distribution(z)
        mean, std = full(mean).unflatten(0, (-1, len(noise))), full(log_std).exp()
        return torch.addcmul(mean, noise, std.unflatten(0, (-1, len(noise)))).tanh().flatten(0, 1)

"""WORLD MODEL of latents that stay as they are: it predicts by how much an action changes them.

While perception learns, latents move, and the dynamics must follow them. Where perception stays as it is, all that
is remembered has its latent once and for all, and a larger network learns from it in less time. What an action
changes in one decision is little beside what tells moments apart; so the change is predicted, in units of the usual
change.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from agent.layers import NormedLinear, through
from agent.world_model.dynamics import Step

HIDDEN = 512
"""Width of both hidden layers."""
PRODUCTS = 128
"""Products of two linear functions that the first hidden layer reads too. How a thing is pushed depends on where
one is in its own axes, and turning axes takes products; a layer of sums needs many units for one."""
LEAST_USUAL = 0.01
"""Usual changes are at least this share of the usual one of all numbers: what never changes has rounding alone."""
NEVER = -50.0
"""Logit of a termination: how episodes end is not learned here."""


class Products(nn.Module):
    """x -> x and products of its linear functions.

    Args:
        inputs: size of x.
        products: how many.
    """

    def __init__(self, inputs: int, products: int) -> None:
        super().__init__()
        self.factors = nn.Linear(inputs, 2 * products)

    def forward(self, x: Float[Tensor, "rows inputs"]) -> Float[Tensor, "rows outputs"]:
        """x, and the products after it."""
        one, other = self.factors(x).chunk(2, -1)
        return torch.cat((x, one * other), -1)


class ResidualDynamics(nn.Module):
    """(z, action) -> Step, for plans by what latents alone tell.

    Args:
        latent: size of z.
        act: size of an action.
    """

    mean: Tensor
    spread: Tensor
    """Mean and standard deviation of each number of the latents."""
    usual: Tensor
    """Of the change of each number in one decision: root mean square, in units of `spread`."""

    def __init__(self, latent: int, act: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(latent))
        self.register_buffer("spread", torch.ones(latent))
        self.register_buffer("usual", torch.ones(latent))
        self.layers = nn.Sequential(
            Products(latent + act, PRODUCTS),
            NormedLinear(latent + act + PRODUCTS, HIDDEN),
            NormedLinear(HIDDEN, HIDDEN),
            nn.Linear(HIDDEN, latent),
        )

    def measure(self, before: Float[Tensor, "rows latent"], after: Float[Tensor, "rows latent"]) -> None:
        """Takes the scales from latents, and from those of the decisions after them."""
        spread, mean = torch.std_mean(before, 0, correction=0)
        self.mean.copy_(mean)
        # A number that hardly changes is not to count as much as those that say where things are.
        self.spread.copy_(spread + 0.1 * spread.square().mean().sqrt() + 1e-6)
        # By each number for itself: a place changes little beside a velocity, and its errors are to count as much.
        changes = ((after - before) / self.spread).square().mean(0).sqrt()
        self.usual.copy_(changes + LEAST_USUAL * changes.square().mean().sqrt() + 1e-6)

    def change(
        self, z: Float[Tensor, "rows latent"], action: Float[Tensor, "rows act"]
    ) -> Float[Tensor, "rows latent"]:
        """The change, in units of `usual` and `spread`."""
        return through(self.layers, torch.cat(((z - self.mean) / self.spread, action), -1))

    def expect(
        self, z: Float[Tensor, "rows latent"], action: Float[Tensor, "rows act"]
    ) -> Float[Tensor, "rows latent"]:
        """The latent one decision later."""
        return z + self.usual * self.spread * self.change(z, action)

    def predict(self, z: Float[Tensor, "rows latent"], action: Float[Tensor, "rows act"]) -> Step:
        """One predicted step from `z` under `action`, without cost."""
        following = self.expect(z, action)
        return Step(following.unsqueeze(0), z.new_zeros(len(z), 0), torch.full_like(z[:, 0], NEVER))

    def loss(
        self,
        z: Float[Tensor, "time_and_one rows latent"],
        action: Float[Tensor, "time rows act"],
        valid: Float[Tensor, "time rows"],
    ) -> Float[Tensor, ""]:
        """Mean squared error of latents predicted along windows, in units of `usual` and `spread`.

        Args:
            z: latents that followed each other.
            action: what was done.
            valid: 1 where a step belongs to the episode of the first one, else 0.
        """
        now, total = z[0], z.new_zeros(())
        for following, taken, counts in zip(z[1:], action, valid, strict=True):
            now = self.expect(now, taken)
            error = ((now - following) / (self.usual * self.spread)).square().mean(-1)
            total = total + (counts * error).sum()
        return total / valid.sum().clamp_min(1.0)

"""The collapse monitor: measures how much of the latent space is in use."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

COLLAPSED_IN_A_ROW = 3
"""Successive measurements that must show a collapse: a young encoder passes through low ranks."""


@dataclass(frozen=True)
class LatentHealth:
    """Measurements of a batch of latents."""

    std: float
    """Mean over dimensions of the standard deviation over the batch."""
    dead: float
    """Share of dimensions whose deviation is under 1 % of the mean."""
    rank: float
    """Effective rank: exp of the entropy of the covariance spectrum (Roy and Vetterli 2007)."""
    relative_error: float
    """Prediction error over the targets' variance; 1 is no better than predicting their mean."""

    def collapsed(self, first_std: float = 0.0) -> bool:
        """Whether the latents have collapsed.

        They have where no variance is left, or where the little variance that is left, in size or in
        directions, is not predicted. Rank alone misses a latent that shrank to noise, since noise has every
        direction. `benchmarks/reliability/collapse_alarm.py` measures how well this works.

        Args:
            first_std: `std` of the untrained encoder.
        """
        shrunk = self.std < 0.1 * first_std and self.relative_error > 1.0
        narrow = self.rank < 1.5 and self.relative_error > 0.9
        return not (self.std > 1e-4) or self.dead > 0.95 or shrunk or narrow


@torch.no_grad()
def latent_health(z: Float[Tensor, "rows latent"], predicted: Float[Tensor, "rows latent"]) -> LatentHealth:
    """Measures targets `z` and their predictions; all NaN when a target is not finite."""
    z, predicted = z.float(), predicted.float()
    std = z.std(0)
    centred = z - z.mean(0)
    if not bool(centred.isfinite().all()):
        return LatentHealth(math.nan, math.nan, math.nan, math.nan)
    spectrum = torch.linalg.svdvals(centred).square()
    share = spectrum / spectrum.sum().clamp_min(1e-30)
    rank = torch.exp(-(share * share.clamp_min(1e-30).log()).sum())
    error = (predicted - z).square().mean() / centred.square().mean().clamp_min(1e-30)
    dead = (std < 0.01 * std.mean().clamp_min(1e-12)).float().mean()
    return LatentHealth(std.mean().item(), dead.item(), rank.item(), error.item())

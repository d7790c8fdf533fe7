"""Model predictive path integral control as TD-MPC2 runs it: elites weighted by exp(-energy).

Williams et al. 2016; Hansen et al., TD-MPC2, 2024, section 3.2. Three things differ from TD-MPC2. The current
mean is a candidate of every iteration. Elites of earlier iterations compete with new candidates and are not
evaluated again. The plan returned is the best candidate evaluated; `Plan.by_mean` replaces it by the mean, and
`Plan.sample` draws among the elites, as TD-MPC2 does while it explores.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from planners.base import check_settings, setting
from planners.gaussian_search import GaussianSearch


@dataclass(frozen=True)
class MPPISettings:
    """Settings of MPPI. Standard deviations are relative to the half-width of the action box."""

    samples: int = setting(64, 1, 1_000_000)
    """Candidate action sequences per iteration, the current mean among them."""
    iterations: int = setting(3, 1, 1_000)
    """Number of times that candidates are drawn and the Gaussian is fitted again."""
    elites: int = setting(12, 1, 1_000_000)
    """Best candidates, whose weighted mean and standard deviation give the next Gaussian."""
    temperature: float = setting(0.5, 1e-9, 1e9)
    """Inverse temperature: an elite has weight exp(-temperature * (energy - least energy))."""
    relative: bool = False
    """Divide energy differences by the elites' standard deviation, so that the scale of the cost has no effect."""
    std_min: float = setting(0.05, 0.0, 1e3)
    """Minimum standard deviation of the Gaussian; 1 is half the action range."""
    std_max: float = setting(2.0, 1e-9, 1e3)
    """Maximum standard deviation of the Gaussian, with which the search starts; 1 is half the action range."""

    def __post_init__(self) -> None:
        check_settings(self)


class MPPI(GaussianSearch[MPPISettings]):
    """Mean and standard deviation are those of the elites, by weight. Arguments, errors: see `GaussianSearch`."""

    @property
    def kept(self) -> int:
        """See `GaussianSearch`; all of them."""
        return self.settings.elites

    def weights(self, energy: Float[Tensor, "batch elites"]) -> Float[Tensor, "batch elites"]:
        """See `GaussianSearch`; exp(-temperature * energy)."""
        above = energy - energy[:, :1]
        if self.settings.relative:
            finite = energy.isfinite()
            count = finite.sum(dim=1, keepdim=True)
            known = torch.where(finite, above, 0)
            centred = torch.where(finite, known - known.sum(dim=1, keepdim=True) / count, 0)
            std = (centred.square().sum(dim=1, keepdim=True) / count).sqrt()
            above = above / std.clamp_min(torch.finfo(energy.dtype).tiny)
        return (above * -self.settings.temperature).softmax(dim=1)

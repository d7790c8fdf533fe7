"""iCEM: the cross-entropy method made sample-efficient (Pinneri et al. 2020).

It adds four things to CEM. The noise is correlated along the horizon. Some elites are kept for the next
iteration and the next decision. Each iteration draws fewer candidates. The mean is a candidate of the last
iteration. A kept elite keeps its known energy here and is not evaluated again.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from planners.base import Bound, check_settings, setting
from planners.elites import uniform_weights
from planners.gaussian_search import GaussianSearch


@dataclass(frozen=True)
class ICEMSettings:
    """Settings of iCEM. Standard deviations are relative to the half-width of the action box."""

    samples: int = setting(128, 1, 1_000_000)
    """Candidate action sequences in the first iteration."""
    iterations: int = setting(4, 1, 1_000)
    """Number of times that candidates are drawn and the Gaussian is fitted again."""
    elites: int = setting(10, 1, 1_000_000)
    """Best candidates of an iteration, to which the Gaussian is fitted."""
    colour: float = setting(1.0, 0.0, 10.0)
    """Colour of the noise along the horizon: its power is frequency**-colour. 0 is white noise, 2 a random walk."""
    kept: float = setting(0.3, 0.0, 1.0)
    """Share of the elites kept for the next iteration, and for the next decision where `actor.prior_std` is 0."""
    decay: float = setting(1.25, 1.0, 10.0)
    """Factor by which the number of candidates falls in each iteration, to not less than twice the elites."""
    momentum: float = setting(0.1, 0.0, 0.999)
    """Weight of the previous mean and standard deviation in the new ones."""
    std_min: float = setting(0.05, 0.0, 1e3)
    """Minimum standard deviation of the Gaussian; 1 is half the action range."""
    std_max: float = setting(0.5, 1e-9, 1e3)
    """Maximum standard deviation of the Gaussian, with which the search starts; 1 is half the action range."""

    def __post_init__(self) -> None:
        check_settings(self)


def coloured(
    horizon: int, exponent: float, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "horizon horizon"]:
    """The matrix that turns white noise along the horizon into noise of power 1/f**exponent.

    Its columns are the real Fourier basis, each scaled by f**(-exponent/2). The mean (f = 0) counts as the
    lowest frequency. Every step keeps unit variance, so that only the correlation in time changes. Exponent 0
    gives an orthogonal matrix, which leaves white noise white. It is the synthesis of Timmer and Koenig 1995
    as one product instead of an inverse transform.

    Args:
        horizon: number of decisions.
        exponent: the noise's colour.
        dtype: dtype of the matrix.
        device: device of the matrix.
    """
    steps = torch.arange(horizon, dtype=torch.float64)
    columns = []
    for k in range(horizon // 2 + 1):
        gain = (max(k, 1) / horizon) ** (-exponent / 2)
        angle = 2 * math.pi * k * steps / horizon
        if k == 0 or 2 * k == horizon:
            columns.append(gain * angle.cos())
        else:
            columns += [gain * math.sqrt(2) * angle.cos(), gain * math.sqrt(2) * angle.sin()]
    basis = torch.stack(columns, dim=1)
    return (basis / basis[0].norm()).to(dtype=dtype, device=device)


class ICEM(GaussianSearch[ICEMSettings]):
    """Coloured noise, and elites kept from decision to decision. Arguments, errors: see `GaussianSearch`."""

    def __init__(self, settings: ICEMSettings, horizon: int, low: Bound, high: Bound, batch: int = 1) -> None:
        super().__init__(settings, horizon, low, high, batch)
        self._colour = coloured(horizon, settings.colour, self.box.low.dtype, self.box.low.device)
        self.warm_elites = round(settings.kept * settings.elites)
        least = min(2 * settings.elites, settings.samples)
        self._samples = [
            max(int(settings.samples / settings.decay**k), least) for k in range(settings.iterations)
        ]

    @property
    def kept(self) -> int:
        """See `GaussianSearch`; as many as are candidates of the next decision."""
        return self.warm_elites

    def draws(self, generator: torch.Generator | None) -> Sequence[Float[Tensor, "samples horizon act"]]:
        """See `GaussianSearch`; fewer in each iteration. The mean is a candidate of the first and the last one."""
        noise = self._colour @ self.box.normal(sum(self._samples), generator=generator)
        iterations = noise.split(self._samples)
        iterations[0][0] = 0
        iterations[-1][0] = 0
        return iterations

    def weights(self, energy: Float[Tensor, "batch elites"]) -> Float[Tensor, "batch elites"]:
        """See `GaussianSearch`; all alike."""
        return uniform_weights(energy)

    def followed(
        self, before: Float[Tensor, "batch horizon act"], fitted: Float[Tensor, "batch horizon act"]
    ) -> Float[Tensor, "batch horizon act"]:
        """See `GaussianSearch`; with momentum."""
        return torch.lerp(fitted, before, self.settings.momentum)

"""iCEM, the cross-entropy method made sample-efficient (Pinneri et al. 2020).

Noise is correlated in time, some elites live on from iteration to iteration and from decision to
decision, the population shrinks, and the mean joins the candidates of the last iteration. Elites
that live on keep their known energy instead of being evaluated again.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from planners.base import (
    Bound,
    Box,
    Elites,
    EnergyFn,
    Plan,
    check_settings,
    evaluate,
    mixed,
    setting,
    uniform_weights,
)


@dataclass(frozen=True)
class ICEMSettings:
    """What iCEM accepts. Standard deviations are relative to the half-width of the action box."""

    samples: int = setting(128, 1, 1_000_000)
    """Candidate sequences of the first iteration."""
    iterations: int = setting(4, 1, 1_000)
    """Rounds of refinement."""
    elites: int = setting(10, 1, 1_000_000)
    """Candidates that the Gaussian is refitted to."""
    colour: float = setting(1.0, 0.0, 10.0)
    """Exponent of the noise: its power falls as frequency**-colour; 0 is white, 2 a random walk."""
    kept: float = setting(0.3, 0.0, 1.0)
    """Share of the elites that lives on, into the next iteration and the next decision."""
    decay: float = setting(1.25, 1.0, 10.0)
    """Each iteration draws this many times fewer candidates, down to twice the elites."""
    momentum: float = setting(0.1, 0.0, 0.999)
    """Weight of the old mean and spread in the new ones."""
    std_min: float = setting(0.05, 0.0, 1e3)
    """Least spread of the Gaussian."""
    std_max: float = setting(0.5, 1e-9, 1e3)
    """Greatest spread, and the first."""

    def __post_init__(self) -> None:
        check_settings(self)


def coloured(
    horizon: int, exponent: float, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "horizon horizon"]:
    """The matrix that turns white noise along the horizon into noise of power 1/f**exponent.

    Its columns are the real Fourier basis, each scaled by f**(-exponent/2), with the mean (f = 0)
    treated as the lowest frequency. Every step keeps unit variance, so only the correlation in time
    changes; exponent 0 gives an orthogonal matrix, which leaves white noise white. This is the
    synthesis of Timmer and Koenig 1995 as one product instead of an inverse transform.
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


class ICEM:
    """Gaussian search with coloured noise and elites that live on."""

    def __init__(self, settings: ICEMSettings, horizon: int, low: Bound, high: Bound, batch: int = 1) -> None:
        self.settings, self.horizon = settings, horizon
        self.box = Box(horizon, low, high, batch)
        self._least, self._most = settings.std_min * self.box.half, settings.std_max * self.box.half
        self._colour = coloured(horizon, settings.colour, self.box.low.dtype, self.box.low.device)
        self._kept = round(settings.kept * settings.elites)
        floor = min(2 * settings.elites, settings.samples)
        self._sizes = [
            max(int(settings.samples / settings.decay**k), floor) for k in range(settings.iterations)
        ]

    @torch.no_grad()
    def plan(
        self,
        energy: EnergyFn,
        *,
        warm_start: Plan | None = None,
        proposals: Float[Tensor, "batch n horizon act"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Plan:
        """See `Planner.plan`."""
        box, settings = self.box, self.settings
        rounds = (self._colour @ box.normal(sum(self._sizes), generator=generator)).split(self._sizes)
        # The first mean is the warm start's; the last is the search's own conclusion.
        rounds[0][0] = 0
        rounds[-1][0] = 0
        mean, std = box.start(warm_start), box.spread(warm_start, self._most)
        given = box.given(warm_start, proposals, warm_elites=self._kept)
        elites = Elites(settings.elites, keep=self._kept)
        for noise in rounds:
            candidates = box.clamp_(torch.addcmul(mean.unsqueeze(1), std.unsqueeze(1), noise))
            candidates, given = mixed(candidates, given), None
            elites.update(candidates, evaluate(energy, candidates))
            new_mean, new_std = elites.moments(uniform_weights(elites.energy))
            mean = torch.lerp(new_mean, mean, settings.momentum)
            std = torch.lerp(new_std, std, settings.momentum).clamp_(self._least, self._most)
        return elites.plan(mean, std)

"""Model predictive path integral control as TD-MPC2 runs it: elites weighted by exp(-energy).

Williams et al. 2016; Hansen et al., TD-MPC2, 2024, section 3.2. Here the current mean is itself a
candidate of every iteration, elites compete across iterations without being evaluated twice, and
the plan returned is the best candidate evaluated. `Plan.sample` draws among the elites instead, as
TD-MPC2 does while it explores.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from planners.base import Bound, Box, Elites, EnergyFn, Plan, check_settings, evaluate, mixed, setting


@dataclass(frozen=True)
class MPPISettings:
    """What MPPI accepts. Standard deviations are relative to the half-width of the action box."""

    samples: int = setting(64, 1, 1_000_000)
    """Candidate sequences per iteration, the current mean among them."""
    iterations: int = setting(3, 1, 1_000)
    """Rounds of refinement."""
    elites: int = setting(12, 1, 1_000_000)
    """Candidates that shape the next round."""
    temperature: float = setting(0.5, 1e-9, 1e9)
    """Inverse temperature: an elite weighs exp(-temperature * (energy - least energy))."""
    relative: bool = False
    """Measure energy differences in standard deviations of the elites, whatever the cost's scale."""
    std_min: float = setting(0.05, 0.0, 1e3)
    """Least spread of the search distribution."""
    std_max: float = setting(2.0, 1e-9, 1e3)
    """Greatest spread, and the first."""

    def __post_init__(self) -> None:
        check_settings(self)


class MPPI:
    """Gaussian search whose mean and spread follow the elites, weighted by their energy."""

    def __init__(self, settings: MPPISettings, horizon: int, low: Bound, high: Bound, batch: int = 1) -> None:
        self.settings, self.horizon = settings, horizon
        self.box = Box(horizon, low, high, batch)
        self._least, self._most = settings.std_min * self.box.half, settings.std_max * self.box.half

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
        noise = box.normal(settings.iterations, settings.samples, generator=generator)
        noise[:, 0] = 0  # candidate 0 is the mean itself
        mean, std = box.start(warm_start), box.spread(warm_start, self._most)
        given = box.given(warm_start, proposals)
        elites = Elites(settings.elites, keep=settings.elites)
        for white in noise:
            candidates = box.clamp_(torch.addcmul(mean.unsqueeze(1), std.unsqueeze(1), white))
            candidates, given = mixed(candidates, given), None
            elites.update(candidates, evaluate(energy, candidates))
            mean, std = elites.moments(self._weights(elites.energy))
            std = std.clamp_(self._least, self._most)
        return elites.plan(mean, std)

    def _weights(self, energy: Float[Tensor, "batch elites"]) -> Float[Tensor, "batch elites"]:
        above = energy - energy[:, :1]
        if self.settings.relative:
            finite = energy.isfinite()
            count = finite.sum(dim=1, keepdim=True)
            known = torch.where(finite, above, 0)
            centred = torch.where(finite, known - known.sum(dim=1, keepdim=True) / count, 0)
            spread = (centred.square().sum(dim=1, keepdim=True) / count).sqrt()
            above = above / spread.clamp_min(torch.finfo(energy.dtype).tiny)
        return (above * -self.settings.temperature).softmax(dim=1)

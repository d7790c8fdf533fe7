"""The cross-entropy method: refit a Gaussian to the best candidates, and repeat (Rubinstein 1999)."""

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
class CEMSettings:
    """What CEM accepts. Standard deviations are relative to the half-width of the action box."""

    samples: int = setting(128, 1, 1_000_000)
    """Candidate sequences per iteration, the current mean among them."""
    iterations: int = setting(4, 1, 1_000)
    """Rounds of refinement."""
    elites: int = setting(16, 1, 1_000_000)
    """Candidates that the Gaussian is refitted to."""
    std_min: float = setting(0.05, 0.0, 1e3)
    """Least spread of the Gaussian."""
    std_max: float = setting(1.0, 1e-9, 1e3)
    """Greatest spread, and the first."""

    def __post_init__(self) -> None:
        check_settings(self)


class CEM:
    """Gaussian search whose mean and spread are those of the elites."""

    def __init__(self, settings: CEMSettings, horizon: int, low: Bound, high: Bound, batch: int = 1) -> None:
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
        elites = Elites(settings.elites, keep=1)
        for white in noise:
            candidates = box.clamp_(torch.addcmul(mean.unsqueeze(1), std.unsqueeze(1), white))
            candidates, given = mixed(candidates, given), None
            elites.update(candidates, evaluate(energy, candidates))
            mean, std = elites.moments(uniform_weights(elites.energy))
            std = std.clamp_(self._least, self._most)
        return elites.plan(mean, std)

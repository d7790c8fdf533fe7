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

from planners.action_box import ActionBox
from planners.anytime import while_asked
from planners.base import Bound, EnergyFn, Plan, Proceed, check_settings, setting
from planners.elites import Elites, evaluate, with_given


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


class MPPI:
    """Iterated Gaussian sampling: mean and standard deviation are those of the elites, by weight.

    Args:
        settings: the planner's own settings.
        horizon: number of decisions planned ahead.
        low: lower bounds of the action, a tensor [act] or one number.
        high: upper bounds of the action, as `low`.
        batch: number of environments planned for at once.

    Raises:
        SettingError: for bounds, a horizon or a batch that cannot be used.
    """

    def __init__(self, settings: MPPISettings, horizon: int, low: Bound, high: Bound, batch: int = 1) -> None:
        self.settings, self.horizon = settings, horizon
        self.box = ActionBox(horizon, low, high, batch)
        self._std_min, self._std_max = settings.std_min * self.box.half, settings.std_max * self.box.half

    @torch.no_grad()
    def plan(
        self,
        energy: EnergyFn,
        *,
        warm_start: Plan | None = None,
        proposals: Float[Tensor, "batch n horizon act"] | None = None,
        generator: torch.Generator | None = None,
        proceed: Proceed | None = None,
    ) -> Plan:
        """See `Planner.plan`."""
        box, settings = self.box, self.settings
        noise = box.normal(settings.iterations, settings.samples, generator=generator)
        noise[:, 0] = 0  # candidate 0 is the mean itself
        mean, std = box.first_mean(warm_start), box.first_std(warm_start, self._std_max)
        given = box.given_candidates(warm_start, proposals)
        elites = Elites(settings.elites, keep=settings.elites)
        for white in while_asked(noise, proceed):
            candidates = box.clamp_(torch.addcmul(mean.unsqueeze(1), std.unsqueeze(1), white))
            candidates, given = with_given(candidates, given), None
            elites.update(candidates, evaluate(energy, candidates))
            mean, std = elites.moments(self._weights(elites.energy))
            std = std.clamp_(self._std_min, self._std_max)
        return elites.plan(mean, std)

    def _weights(self, energy: Float[Tensor, "batch elites"]) -> Float[Tensor, "batch elites"]:
        """Weights of the elites, best first; each row sums to 1, and an elite of energy +inf has weight 0."""
        above = energy - energy[:, :1]
        if self.settings.relative:
            finite = energy.isfinite()
            count = finite.sum(dim=1, keepdim=True)
            known = torch.where(finite, above, 0)
            centred = torch.where(finite, known - known.sum(dim=1, keepdim=True) / count, 0)
            std = (centred.square().sum(dim=1, keepdim=True) / count).sqrt()
            above = above / std.clamp_min(torch.finfo(energy.dtype).tiny)
        return (above * -self.settings.temperature).softmax(dim=1)

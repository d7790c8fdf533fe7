"""The cross-entropy method: fit a Gaussian to the best candidates, draw from it, repeat (Rubinstein 1999)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from planners.action_box import ActionBox
from planners.anytime import while_asked
from planners.base import Bound, EnergyFn, Plan, Proceed, check_settings, setting
from planners.elites import Elites, evaluate, uniform_weights, with_given


@dataclass(frozen=True)
class CEMSettings:
    """Settings of CEM. Standard deviations are relative to the half-width of the action box."""

    samples: int = setting(128, 1, 1_000_000)
    """Candidate action sequences per iteration, the current mean among them."""
    iterations: int = setting(4, 1, 1_000)
    """Number of times that candidates are drawn and the Gaussian is fitted again."""
    elites: int = setting(16, 1, 1_000_000)
    """Best candidates of an iteration, to which the Gaussian is fitted."""
    std_min: float = setting(0.05, 0.0, 1e3)
    """Minimum standard deviation of the Gaussian; 1 is half the action range."""
    std_max: float = setting(1.0, 1e-9, 1e3)
    """Maximum standard deviation of the Gaussian, with which the search starts; 1 is half the action range."""

    def __post_init__(self) -> None:
        check_settings(self)


class CEM:
    """Iterated Gaussian sampling: mean and standard deviation are those of the elites.

    Args:
        settings: the planner's own settings.
        horizon: number of decisions planned ahead.
        low: lower bounds of the action, a tensor [act] or one number.
        high: upper bounds of the action, as `low`.
        batch: number of environments planned for at once.

    Raises:
        SettingError: for bounds, a horizon or a batch that cannot be used.
    """

    def __init__(self, settings: CEMSettings, horizon: int, low: Bound, high: Bound, batch: int = 1) -> None:
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
        elites = Elites(settings.elites, keep=1)
        for white in while_asked(noise, proceed):
            candidates = box.clamp_(torch.addcmul(mean.unsqueeze(1), std.unsqueeze(1), white))
            candidates, given = with_given(candidates, given), None
            elites.update(candidates, evaluate(energy, candidates))
            mean, std = elites.moments(uniform_weights(elites.energy))
            std = std.clamp_(self._std_min, self._std_max)
        return elites.plan(mean, std)

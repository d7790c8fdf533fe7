"""Random shooting: the best of many uniformly random sequences, the baseline for every other planner."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from planners.action_box import ActionBox
from planners.base import Bound, EnergyFn, Plan, Proceed, check_settings, setting
from planners.elites import Elites, evaluate, with_given


@dataclass(frozen=True)
class RandomShootingSettings:
    """Settings of random shooting."""

    samples: int = setting(512, 1, 1_000_000)
    """Number of candidate action sequences."""
    elites: int = setting(24, 1, 1_000_000)
    """Number of best candidates that are returned with the plan."""

    def __post_init__(self) -> None:
        check_settings(self)


class RandomShooting:
    """Draws every sequence uniformly in the box and takes the best.

    Args:
        settings: the planner's own settings.
        horizon: number of decisions planned ahead.
        low: lower bounds of the action, a tensor [act] or one number.
        high: upper bounds of the action, as `low`.
        batch: number of environments planned for at once.

    Raises:
        SettingError: for bounds, a horizon or a batch that cannot be used.
    """

    def __init__(
        self, settings: RandomShootingSettings, horizon: int, low: Bound, high: Bound, batch: int = 1
    ) -> None:
        self.settings, self.horizon = settings, horizon
        self.box = ActionBox(horizon, low, high, batch)

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
        """See `Planner.plan`. All candidates are one iteration, so that `proceed` is never asked."""
        box, settings = self.box, self.settings
        share = torch.rand(
            settings.samples,
            box.horizon,
            box.act,
            generator=generator,
            dtype=box.low.dtype,
            device=box.low.device,
        )
        drawn = box.clamp_(torch.addcmul(box.low, share, 2 * box.half))
        candidates = with_given(
            drawn.expand(box.batch, -1, -1, -1), box.given_candidates(warm_start, proposals)
        )
        elites = Elites(settings.elites, keep=1)
        elites.update(candidates, evaluate(energy, candidates))
        return elites.plan()

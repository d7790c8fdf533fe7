"""Random shooting: the best of many uniformly random sequences, the floor for every other planner."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from planners.base import Bound, Box, Elites, EnergyFn, Plan, check_settings, evaluate, mixed, setting


@dataclass(frozen=True)
class RandomShootingSettings:
    """What random shooting accepts."""

    samples: int = setting(512, 1, 1_000_000)
    """Candidate sequences."""
    elites: int = setting(24, 1, 1_000_000)
    """Best candidates reported with the plan."""

    def __post_init__(self) -> None:
        check_settings(self)


class RandomShooting:
    """Draws every sequence uniformly in the box and takes the best."""

    def __init__(
        self, settings: RandomShootingSettings, horizon: int, low: Bound, high: Bound, batch: int = 1
    ) -> None:
        self.settings, self.horizon = settings, horizon
        self.box = Box(horizon, low, high, batch)

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
        share = torch.rand(
            settings.samples,
            box.horizon,
            box.act,
            generator=generator,
            dtype=box.low.dtype,
            device=box.low.device,
        )
        drawn = box.clamp_(torch.addcmul(box.low, share, 2 * box.half))
        candidates = mixed(drawn.expand(box.batch, -1, -1, -1), box.given(warm_start, proposals))
        elites = Elites(settings.elites, keep=1)
        elites.update(candidates, evaluate(energy, candidates))
        return elites.plan()

"""Iterated Gaussian sampling: draw candidates, fit mean and standard deviation to the best, repeat.

CEM and MPPI are two ways to weigh the best candidates, and to keep them.
"""

from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from planners.action_box import ActionBox
from planners.anytime import while_asked
from planners.base import Bound, EnergyFn, Plan, Proceed
from planners.elites import Elites, evaluate, with_given


@runtime_checkable
class GaussianSettings(Protocol):
    """What such a search is set by. Standard deviations are relative to the half-width of the action box."""

    @property
    def samples(self) -> int: ...
    @property
    def iterations(self) -> int: ...
    @property
    def elites(self) -> int: ...
    @property
    def std_min(self) -> float: ...
    @property
    def std_max(self) -> float: ...


class GaussianSearch(ABC):
    """The search.

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
        self, settings: GaussianSettings, horizon: int, low: Bound, high: Bound, batch: int = 1
    ) -> None:
        self._search, self.horizon = settings, horizon
        self.box = ActionBox(horizon, low, high, batch)
        self._std_min, self._std_max = settings.std_min * self.box.half, settings.std_max * self.box.half

    @property
    @abstractmethod
    def kept(self) -> int:
        """Elites that compete with the candidates of the next iteration."""

    @abstractmethod
    def weights(self, energy: Float[Tensor, "batch elites"]) -> Float[Tensor, "batch elites"]:
        """Weights of the elites, best first; each row sums to 1, and an elite of energy +inf has weight 0."""

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
        box, search = self.box, self._search
        noise = box.normal(search.iterations, search.samples, generator=generator)
        noise[:, 0] = 0  # candidate 0 is the mean itself
        mean, std = box.first_mean(warm_start), box.first_std(warm_start, self._std_max)
        given = box.given_candidates(warm_start, proposals)
        elites = Elites(search.elites, keep=self.kept)
        for white in while_asked(noise, proceed):
            candidates = box.clamp_(torch.addcmul(mean.unsqueeze(1), std.unsqueeze(1), white))
            candidates, given = with_given(candidates, given), None
            elites.update(candidates, evaluate(energy, candidates))
            mean, std = elites.moments(self.weights(elites.energy))
            std = std.clamp_(self._std_min, self._std_max)
        return elites.plan(mean, std)

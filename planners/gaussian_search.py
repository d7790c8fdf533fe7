"""Iterated Gaussian sampling: draw candidates, fit mean and standard deviation to the best, repeat.

CEM, iCEM and MPPI are three ways to draw candidates, to weigh the best of them, and to keep them.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar, runtime_checkable

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


S = TypeVar("S", bound=GaussianSettings)


class GaussianSearch(ABC, Generic[S]):
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

    warm_elites = 0
    """The warm start's best elites that are candidates too."""

    def __init__(self, settings: S, horizon: int, low: Bound, high: Bound, batch: int = 1) -> None:
        self.settings, self.horizon = settings, horizon
        self.box = ActionBox(horizon, low, high, batch)
        self._std_min, self._std_max = settings.std_min * self.box.half, settings.std_max * self.box.half

    @property
    @abstractmethod
    def kept(self) -> int:
        """Elites that compete with the candidates of the next iteration."""

    @abstractmethod
    def weights(self, energy: Float[Tensor, "batch elites"]) -> Float[Tensor, "batch elites"]:
        """Weights of the elites, best first; each row sums to 1, and an elite of energy +inf has weight 0."""

    def draws(
        self, generator: torch.Generator | None
    ) -> Sequence[Float[Tensor, "samples horizon act"]] | Float[Tensor, "iterations samples horizon act"]:
        """Noise of each iteration, of variance 1; candidate 0 is the mean itself where its noise is 0."""
        noise = self.box.normal(self.settings.iterations, self.settings.samples, generator=generator)
        noise[:, 0] = 0
        return noise

    def followed(
        self, before: Float[Tensor, "batch horizon act"], fitted: Float[Tensor, "batch horizon act"]
    ) -> Float[Tensor, "batch horizon act"]:
        """The next mean or standard deviation, from the one before and that of the elites."""
        return fitted

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
        box = self.box
        draws = self.draws(generator)
        mean, std = box.first_mean(warm_start), box.first_std(warm_start, self._std_max)
        given = box.given_candidates(warm_start, proposals, warm_elites=self.warm_elites)
        elites = Elites(self.settings.elites, keep=self.kept)
        for noise in while_asked(draws, proceed):
            candidates = box.clamp_(torch.addcmul(mean.unsqueeze(1), std.unsqueeze(1), noise))
            candidates, given = with_given(candidates, given), None
            elites.update(candidates, evaluate(energy, candidates))
            new_mean, new_std = elites.moments(self.weights(elites.energy))
            mean = self.followed(mean, new_mean)
            std = self.followed(std, new_std).clamp_(self._std_min, self._std_max)
        # Rounding may bring the mean of elites at the edge of the box a little beyond it.
        return elites.plan(box.clamp_(mean.clone()), std)

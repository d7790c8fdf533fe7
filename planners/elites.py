"""Candidates, their energies, and the elites: the best candidates found."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from planners.base import EnergyFn, Plan, PlanError


def with_given(
    candidates: Float[Tensor, "batch samples horizon act"],
    given: Float[Tensor, "batch given horizon act"] | None,
) -> Float[Tensor, "batch mixed horizon act"]:
    """The candidates, the last of them replaced by the `given` ones.

    The number of candidates stays, so that the caller's candidates cost no further evaluations. One drawn candidate
    is kept in any case: where as many are given as are drawn, or more, there are more candidates.
    """
    if given is None:
        return candidates
    drawn = max(candidates.shape[1] - given.shape[1], 1)
    return torch.cat([candidates[:, :drawn], given], dim=1)


def evaluate(
    energy: EnergyFn, candidates: Float[Tensor, "batch samples horizon act"]
) -> Float[Tensor, "batch samples"]:
    """Energies in the candidates' dtype; every non-finite one becomes +inf, so that it is never chosen.

    Raises:
        PlanError: when the energy function returns another shape.
    """
    values = energy(candidates)
    if values.shape != candidates.shape[:2]:
        found, expected = tuple(values.shape), tuple(candidates.shape[:2])
        raise PlanError(f"the energy function returned shape {found}, expected {expected}")
    inf = math.inf
    return torch.nan_to_num(values.to(candidates.dtype), nan=inf, posinf=inf, neginf=inf)


def uniform_weights(energy: Float[Tensor, "batch elites"]) -> Float[Tensor, "batch elites"]:
    """Equal weights over the elites of finite energy; at least one must be finite."""
    finite = energy.isfinite().to(energy.dtype)
    return finite / finite.sum(dim=1, keepdim=True)


class Elites:
    """The best candidates found, best first; place 0 is the best of all iterations.

    Args:
        count: number of elites.
        keep: number of elites that compete with the next iteration's candidates. They keep their known
            energies, which costs no evaluation. At least one is kept, so that the least energy never
            increases.
    """

    actions: Float[Tensor, "batch elites horizon act"]
    energy: Float[Tensor, "batch elites"]

    def __init__(self, count: int, keep: int) -> None:
        self.count, self.keep = count, max(keep, 1)
        self._trace: list[Float[Tensor, " batch"]] = []

    def update(
        self,
        candidates: Float[Tensor, "batch samples horizon act"],
        energy: Float[Tensor, "batch samples"],
    ) -> None:
        """Selects the elites from the kept ones and one iteration's candidates.

        Raises:
            PlanError: when no candidate of the first iteration has a finite energy, with the environments.
        """
        first = not self._trace
        if not first:
            candidates = torch.cat([self.actions[:, : self.keep], candidates], dim=1)
            energy = torch.cat([self.energy[:, : self.keep], energy], dim=1)
        self.energy, index = energy.topk(self.count, dim=1, largest=False)
        batch, horizon, act = candidates.shape[0], candidates.shape[2], candidates.shape[3]
        flat = candidates.flatten(2)
        if batch == 1:  # faster than a gather
            chosen = flat[0].index_select(0, index[0])
        else:
            chosen = flat.gather(1, index.unsqueeze(2).expand(-1, -1, horizon * act))
        self.actions = chosen.view(batch, self.count, horizon, act)
        best = self.energy[:, 0]
        if first and not bool(best.isfinite().all()):
            rows = (~best.isfinite()).nonzero().flatten().tolist()
            raise PlanError(f"every candidate has a non-finite energy (environments {rows} of {batch})")
        self._trace.append(best)

    def moments(
        self, weights: Float[Tensor, "batch elites"]
    ) -> tuple[Float[Tensor, "batch horizon act"], Float[Tensor, "batch horizon act"]]:
        """Weighted mean and standard deviation of the elites; the weights of each row sum to 1."""
        flat, row = self.actions.flatten(2), weights.unsqueeze(1)
        mean = torch.bmm(row, flat)
        variance = torch.bmm(row, (flat - mean).square_())
        shape = (self.actions.shape[0], *self.actions.shape[2:])
        return mean.view(shape), variance.sqrt_().view(shape)

    def plan(
        self,
        mean: Float[Tensor, "batch horizon act"] | None = None,
        std: Float[Tensor, "batch horizon act"] | None = None,
    ) -> Plan:
        """The plan after the last iteration: the best candidate, the elites and the sampling distribution."""
        return Plan(
            actions=self.actions[:, 0],
            energy=self.energy[:, 0],
            mean=mean,
            std=std,
            elites=self.actions,
            elite_energy=self.energy,
            trace=torch.stack(self._trace),
        )

"""The box of allowed action sequences, and the candidates that a planner starts from."""

import torch
from jaxtyping import Float
from torch import Tensor

from planners.base import Bound, Plan, PlanError, SettingError


class ActionBox:
    """The allowed sequences [batch, horizon, act], between `low` and `high` in every action dimension.

    The box also fixes the dtype and device of a planner: those of the bound that is a tensor. Standard
    deviations in planner settings are relative to the half-width of the box, so that 1 spans from its centre
    to its edge.

    Args:
        horizon: number of decisions planned ahead.
        low: lower bounds, a tensor [act] or one number.
        high: upper bounds, as `low`.
        batch: number of environments planned for at once.

    Raises:
        SettingError: for bounds that are not finite or not in order, and for a horizon or batch below 1.
    """

    def __init__(self, horizon: int, low: Bound, high: Bound, batch: int) -> None:
        like = next((side for side in (low, high) if isinstance(side, Tensor)), torch.zeros(1))
        sides = [torch.atleast_1d(torch.as_tensor(side).to(like)) for side in (low, high)]
        if not all(side.is_floating_point() for side in sides):
            raise SettingError(
                f"low, high: found {sides[0].dtype} and {sides[1].dtype}, expected floating-point numbers"
            )
        self.low, self.high = torch.broadcast_tensors(*sides)
        proper = self.low.isfinite() & self.high.isfinite() & (self.low < self.high)
        if self.low.ndim != 1 or not bool(proper.all()):
            found = f"{sides[0].tolist()} and {sides[1].tolist()}"
            raise SettingError(f"low, high: found {found}, expected finite numbers, low below high")
        for name, count in (("horizon", horizon), ("batch", batch)):
            if count < 1:
                raise SettingError(f"{name}: {count!r} is outside 1 to infinity")
        self.batch, self.horizon, self.act = batch, horizon, self.low.shape[0]
        self.half = (self.high - self.low) / 2
        self.centre = (self.low + self.half).expand(batch, horizon, self.act)
        # A box with equal sides clamps with two scalars, which is several times faster.
        pairs = set(zip(self.low.tolist(), self.high.tolist(), strict=True))
        self._scalars = pairs.pop() if len(pairs) == 1 else None

    def clamp_(self, sequences: Float[Tensor, "*any horizon act"]) -> Float[Tensor, "*any horizon act"]:
        """Projects sequences onto the box, in place."""
        if self._scalars is not None:
            return sequences.clamp_(*self._scalars)
        return torch.clamp(sequences, self.low, self.high, out=sequences)

    def normal(
        self, *leading: int, generator: torch.Generator | None
    ) -> Float[Tensor, "*leading horizon act"]:
        """Standard normal noise for sequences, shared over the batch."""
        shape, like = (*leading, self.horizon, self.act), self.low
        return torch.randn(shape, generator=generator, dtype=like.dtype, device=like.device)

    def first_mean(self, warm_start: Plan | None) -> Float[Tensor, "batch horizon act"]:
        """First mean of a sampling distribution: that of the warm start, else the centre of the box.

        Raises:
            PlanError: for a warm start of another shape.
        """
        if warm_start is None:
            return self.centre
        mean = warm_start.actions if warm_start.mean is None else warm_start.mean
        return self._project(mean.unsqueeze(1), "warm_start").squeeze(1)

    def first_std(
        self, warm_start: Plan | None, std_max: Float[Tensor, " act"]
    ) -> Float[Tensor, "batch horizon act"]:
        """First standard deviation: that of the warm start but at most `std_max`, else `std_max`."""
        if warm_start is None or warm_start.std is None:
            return std_max.expand_as(self.centre)
        return warm_start.std.to(self.low).expand_as(self.centre).minimum(std_max)

    def given_candidates(
        self,
        warm_start: Plan | None,
        proposals: Float[Tensor, "batch n horizon act"] | None,
        warm_elites: int = 0,
    ) -> Float[Tensor, "batch given horizon act"] | None:
        """The candidates of the caller, projected onto the box; None when there are none.

        Args:
            warm_start: its actions are a candidate.
            proposals: further candidates.
            warm_elites: number of the warm start's best elites that are candidates too.

        Raises:
            PlanError: for sequences that do not fit the batch, the horizon or the action.
        """
        parts = []
        if warm_start is not None:
            parts.append(self._project(warm_start.actions.unsqueeze(1), "warm_start"))
            if warm_elites and warm_start.elites is not None:
                parts.append(self._project(warm_start.elites[:, :warm_elites], "warm_start"))
        if proposals is not None and proposals.shape[1]:
            parts.append(self._project(proposals, "proposals"))
        return torch.cat(parts, dim=1) if parts else None

    def _project(
        self, sequences: Float[Tensor, "batch n horizon act"], name: str
    ) -> Float[Tensor, "batch n horizon act"]:
        expected = (self.batch, sequences.shape[1], self.horizon, self.act)
        if sequences.shape != expected:
            raise PlanError(
                f"{name}: sequences of shape {tuple(sequences.shape)} do not fit "
                f"batch {self.batch}, horizon {self.horizon}, act {self.act}"
            )
        # A NaN that a policy proposed becomes an ordinary candidate: its energy decides.
        return self.clamp_(torch.nan_to_num(sequences.detach().to(self.low)))

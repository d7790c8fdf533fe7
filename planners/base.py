"""The planner's contract, and the pieces every planner shares.

A planner searches for the action sequence of least energy. It knows tensors and one callable, the
energy of candidate sequences, and nothing of models, agents or environments.

Axes: batch (environments planned for at once), samples (candidates), elites (the best of them),
horizon (decisions ahead), act (action dimensions).
"""

import dataclasses
import math
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from joule_errors import Refused, Stopped

EnergyFn = Callable[[Float[Tensor, "batch samples horizon act"]], Float[Tensor, "batch samples"]]
"""Energy of every candidate, lower is better. Rows are independent; non-finite means `never`."""

Bound = float | int | Tensor
"""A side of the action box: one value per action dimension, [act], or a single number."""


class SettingError(Refused):
    """A planner setting that cannot be used; one sentence naming the field, the value and the range."""


class PlanError(Stopped):
    """No plan can be made, for example because every candidate has a non-finite energy."""


@dataclass(frozen=True)
class Plan:
    """The sequence of least energy that a planner found, and what the search knew at its end."""

    actions: Float[Tensor, "batch horizon act"]
    """The best sequence evaluated, inside the box."""
    energy: Float[Tensor, " batch"]
    """Its energy, finite."""
    mean: Float[Tensor, "batch horizon act"] | None = None
    """Centre of the search distribution after its last update; centres the next search."""
    std: Float[Tensor, "batch horizon act"] | None = None
    """Spread of the search distribution, in units of the action."""
    elites: Float[Tensor, "batch elites horizon act"] | None = None
    """The best sequences, best first."""
    elite_energy: Float[Tensor, "batch elites"] | None = None
    """Their energies; +inf marks a place that no finite candidate filled."""
    trace: Float[Tensor, "iterations batch"] | None = None
    """Best energy so far after each iteration; never increases."""

    def shifted(self, restart: Bool[Tensor, " batch"] | None = None) -> "Plan":
        """The warm start of the next decision: the first action dropped, the last repeated.

        `restart` marks environments whose episode has just begun: their sequences become zeros.
        The energy is carried over for the record only; planners evaluate a warm start anew.
        """

        def shift(sequence: Tensor | None) -> Tensor | None:
            if sequence is None:
                return None
            moved = torch.cat([sequence[..., 1:, :], sequence[..., -1:, :]], dim=-2)
            if restart is not None:
                moved[restart] = 0
            return moved

        actions = shift(self.actions)
        assert actions is not None
        return dataclasses.replace(
            self, actions=actions, mean=shift(self.mean), std=None, elites=shift(self.elites), trace=None
        )

    def sample(
        self, temperature: float, generator: torch.Generator | None = None
    ) -> Float[Tensor, "batch horizon act"]:
        """One elite per environment, drawn with probability proportional to exp(-temperature * energy).

        This is how TD-MPC2 explores while it learns (Hansen et al. 2024). The draw is the Gumbel-max
        trick with noise shared over the batch. A plan without elites has one candidate: its actions.
        """
        if self.elites is None or self.elite_energy is None:
            return self.actions
        count = self.elite_energy.shape[1]
        waits = torch.empty(count, dtype=self.energy.dtype, device=self.energy.device)
        waits.exponential_(generator=generator)
        chosen = (-temperature * self.elite_energy - waits.log()).argmax(dim=1)
        return self.elites[torch.arange(len(chosen), device=chosen.device), chosen]


@runtime_checkable
class Planner(Protocol):
    """Anything that turns an energy into a plan."""

    horizon: int

    def plan(
        self,
        energy: EnergyFn,
        *,
        warm_start: Plan | None = None,
        proposals: Float[Tensor, "batch n horizon act"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Plan:
        """The plan of least energy found; never worse than `warm_start` or any of `proposals`.

        Both are projected onto the box and evaluated as they stand: shift a warm start first, with
        `Plan.shifted`. A warm start's mean centres the search, and its `std`, when it has one, says how
        wide the search begins. All noise comes from `generator` and is shared over the batch, so planning
        for several environments at once equals planning for each alone. Raises PlanError when an
        environment has no candidate of finite energy.
        """
        ...


def setting(default: Any, low: float | int, high: float | int) -> Any:
    """A numeric field of a settings dataclass whose value must lie in [low, high]."""
    return field(default=default, metadata={"range": (low, high)})


def check_settings(settings: Any) -> None:
    """Raises SettingError unless every field has its type, lies in its range, and they agree."""
    hints = typing.get_type_hints(type(settings))
    for item in dataclasses.fields(settings):
        name, value, hint = item.name, getattr(settings, item.name), hints[item.name]
        if hint is bool:
            fits = isinstance(value, bool)
        else:
            fits = isinstance(value, (int, float) if hint is float else int) and not isinstance(value, bool)
        if not fits:
            kind = {int: "a whole number", float: "a number", bool: "true or false"}[hint]
            raise SettingError(f"{name}: found {value!r}, expected {kind}")
        bounds = item.metadata.get("range")
        if bounds and not (math.isfinite(value) and bounds[0] <= value <= bounds[1]):
            raise SettingError(f"{name}: {value!r} is outside {bounds[0]:g} to {bounds[1]:g}")
    for smaller, larger in (("elites", "samples"), ("std_min", "std_max")):
        least, most = getattr(settings, smaller, None), getattr(settings, larger, None)
        if least is not None and most is not None and least > most:
            raise SettingError(f"{smaller}: {least!r} exceeds {larger} {most!r}")


class Box:
    """The set of allowed sequences, [batch, horizon, act] between `low` and `high`.

    It also fixes the dtype and device of a planner: those of `low`. Standard deviations in planner
    settings are relative to the half-width of the box, so 1 spans from the centre to the edge.
    """

    def __init__(self, horizon: int, low: Bound, high: Bound, batch: int) -> None:
        like = next((side for side in (low, high) if isinstance(side, Tensor)), torch.zeros(1))
        sides = [torch.atleast_1d(torch.as_tensor(side).to(like)) for side in (low, high)]
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

    def start(self, warm_start: Plan | None) -> Float[Tensor, "batch horizon act"]:
        """Where a search distribution is centred first: on the warm start, else on the box."""
        if warm_start is None:
            return self.centre
        mean = warm_start.actions if warm_start.mean is None else warm_start.mean
        return self._project(mean.unsqueeze(1), "warm_start").squeeze(1)

    def spread(
        self, warm_start: Plan | None, most: Float[Tensor, " act"]
    ) -> Float[Tensor, "batch horizon act"]:
        """How wide a search distribution is first: as wide as the warm start says, else `most`."""
        if warm_start is None or warm_start.std is None:
            return most.expand_as(self.centre)
        return warm_start.std.to(self.low).expand_as(self.centre).minimum(most)

    def given(
        self,
        warm_start: Plan | None,
        proposals: Float[Tensor, "batch n horizon act"] | None,
        warm_elites: int = 0,
    ) -> Float[Tensor, "batch given horizon act"] | None:
        """The candidates a caller handed in: the warm start, its best elites, and the proposals."""
        parts = []
        if warm_start is not None:
            parts.append(self._project(warm_start.actions.unsqueeze(1), "warm_start"))
            if warm_elites and warm_start.elites is not None:
                parts.append(self._project(warm_start.elites[:, :warm_elites], "warm_start"))
        if proposals is not None and proposals.shape[1]:
            parts.append(self._project(proposals, "proposals"))
        return torch.cat(parts, dim=1) if parts else None

    def _project(self, sequences: Tensor, name: str) -> Tensor:
        expected = (self.batch, sequences.shape[1], self.horizon, self.act)
        if sequences.shape != expected:
            raise PlanError(
                f"{name}: sequences of shape {tuple(sequences.shape)} do not fit "
                f"batch {self.batch}, horizon {self.horizon}, act {self.act}"
            )
        # A NaN that a policy proposed becomes an ordinary candidate, judged by its energy.
        return self.clamp_(torch.nan_to_num(sequences.detach().to(self.low)))


def mixed(
    candidates: Float[Tensor, "batch samples horizon act"],
    given: Float[Tensor, "batch given horizon act"] | None,
) -> Float[Tensor, "batch mixed horizon act"]:
    """The first candidates with the given ones in place of the last, so that the number stays."""
    if given is None:
        return candidates
    own = max(candidates.shape[1] - given.shape[1], 1)
    return torch.cat([candidates[:, :own], given], dim=1)


def evaluate(
    energy: EnergyFn, candidates: Float[Tensor, "batch samples horizon act"]
) -> Float[Tensor, "batch samples"]:
    """Energies in the candidates' dtype, with every non-finite one made +inf so that it cannot win."""
    values = energy(candidates)
    if values.shape != candidates.shape[:2]:
        found, expected = tuple(values.shape), tuple(candidates.shape[:2])
        raise PlanError(f"the energy function returned shape {found}, expected {expected}")
    inf = math.inf
    return torch.nan_to_num(values.to(candidates.dtype), nan=inf, posinf=inf, neginf=inf)


class Elites:
    """The best candidates of a search, best first; place 0 is the best of all iterations.

    `keep` of them compete with the next iteration's candidates at their known energies, which costs
    no evaluation. At least one is kept, so the best energy never increases.
    """

    actions: Float[Tensor, "batch elites horizon act"]
    energy: Float[Tensor, "batch elites"]

    def __init__(self, count: int, keep: int) -> None:
        self.count, self.keep = count, max(keep, 1)
        self._trace: list[Tensor] = []

    def update(
        self,
        candidates: Float[Tensor, "batch samples horizon act"],
        energy: Float[Tensor, "batch samples"],
    ) -> None:
        """Takes in one iteration's candidates. Raises PlanError when the first has no finite energy."""
        first = not self._trace
        if not first:
            candidates = torch.cat([self.actions[:, : self.keep], candidates], dim=1)
            energy = torch.cat([self.energy[:, : self.keep], energy], dim=1)
        self.energy, index = energy.topk(self.count, dim=1, largest=False)
        batch, horizon, act = candidates.shape[0], candidates.shape[2], candidates.shape[3]
        flat = candidates.flatten(2)
        if batch == 1:
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

    def plan(self, mean: Tensor | None = None, std: Tensor | None = None) -> Plan:
        """The finished plan: the best candidate, and the elites for those who sample among them."""
        return Plan(
            actions=self.actions[:, 0],
            energy=self.energy[:, 0],
            mean=mean,
            std=std,
            elites=self.actions,
            elite_energy=self.energy,
            trace=torch.stack(self._trace),
        )


def uniform_weights(energy: Float[Tensor, "batch elites"]) -> Float[Tensor, "batch elites"]:
    """Equal weights over the elites of finite energy; at least one must be finite."""
    finite = energy.isfinite().to(energy.dtype)
    return finite / finite.sum(dim=1, keepdim=True)

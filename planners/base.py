"""The contract of a planner: what goes in, what comes out, and how its settings are declared.

A planner optimises action sequences for least energy. It knows tensors and one callable, the energy of
candidate sequences. It knows nothing of models, agents or environments.

Axes: `batch` (environments planned for at once), `samples` (candidates), `elites` (the best candidates),
`horizon` (decisions ahead), `act` (action dimensions).
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
from joule_errors.words import unfit

EnergyFn = Callable[[Float[Tensor, "batch samples horizon act"]], Float[Tensor, "batch samples"]]
"""Energy of every candidate; lower is better, and a non-finite one is never chosen. Rows are independent."""

Proceed = Callable[[], bool]
"""Whether a search may make another iteration; False ends it with the best plan so far."""

Bound = float | int | Float[Tensor, "..."]
"""One side of the action box: a tensor [act], or one number for all action dimensions."""


class SettingError(Refused):
    """A planner setting that cannot be used; one sentence with the field, the value and the range."""


class PlanError(Stopped):
    """No plan can be made, for example because every candidate has a non-finite energy."""


@dataclass(frozen=True)
class Plan:
    """The sequence that a planner found, and the state of the optimiser at its end."""

    actions: Float[Tensor, "batch horizon act"]
    """The sequence to follow, inside the box."""
    energy: Float[Tensor, " batch"]
    """Its energy, finite."""
    mean: Float[Tensor, "batch horizon act"] | None = None
    """Mean of the sampling distribution after its last update; the next plan starts from it."""
    std: Float[Tensor, "batch horizon act"] | None = None
    """Standard deviation of the sampling distribution, in units of the action."""
    elites: Float[Tensor, "batch elites horizon act"] | None = None
    """The best sequences, best first."""
    elite_energy: Float[Tensor, "batch elites"] | None = None
    """Their energies; +inf marks a place that no finite candidate filled."""
    trace: Float[Tensor, "iterations batch"] | None = None
    """Least energy found up to and including each iteration; it never increases."""

    def shifted(self, restart: Bool[Tensor, " batch"] | None = None) -> "Plan":
        """The warm start of the next decision: the first action is dropped, the last one repeated.

        Args:
            restart: marks the environments [batch] whose episode has just begun; their sequences become
                zeros.

        Returns:
            A plan without `std` and `trace`. Its energies are those of this plan; a planner evaluates a warm
            start anew.
        """
        return dataclasses.replace(
            self,
            actions=_shift(self.actions, restart),
            mean=None if self.mean is None else _shift(self.mean, restart),
            std=None,
            elites=None if self.elites is None else _shift(self.elites, restart),
            trace=None,
        )

    def by_mean(self, energy: EnergyFn) -> "Plan":
        """The mean of the sampling distribution in place of the best candidate, where its energy suits.

        The best of many noisy candidates is best in part by errors of the energy, which the mean averages out. It
        replaces the best candidate where it costs no more than the worst of the elites: a mean between two ways
        round an obstacle does not.

        Args:
            energy: what the plan was made for; evaluated once, for one candidate an environment.

        Returns:
            This plan where it has no mean or no elites.
        """
        if self.mean is None or self.elite_energy is None:
            return self
        found = energy(self.mean.unsqueeze(1))[:, 0].to(self.energy.dtype)
        worst = torch.where(self.elite_energy.isfinite(), self.elite_energy, -math.inf).amax(1)
        taken = found.isfinite() & (found <= worst)
        return dataclasses.replace(
            self,
            actions=torch.where(taken[:, None, None], self.mean, self.actions),
            energy=torch.where(taken, found, self.energy),
        )

    def sample(
        self, temperature: float, generator: torch.Generator | None = None
    ) -> Float[Tensor, "batch horizon act"]:
        """One elite per environment, drawn with probability proportional to exp(-temperature * energy).

        TD-MPC2 explores in this way while it learns (Hansen et al. 2024). The draw uses the Gumbel-max trick,
        with noise that is shared over the batch. A plan without elites has one candidate, its actions.

        Args:
            temperature: inverse temperature, in 1 / energy; 0 draws uniformly.
            generator: source of the noise; None uses torch's default generator.
        """
        if self.elites is None or self.elite_energy is None:
            return self.actions
        count = self.elite_energy.shape[1]
        exponential = torch.empty(count, dtype=self.energy.dtype, device=self.energy.device)
        exponential.exponential_(generator=generator)
        score = -temperature * self.elite_energy - exponential.log()
        chosen = torch.where(self.elite_energy.isfinite(), score, -math.inf).argmax(dim=1)
        return self.elites[torch.arange(len(chosen), device=chosen.device), chosen]


def _shift(
    sequences: Float[Tensor, "batch *n horizon act"], restart: Bool[Tensor, " batch"] | None
) -> Float[Tensor, "batch *n horizon act"]:
    """Sequences one decision later; zeros for the environments that `restart` marks."""
    moved = torch.cat([sequences[..., 1:, :], sequences[..., -1:, :]], dim=-2)
    if restart is not None:
        moved[restart] = 0
    return moved


@runtime_checkable
class Planner(Protocol):
    """Anything that turns an energy into a plan."""

    horizon: int
    """Number of decisions planned ahead."""

    def plan(
        self,
        energy: EnergyFn,
        *,
        warm_start: Plan | None = None,
        proposals: Float[Tensor, "batch n horizon act"] | None = None,
        generator: torch.Generator | None = None,
        proceed: Proceed | None = None,
    ) -> Plan:
        """The plan of least energy found; never worse than `warm_start` or any of `proposals`.

        Args:
            energy: the energy of candidates.
            warm_start: a plan to start from; shift the plan of the last decision first, with `Plan.shifted`.
                Its mean is the first mean of the sampling distribution; its `std`, where it has one, the
                first width.
            proposals: candidates of the caller, for example from a policy. Like the warm start, they are
                projected onto the box and then evaluated unchanged.
            generator: source of all noise. The noise is shared over the batch, so a batch of plans equals the
                plans made one environment at a time. It is drawn before the first iteration, so that a search
                that ends early has made the first iterations of the whole one.
            proceed: asked before every iteration but the first whether there is time for it; None makes all
                iterations that the settings ask for.

        Raises:
            PlanError: when an environment has no candidate of finite energy.
        """
        ...


def setting(default: Any, low: float | int, high: float | int) -> Any:
    """A numeric field of a settings dataclass, whose value must lie in [low, high].

    The settings are also read from the source of the module, without importing it. So a field is written
    `name: int|float|bool = setting(default, low, high)` with literals, or `= literal`, and its docstring
    follows it. The docstring is the text of `--help`.
    """
    return field(default=default, metadata={"range": (low, high)})


def check_settings(settings: Any) -> None:
    """Checks a settings dataclass; called from its `__post_init__`.

    Raises:
        SettingError: for a field of the wrong type or out of its range, for more elites than samples, and for
            a `std_min` above `std_max`.
    """
    types = typing.get_type_hints(type(settings))
    values: dict[str, Any] = {}
    for item in dataclasses.fields(settings):
        value = values[item.name] = getattr(settings, item.name)
        if reason := unfit(value, types[item.name], *item.metadata.get("range", ())):
            raise SettingError(f"{item.name}: {reason}")
    for smaller, larger in (("elites", "samples"), ("std_min", "std_max")):
        if smaller in values and larger in values and values[smaller] > values[larger]:
            raise SettingError(f"{smaller}: {values[smaller]!r} exceeds {larger} {values[larger]!r}")

"""Legibility: how well the readouts of an environment can be read off the agent's latents.

R² is the share of a readout's variance that the prediction explains: 1 is exact, and 0 is no better than the mean.
A task or a constraint on a readout of low R² acts on noise. It depends on the steps on which it is measured: a
readout that hardly varies in them has a low R² even where its error is small.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from agent.cost.derivations import parts_of
from agent.cost.readouts import Readouts
from joule_errors.words import rounded_down

if TYPE_CHECKING:
    from torch import Tensor

LEGIBLE = 0.8
"""Least R² of a readout that a task or a constraint can act on."""
CONSTANT = 1e-10
"""A readout of a smaller variance, relative to its squared size, does not vary: it has no R²."""
FEWEST_ROWS = 64
"""With fewer steps no R² is measured."""


def r_squared(layout: Readouts, true: Tensor, read: Tensor) -> dict[str, float]:
    """R² of every readout, derived ones included; NaN for one that does not vary in these steps.

    That of a readout of several numbers is 1 minus the sum of their squared errors over the sum of their
    squared deviations. The difference of two angles is the short way round. `qpos`, `qvel` and quaternions are left
    out: what they are made of is there.

    Args:
        layout: the names of the readouts.
        true: the readouts [rows, readouts] of the environment.
        read: what was read off the latents of the same steps, [rows, readouts].

    Returns:
        Name -> R². Empty with fewer than FEWEST_ROWS rows in which all is finite.
    """
    finite = true.isfinite().all(-1) & read.isfinite().all(-1)
    true, read = true[finite].double(), read[finite].double()
    if len(true) < FEWEST_ROWS:
        return {}
    found = {}
    for name in layout.names:
        if name not in layout.sizes or _is_compound(layout, name):
            continue
        actual, predicted = layout.value(name, true), layout.value(name, read)
        assert actual is not None
        assert predicted is not None
        found[name] = _share_explained(actual, predicted, layout.turns(name))
    return found


def _share_explained(actual: Tensor, predicted: Tensor, turns: bool) -> float:
    error, deviation = predicted - actual, actual - actual.mean(0)
    if turns:
        centre = actual.sin().mean(0).atan2(actual.cos().mean(0))
        error, deviation = _short_way(error), _short_way(actual - centre)
    spread = float(deviation.square().sum())
    if spread <= CONSTANT * (len(actual) + float(actual.square().sum())):
        return math.nan
    return 1.0 - float(error.square().sum()) / spread


def _short_way(angle: Tensor) -> Tensor:
    """An angle within half a turn."""
    return angle.sin().atan2(angle.cos())


def _is_compound(layout: Readouts, name: str) -> bool:
    """Whether a readout is several others one after the other, or is one as a quaternion."""
    source = layout.derived.get(name)
    if source is None:
        return False
    return source["as"] == "quaternion" or (source["as"] == "value" and name in ("qpos", "qvel"))


def illegible(layout: Readouts, legibility: Mapping[str, float], used: Collection[str]) -> dict[str, float]:
    """Those of the readouts `used` whose R² is below LEGIBLE, and their R², the least first.

    In the place of one that is made of others, such as `qvel`, these count. One that does not vary is taken as
    legible.
    """
    found: dict[str, float] = {}
    for name in used:
        for part in _measured(layout, legibility, name):
            if legibility[part] < LEGIBLE:
                found[part] = legibility[part]
    return dict(sorted(found.items(), key=lambda item: item[1]))


def _measured(layout: Readouts, legibility: Mapping[str, float], name: str) -> list[str]:
    """The readouts with an R² that a readout, or one number of it (`name.2`), is."""
    if name in legibility:
        return [name]
    whole, place = layout.split(name)
    if place is not None and whole in layout.sizes:
        if whole in legibility:
            return [whole]
        if whole not in layout.derived:
            return []
        return _measured(layout, legibility, _part_at(layout, whole, place))
    if name not in layout.derived:
        return []
    return [each for part in parts_of(layout.derived[name]) for each in _measured(layout, legibility, part)]


def _part_at(layout: Readouts, whole: str, place: int) -> str:
    """The readout that one number of a compound readout comes from."""
    edge, parts = 0, parts_of(layout.derived[whole])
    for part in parts:
        edge += layout.sizes[part]
        if place < edge:
            return part
    return parts[-1]


def warning(layout: Readouts, kind: str, wanted: Mapping[str, float], legibility: Mapping[str, float]) -> str:
    """The sentence that says that a task or a constraint names illegible readouts, and which are legible.

    A legible readout that has several names is listed once, by the first of them.

    Args:
        layout: the names of the readouts.
        kind: "task" or "constraint", and its name.
        wanted: the illegible readouts, as `illegible` gives them.
        legibility: R² of every readout.
    """
    bad = ", ".join(f"{name} (R² {_shown(value)} in its memory)" for name, value in wanted.items())
    first: dict[str, str] = {}
    for name, value in legibility.items():
        if value >= LEGIBLE:
            first.setdefault(_other_name(layout, name) or name, name)
    good = [*first.values()]
    listed = f"legible are {', '.join(good)}" if good else "none is legible yet"
    return f"{kind} acts on what this agent cannot read off its observations: {bad}; {listed}"


def _other_name(layout: Readouts, name: str) -> str | None:
    """The readout whose numbers, all of them and unchanged, a derived readout is; None for another one."""
    source = layout.derived.get(name)
    if source is None or source["as"] != "value" or (source["sign"], source["plus"]) != (1.0, 0.0):
        return None
    of = parts_of(source)
    whole = len(of) == 1 and source["at"] == [*range(layout.sizes[of[0]])]
    return of[0] if whole and of[0] != name else None


def _shown(value: float) -> str:
    return rounded_down(value) if value > -10 else "below -10"

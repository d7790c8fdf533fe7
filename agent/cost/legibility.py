"""Legibility: how well the readouts of an environment can be read off the agent's latents.

R² is the share of a readout's variance that the prediction explains: 1 is exact, and 0 is no better than the mean.
A task or a constraint on a readout of low R² acts on noise. It depends on the steps on which it is measured: a
readout that hardly varies in them has a low R² even where its error is small.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agent.cost.derivations import parts_of
from agent.cost.readouts import Readouts
from joule_errors.words import rounded_down

if TYPE_CHECKING:
    from torch import Tensor

LEGIBLE = 0.8
"""Least R² of a readout that a task or a constraint can act on."""
SAME_LENGTH = 1e-6
"""Deviation of a sum of squares, as a share of its mean, up to which the numbers are one direction."""
FEWEST_ROWS = 64
"""With fewer steps no R² is measured."""
MOST_NAMES = 40
"""Legible readouts that a sentence names."""


def r_squared(layout: Readouts, true: Tensor, read: Tensor) -> dict[str, float]:
    """R² of every readout, derived ones included, and of each number of one that has several, as `name.2`.

    It is NaN for one that does not vary in these steps: whose deviation is rounding, by
    `agent.perception.normalizer.is_rounding`. Each number is measured for itself, because they may have different
    units. A readout of several numbers has the R² of the least legible of those that vary. That of a direction,
    whose squares always have the same sum (the cosine and sine of an angle, an axis, a quaternion), is 1 minus
    the sum of all squared errors over the sum of all squared deviations: its numbers say something together, and
    one of them may hardly vary.

    The difference of two angles is the short way round. `qpos`, `qvel` and quaternions that are derived are left
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
    found: dict[str, float] = {}
    for name in layout.names:
        if name not in layout.sizes or _is_compound(layout, name):
            continue
        actual, predicted = layout.value(name, true), layout.value(name, read)
        assert actual is not None
        assert predicted is not None
        found[name], numbers = _shares_explained(actual, predicted, layout.turning(name))
        if len(numbers) > 1:
            found |= {f"{name}.{place}": share for place, share in enumerate(numbers)}
    return found


def of_whole_readouts(layout: Readouts, legibility: Mapping[str, float]) -> dict[str, float]:
    """What `r_squared` gives, without the single numbers of readouts that have several."""
    return {name: value for name, value in legibility.items() if name in layout.sizes}


def _shares_explained(
    actual: Tensor, predicted: Tensor, turning: Sequence[bool]
) -> tuple[float, list[float]]:
    """R² of a readout [rows, size], and of each of its numbers; `turning` says which are angles."""
    import torch

    from agent.perception.normalizer import is_rounding

    turns = torch.tensor(turning, device=actual.device)
    around = actual.sin().mean(0).atan2(actual.cos().mean(0))
    centre = torch.where(turns, around, actual.mean(0))
    error, deviation = predicted - actual, actual - centre
    errors = torch.where(turns, _short_way(error), error).square().sum(0)
    spreads = torch.where(turns, _short_way(deviation), deviation).square().sum(0)
    varies = ~is_rounding((spreads / len(actual)).sqrt(), centre)
    numbers = torch.where(varies, 1.0 - errors / spreads, torch.nan)
    if not varies.any():
        return math.nan, numbers.tolist()
    if _is_direction(actual[:, varies]):
        whole = 1.0 - errors[varies].sum() / spreads[varies].sum()
    else:
        whole = numbers[varies].min()
    return float(whole), numbers.tolist()


def _is_direction(numbers: Tensor) -> bool:
    """Whether several numbers [rows, size] vary, and the sum of their squares does not."""
    total = numbers.square().sum(-1)
    return numbers.shape[1] > 1 and bool(total.std() <= SAME_LENGTH * total.mean())


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

    One number of a readout (`name.2`) is judged by its own R². In the place of a readout that is made of others,
    such as `qvel`, these count. One that does not vary is taken as legible.
    """
    found: dict[str, float] = {}
    for name in used:
        for part in _measured(layout, legibility, name):
            if legibility[part] < LEGIBLE:
                found[part] = legibility[part]
    return dict(sorted(found.items(), key=lambda item: item[1]))


def _measured(layout: Readouts, legibility: Mapping[str, float], name: str) -> list[str]:
    """The readouts with an R², or numbers with one, that a readout or one number of it (`name.2`) is."""
    if name in legibility:
        return [name]
    whole, place = layout.split(name)
    if whole in legibility:
        return [whole]
    source = layout.derived.get(whole)
    if source is None:
        return []
    of = parts_of(source)
    if place is not None and source["as"] == "value":
        of = [_number_at(layout, source, place)]
    # What a derived readout of the same name hides has no R².
    hidden = layout.columns.keys() & layout.derived.keys()
    seen = [part for part in of if layout.split(part)[0] not in hidden]
    return [each for part in seen for each in _measured(layout, legibility, part)]


def _number_at(layout: Readouts, source: Mapping[str, Any], place: int) -> str:
    """The readout, or the number of one, that number `place` of a readout of others is."""
    at = source["at"][place]
    for part in parts_of(source):
        if at < layout.sizes[part]:
            break
        at -= layout.sizes[part]
    return part if layout.sizes[part] == 1 else f"{part}.{at}"


def warning(layout: Readouts, kind: str, wanted: Mapping[str, float], legibility: Mapping[str, float]) -> str:
    """The sentence that says that a task or a constraint names illegible readouts, and which are legible.

    A legible readout that has several names is listed once, by the first of them. Of an illegible one that has
    several numbers the legible ones are listed.

    Args:
        layout: the names of the readouts.
        kind: "task" or "constraint", and its name.
        wanted: the illegible readouts, as `illegible` gives them.
        legibility: R² of every readout, as `r_squared` gives it.
    """
    bad = ", ".join(f"{name} (R² {_shown(value)} in its memory)" for name, value in wanted.items())
    first: dict[str, str] = {}
    for name, value in legibility.items():
        whole, place = layout.split(name)
        if value >= LEGIBLE and (place is None or legibility.get(whole, value) < LEGIBLE):
            number = "" if place is None else f".{place}"
            first.setdefault((_other_name(layout, whole) or whole) + number, name)
    good = [*first.values()]
    more = f" and {len(good) - MOST_NAMES} more" if len(good) > MOST_NAMES else ""
    listed = f"legible are {', '.join(good[:MOST_NAMES])}{more}" if good else "none is legible yet"
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

"""The terms that a task in text is made of, and how they are read."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.cost.readouts import NamedReadouts, TaskError
from agent.cost.task import CostFn, Task
from agent.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

Given = dict[str, str]
"""Arguments of a term: key -> value."""


def numbers(kind: str, name: str, text: str) -> list[float]:
    """Finite numbers separated by commas. Raises ConfigError."""
    try:
        found = [float(part) for part in text.split(",")]
        if not all(map(math.isfinite, found)):
            raise ValueError
        return found
    except ValueError:
        raise ConfigError(f"{kind}: {name}={text} is not a number, or several with commas between") from None


def distance_to(named: NamedReadouts, name: str, target: list[float]) -> Tensor:
    """`name` minus `target`, [rows, size]. Raises TaskError when their sizes differ."""
    value = named[name]
    value = value.unsqueeze(-1) if value.ndim == 1 else value
    if value.shape[1] != len(target):
        raise TaskError(f"{name}: found {len(target)} numbers for {value.shape[1]}; {name}.0 names the first")
    return value - value.new_tensor(target)


def _targets(kind: str, given: Given) -> list[tuple[str, list[float]]]:
    if not given or "" in given.values():
        raise ConfigError(f"{kind}: give a readout and its value, as in {EXAMPLES[kind]}")
    return [(name, numbers(kind, name, text)) for name, text in given.items()]


def _track(given: Given) -> CostFn:
    targets = _targets("track", given)
    return lambda r: total([distance_to(r, name, value).abs().mean(-1) for name, value in targets])


def _reach(given: Given) -> CostFn:
    targets = _targets("reach", given)
    return lambda r: total([distance_to(r, name, value).norm(dim=-1) for name, value in targets])


def total(costs: list[Tensor]) -> Tensor:
    """The sum of costs [rows]."""
    return sum(costs[1:], costs[0])


def one_name(kind: str, given: Given) -> str:
    """The only key, which has no value. Raises ConfigError."""
    if len(given) != 1 or any(given.values()):
        raise ConfigError(f"{kind}: give one readout, as in {EXAMPLES[kind]}")
    return next(iter(given))


def _more(given: Given) -> CostFn:
    name = one_name("more", given)
    return lambda r: -r[name]


def _less(given: Given) -> CostFn:
    name = one_name("less", given)
    return lambda r: r[name]


def none_given(kind: str, given: Given) -> None:
    """Raises ConfigError where a term that takes no arguments is given some."""
    if given:
        raise ConfigError(f"{kind}: takes nothing, found {', '.join(given)}")


def _upright(given: Given) -> CostFn:
    none_given("upright", given)
    return lambda r: 1.0 - r["upright"]


def _still(given: Given) -> CostFn:
    none_given("still", given)
    return lambda r: r["qvel"].abs().flatten(1).mean(-1) if r["qvel"].ndim > 1 else r["qvel"].abs()


def _control(given: Given) -> CostFn:
    none_given("control", given)
    return lambda r: r["action"].square().mean(-1)


def _own(given: Given) -> CostFn:
    none_given("own", given)
    return lambda r: r["cost"]


def _nothing(given: Given) -> CostFn:
    none_given("nothing", given)
    return lambda r: r["action"].new_zeros(r.rows)


LIMIT = re.compile(r"\s*([A-Za-z_][\w.]*)\s*([<>])\s*([^\s<>]+)\s*")


@dataclass(frozen=True)
class Limit:
    """A bound on a readout. Called, it gives the violation [rows], below 0 within the bound.

    For a readout of several numbers it gives the largest violation.
    """

    name: str
    sign: float
    """1 where the readout must stay below the bound, -1 above."""
    bound: float

    def __call__(self, r: NamedReadouts) -> Tensor:
        over = self.sign * (r[self.name] - self.bound)
        return over.amax(-1) if over.ndim == 2 else over

    def tightened(self, margin: float) -> str:
        """The text of the limit that is stricter by a margin."""
        return f"{self.name}{'<' if self.sign > 0 else '>'}{self.bound - self.sign * margin:.3g}"

    def covers(self, other: Limit) -> bool:
        """Whether keeping this limit implies keeping the other."""
        same = (self.name, self.sign) == (other.name, other.sign)
        return same and self.sign * self.bound <= self.sign * other.bound


def limit(kind: str, text: str) -> Limit | None:
    """The limit `name<bound` or `name>bound`; None for another text.

    A limit on a readout of several numbers holds for each of them.

    Raises:
        ConfigError: for a bound that is not one number.
    """
    found = LIMIT.fullmatch(text)
    if found is None:
        return None
    name, side, value = found.groups()
    (bound,) = numbers(kind, name, value.replace(",", " "))
    return Limit(name, 1.0 if side == "<" else -1.0, bound)


def _keep(given: Given) -> CostFn:
    over = limit("keep", one_name("keep", given))
    if over is None:
        raise ConfigError(f"keep: give a limit, as in {EXAMPLES['keep']}")
    return lambda r: over(r).clamp_min(0.0)


def zone(given: Given) -> CostFn:
    """The depth of a place in a disc: 1 at its centre, 0 at its edge and outside. Raises ConfigError."""
    odd, of = sorted(given.keys() - {"x", "y", "r", "of"}), given.get("of", "position")
    if odd or not given.keys() >= {"x", "y", "r"}:
        raise ConfigError(
            f"out-of: takes x, y, r and of, as in {EXAMPLES['out-of']}, found {', '.join(given)}"
        )
    read = [numbers("out-of", key, given[key]) for key in ("x", "y", "r")]
    if any(len(found) > 1 for found in read) or not read[2][0] > 0:
        raise ConfigError("out-of: x, y and r are one number each, and r is above 0")
    (x,), (y,), (radius,) = read
    return lambda r: (1.0 - distance_to(r, of, [x, y]).norm(dim=-1) / radius).clamp_min(0.0)


KINDS: dict[str, Callable[[Given], CostFn]] = {
    "track": _track, "reach": _reach, "more": _more, "less": _less, "upright": _upright,
    "still": _still, "out-of": zone, "keep": _keep, "control": _control, "own": _own, "nothing": _nothing,
}  # fmt: skip
EXAMPLES = {
    "track": "track:velocity=-2", "reach": "reach:position=0.2,0.3", "more": "more:height",
    "less": "less:velocity", "upright": "upright", "still": "still", "control": "control", "own": "own",
    "nothing": "nothing", "out-of": "out-of:x=0.1,y=0,r=0.3", "keep": "keep:speed<8",
}  # fmt: skip


def parse(text: str) -> Task:
    """A task from text: terms joined by `+`, each `[weight*]kind[:key=value,...]`, of the kinds in KINDS.

    Whether an environment has the readouts is checked when the task meets one.

    Raises:
        ConfigError: for text that is no task.
    """
    terms = [_term(part.strip()) for part in re.split(r"(?<![0-9.][eE])\+", text)]
    return sum(terms[1:], terms[0])


def _term(text: str) -> Task:
    head, colon, rest = text.partition(":")
    weight, star, kind = head.rpartition("*")
    kind = kind.strip()
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"task: {kind!r} is none of {', '.join(KINDS)}{hint}")
    given = read_given(kind, rest) if colon else {}
    task = Task(f"{kind} {rest}".strip(), KINDS[kind](given), (), f"{kind}{colon}{rest}")
    if not star:
        return task
    weights = numbers("task", "weight", weight)
    if len(weights) != 1:
        raise ConfigError(f"task: weight={weight} is {len(weights)} numbers, and a weight is one, as 0.1")
    return weights[0] * task


def read_given(kind: str, text: str) -> Given:
    """`key=value,key=value`; a part without `=` continues the value before it, or is a key without value.

    Raises:
        ConfigError: for text that cannot be read, and for a key that comes twice.
    """
    given: Given = {}
    last = None
    for part in text.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not key:
            raise ConfigError(f"{kind}: {text!r} cannot be read; an example is {EXAMPLES[kind]}")
        if equals or last is None:
            if key in given:
                raise ConfigError(f"{kind}: {key} comes twice")
            given[key], last = value, key if equals else None
        else:
            given[last] = f"{given[last]},{key}"
    return given

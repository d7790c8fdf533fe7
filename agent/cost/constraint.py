"""Constraints in words: limits on named readouts, and whether a task charges for violating them."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from agent.cost.regions import Limit, Region, parse_disc, parse_limit
from agent.cost.task import IN_PYTHON, CostFn, check_named_function
from agent.cost.task_text import parse
from agent.errors import ConfigError


@dataclass(frozen=True)
class Constraint:
    """A hard limit on named readouts: {name -> [rows] or [rows, size]} -> violation [rows].

    Above 0 is a violation; 0 or below is none.
    """

    name: str
    cost: CostFn
    text: str | None = None
    """The constraint as an option of the command line; None for a function."""

    def __post_init__(self) -> None:
        """Raises ConfigError for a name that is no text, a cost that is no function, or a text that is no limit."""
        check_named_function("constraint", self.name, self.cost)
        if self.text is not None:  # what is saved is read again
            _region(self.text)


def parse_constraint(text: str) -> Constraint:
    """A constraint from text, such as `speed<2`, `height>0.3` or `out-of:x=0,y=0,r=0.35`.

    A limit on a readout of several numbers holds for each of them; `qpos.3<1` limits one of them.

    Raises:
        ConfigError: for text that is no constraint.
    """
    if text.startswith(IN_PYTHON):
        raise ConfigError(
            f"constraint: {text.removeprefix(IN_PYTHON)!r} was a function in Python, which no file can hold; "
            'load without it, by settings={"constraint": ()}, and give it again'
        )
    return Constraint(text.strip(), _region(text), text.strip())


def check_compatible(constraints: Sequence[Constraint]) -> None:
    """Raises ConfigError for two limits of one readout that no value keeps."""
    limits = [(one.name, one.cost) for one in constraints if isinstance(one.cost, Limit)]
    for (name, limit), (other_name, other) in combinations(limits, 2):
        if limit.excludes(other):
            raise ConfigError(f"constraint: no value of {limit.readout} keeps both {name} and {other_name}")


def charge(text: str, margin: float) -> str:
    """The term of a task that charges for violating a constraint that is stricter by a margin, in its unit."""
    return _region(text).stricter_term(margin)


def as_constraint(given: object) -> Constraint:
    """A constraint, or the one that a text names. Raises ConfigError for another object."""
    if isinstance(given, str):
        return parse_constraint(given)
    if not isinstance(given, Constraint):
        raise ConfigError(
            f"constraint: found {type(given).__name__}; give a joule.Constraint, or a text such as speed<2"
        )
    return given


def _region(text: str) -> Region:
    kind, colon, rest = text.partition(":")
    if colon:
        if kind.strip() != "out-of":
            near = difflib.get_close_matches(kind, ["out-of"], n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"constraint: {kind!r} is no zone, out-of:x=0,y=0,r=0.3 is one{hint}")
        return parse_disc(rest)
    limit = parse_limit("constraint", text)
    if limit is None:
        raise ConfigError(
            f"constraint: {text!r} is no limit such as speed<2, height>0.3 or out-of:x=0,y=0,r=0.3; a bound is a "
            "number in the readout's unit"
        )
    return limit


@functools.lru_cache(maxsize=64)
def covered_by_task(constraints: tuple[str, ...], task: str) -> bool:
    """Whether a policy that learned a task was charged for every violation of the constraints.

    It was where, for each constraint, a term of positive weight charges for a region that contains the
    forbidden one, as `own+20*keep:speed<5.8` does for `speed<6`. A task that rewards entering a region of the
    same readout, by a negative weight, covers nothing. A function in Python is never covered.

    Args:
        constraints: as text.
        task: as text.
    """
    if not task or any(text.startswith(IN_PYTHON) for text in (task, *constraints)):
        return False
    charges = [(term.weight, term.region) for term in parse(task).terms if term.region is not None]
    return all(_charged(_region(text), charges) for text in constraints)


def _charged(region: Region, charges: list[tuple[float, Region]]) -> bool:
    same = [(weight, other) for weight, other in charges if other.readout == region.readout]
    rewarded = any(weight < 0.0 for weight, _ in same)
    return not rewarded and any(weight > 0.0 and other.covers(region) for weight, other in same)

"""Constraints in words: limits on named readouts, and whether a task charges for violating them."""

from __future__ import annotations

import difflib
import functools
from dataclasses import dataclass

from agent.cost.task import IN_PYTHON, CostFn
from agent.cost.task_terms import limit, parse, read_given, zone
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


def parse_constraint(text: str) -> Constraint:
    """A constraint from text, such as `speed<2`, `height>0.3` or `out-of:x=0,y=0,r=0.35`.

    A limit on a readout of several numbers holds for each of them; `qpos.3<1` limits one of them.

    Raises:
        ConfigError: for text that is no constraint.
    """
    kind, colon, rest = text.partition(":")
    if text.startswith(IN_PYTHON):
        raise ConfigError(
            f"constraint: {rest!r} was a function in Python, which no file can hold; load with the setting "
            "constraint=() and give it again"
        )
    if colon:
        if kind.strip() != "out-of":
            near = difflib.get_close_matches(kind, ["out-of"], n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"constraint: {kind!r} is no zone, out-of:x=0,y=0,r=0.3 is one{hint}")
        return Constraint(text.strip(), zone(read_given("out-of", rest)), text.strip())
    over = limit("constraint", text)
    if over is None:
        raise ConfigError(
            f"constraint: {text!r} is no limit such as speed<2, height>0.3 or out-of:x=0,y=0,r=0.3"
        )
    return Constraint(text.strip(), over, text.strip())


@functools.lru_cache(maxsize=64)
def covered_by_task(constraints: tuple[str, ...], task: str) -> bool:
    """Whether a policy that learned the task of this text was charged for every violation of the constraints.

    `own+20*keep:speed<5.8` covers `speed<6`, for example.
    """
    if not task or task.startswith(IN_PYTHON):
        return False
    said = [(term.unweighted_text or "").partition(":") for term in parse(task).terms]
    charged = [rest if kind == "keep" else f"{kind}:{rest}" for kind, _, rest in said]
    return all(any(_covers(one, constraint) for one in charged) for constraint in constraints)


def _covers(charged: str, constraint: str) -> bool:
    """Whether who keeps the one limit, as text, keeps the other."""
    one, other = (limit("constraint", text) for text in (charged, constraint))
    if one is None or other is None:
        return "".join(charged.split()) == "".join(constraint.split())
    return one.covers(other)

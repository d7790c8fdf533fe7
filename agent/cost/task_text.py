"""The terms that a task in text is made of, and how they are read."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.cost.goal import EXAMPLES as GOALS
from agent.cost.readouts import NamedReadouts, TaskError, difference
from agent.cost.regions import DISC_EXAMPLE, Charge, disc_of, parse_limit
from agent.cost.task import CostFn, Task
from agent.cost.term_arguments import Arguments, arguments, numbers
from agent.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor


def _targets(kind: str, given: Arguments) -> list[tuple[str, list[float]]]:
    if not given or "" in given.values():
        raise ConfigError(f"{kind}: give a readout and its value, as in {EXAMPLES[kind]}")
    return [(name, numbers(kind, name, text)) for name, text in given.items()]


def _track(given: Arguments) -> CostFn:
    targets = _targets("track", given)
    return lambda r: total([difference(r, name, value, same=True).abs().mean(-1) for name, value in targets])


def _reach(given: Arguments) -> CostFn:
    targets = _targets("reach", given)
    return lambda r: total([difference(r, name, value).norm(dim=-1) for name, value in targets])


def total(costs: list[Tensor]) -> Tensor:
    """The sum of costs [rows]."""
    return sum(costs[1:], costs[0])


def one_name(kind: str, given: Arguments, what: str = "one readout") -> str:
    """The only key, which has no value. Raises ConfigError, which asks for `what`."""
    if len(given) != 1 or any(given.values()):
        texts = [f"{key}={value}" if value else key for key, value in given.items()]
        found = f"found {','.join(texts)}; " if texts else ""
        raise ConfigError(f"{kind}: {found}give {what}, as in {EXAMPLES[kind]}")
    return next(iter(given))


def _single(kind: str, r: NamedReadouts, name: str) -> Tensor:
    """A readout of one number [rows]. Raises TaskError for several: more of one may be less of another."""
    value = r[name]
    if value.ndim > 1:
        raise TaskError(f"{kind}: {name} has {value.shape[1]} numbers; name one of them, as in {name}.0")
    return value


def _more(given: Arguments) -> CostFn:
    name = one_name("more", given)
    return lambda r: -_single("more", r, name)


def _less(given: Arguments) -> CostFn:
    name = one_name("less", given)
    return lambda r: _single("less", r, name)


def none_given(kind: str, given: Arguments) -> None:
    """Raises ConfigError where a term that takes no arguments is given some."""
    if given:
        raise ConfigError(f"{kind}: takes nothing, found {', '.join(given)}")


def _upright(given: Arguments) -> CostFn:
    none_given("upright", given)
    return lambda r: 1.0 - r["upright"]


def _still(given: Arguments) -> CostFn:
    none_given("still", given)
    return lambda r: r["qvel"].abs().flatten(1).mean(-1) if r["qvel"].ndim > 1 else r["qvel"].abs()


def _control(given: Arguments) -> CostFn:
    none_given("control", given)
    return lambda r: r["action"].square().mean(-1)


def _own(given: Arguments) -> CostFn:
    none_given("own", given)
    return lambda r: r["cost"]


def _nothing(given: Arguments) -> CostFn:
    none_given("nothing", given)
    return lambda r: r["action"].new_zeros(r.rows)


def _alive(given: Arguments) -> CostFn:
    none_given("alive", given)
    return lambda r: r["action"].new_full((r.rows,), -1.0)


def _keep(given: Arguments) -> CostFn:
    limit = parse_limit("keep", one_name("keep", given, "a limit"))
    if limit is None:
        raise ConfigError(f"keep: give a limit, as in {EXAMPLES['keep']}")
    return Charge(limit)


def _out_of(given: Arguments) -> CostFn:
    return Charge(disc_of(given))


KINDS: dict[str, Callable[[Arguments], CostFn]] = {
    "track": _track, "reach": _reach, "more": _more, "less": _less, "upright": _upright,
    "still": _still, "out-of": _out_of, "keep": _keep, "control": _control, "own": _own, "nothing": _nothing,
    "alive": _alive,
}  # fmt: skip
EXAMPLES = {
    "track": "track:velocity=-2", "reach": "reach:position=0.2,0.3", "more": "more:height",
    "less": "less:velocity", "upright": "upright", "still": "still", "control": "control", "own": "own",
    "nothing": "nothing", "alive": "alive", "out-of": DISC_EXAMPLE, "keep": "keep:speed<8",
}  # fmt: skip
_OTHER_SIGNS = re.compile(r"[;*&]|\s-\s|\sand\s")
"""What joins or weighs terms elsewhere."""


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
        first, _, rest_of = kind.partition(" ")
        if first in KINDS and not colon:
            near = [f"{first}:{rest_of.strip()}"]
        elif not colon and (signed := re.fullmatch(r"([^=<>]+)([=<>])=?([^=<>]+)", kind)):
            name, sign, value = (part.strip() for part in signed.groups())
            # `upright=1` and `less=velocity` are kinds with a wrong sign, `velocity=2` a readout without its kind.
            if name in KINDS:
                near = [name if re.fullmatch(r"[-0-9.eE]+", value) else f"{name}:{value}"]
            else:
                near = [f"{'track' if sign == '=' else 'keep'}:{name}{sign}{value}"]
        hint = f"; did you mean {near[0]}?" if near else ""
        if kind in GOALS:
            hint = f"; a goal is given as --goal {GOALS[kind]}, and in Python as a joule.Goal"
        raise ConfigError(f"task: {kind!r} is none of {', '.join(KINDS)}{hint}")
    if _OTHER_SIGNS.search(rest):  # else all of it would be the name of a readout
        raise ConfigError(
            f"task: {text!r} cannot be read; join terms by +, and write a weight before its term, as in "
            "less:velocity+0.1*control"
        )
    cost = KINDS[kind](arguments(kind, rest, EXAMPLES[kind]) if colon else {})
    region = cost.region if isinstance(cost, Charge) else None
    task = Task(f"{kind} {rest}".strip(), cost, (), f"{kind}{colon}{rest}", region=region)
    if not star:
        return task
    if re.search(r"(?<![0-9.][eE])-", weight.lstrip("- ")):  # `own-0.1*control`
        raise ConfigError(f"task: {text!r} cannot be read; join terms by +, as in own+-0.1*control")
    weights = numbers("task", "weight", weight)
    if len(weights) != 1:
        raise ConfigError(f"task: weight={weight} is {len(weights)} numbers, and a weight is one, as 0.1")
    return weights[0] * task


def as_task(given: object) -> Task:
    """A task, or the one that a text names. Raises ConfigError for another object."""
    if isinstance(given, str):
        return parse(given)
    if not isinstance(given, Task):
        raise ConfigError(
            f"task: found {type(given).__name__}; give a joule.Task, or a text such as less:speed"
        )
    return given

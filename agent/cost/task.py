"""Tasks: costs on named readouts, so that a trained world model serves costs it was not trained for.

A task is a Python function of readouts, `Task("run backwards", lambda r: r["velocity"])`, or text for the
command line, `track:velocity=-2+0.1*control`. It takes batched tensors and returns one cost a row; lower is
better. It scores a decision by the readouts after it: observed ones in the environment and in the replay
buffer, predicted ones in imagination.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.cost.readouts import NamedReadouts, Readouts, TaskError
from agent.cost.regions import Region
from agent.errors import ConfigError
from joule_errors import JouleError
from joule_errors.memory import is_short

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


CostFn = Callable[[NamedReadouts], "Tensor"]
"""Named readouts -> cost [rows]."""
IN_PYTHON = "python:"
"""Begins the setting of a task that is a Python function, which no file can hold."""


@dataclass(frozen=True)
class Task:
    """A cost on named readouts: {name -> [rows] or [rows, size]} -> [rows].

    Tasks can be added and weighted: `Task(...) + 0.1 * Task(...)`. The energy keeps the `terms` of the sum
    apart.
    """

    name: str
    cost: CostFn
    parts: tuple[Task, ...] = ()
    unweighted_text: str | None = None
    """The term as the command line writes it, without its weight; None for a function and for a sum."""
    weight: float = 1.0
    """The factor that `cost` already contains."""
    region: Region | None = None
    """The region that the term charges for entering; None for another cost, and for a sum."""

    def __post_init__(self) -> None:
        """Raises ConfigError for a name that is no text, or a cost that is no function."""
        check_named_function("task", self.name, self.cost)

    @property
    def terms(self) -> tuple[Task, ...]:
        """The terms of the sum."""
        return self.parts or (self,)

    @property
    def text(self) -> str | None:
        """The task as the command line writes it; None where a term is a function."""
        texts = []
        for term in self.terms:
            if term.unweighted_text is None:
                return None
            weight = "" if term.weight == 1.0 else f"{_number(term.weight)}*"
            texts.append(weight + term.unweighted_text)
        return "+".join(texts)

    def __add__(self, other: Task) -> Task:
        if not isinstance(other, Task):
            return NotImplemented
        terms = self.terms + other.terms
        return Task(f"{self.name} + {other.name}", lambda r: self.cost(r) + other.cost(r), terms)

    def __radd__(self, other: object) -> Task:
        """Lets `sum` begin with its 0."""
        return self if other == 0 else NotImplemented

    def __sub__(self, other: Task) -> Task:
        return self + -1.0 * other if isinstance(other, Task) else NotImplemented

    def __neg__(self) -> Task:
        return -1.0 * self

    def __mul__(self, weight: float) -> Task:
        return weight * self if isinstance(weight, numbers.Real) else NotImplemented

    def __rmul__(self, weight: float) -> Task:
        if not isinstance(weight, numbers.Real):
            return NotImplemented
        if self.parts:
            scaled = [weight * part for part in self.parts]
            return sum(scaled[1:], scaled[0])
        name, product = f"{weight:g} {self.name}", self.weight * weight
        text, region = self.unweighted_text, self.region
        return Task(name, lambda r: weight * self.cost(r), (), text, product, region)

    def __call__(self, named: NamedReadouts) -> Tensor:
        """The cost of each row [rows]. Raises TaskError when it is not one number a row."""
        return cost_per_row(self, named)


def check_named_function(what: str, name: object, function: object) -> None:
    """Raises ConfigError for a name that is no text, or an object that cannot be called."""
    if not isinstance(name, str):
        raise ConfigError(f"{what}: found the name {name!r:.80}; give a text")
    if not callable(function):
        raise ConfigError(
            f"{what} {name!r:.80}: found {type(function).__name__}; give a function of readouts"
        )


def _number(value: float) -> str:
    """The shortest text from which the number reads back exactly."""
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))


def cost_per_row(task: Any, named: NamedReadouts) -> Tensor:
    """The cost [rows] of a task or the violation [rows] of a constraint.

    Raises:
        TaskError: where its function raises, or does not return a tensor with one number a row.
    """
    import torch

    try:
        value = task.cost(named)
    except JouleError:
        raise
    except Exception as error:
        if is_short(error):
            raise
        raise TaskError(f"{task.name!r} raised {type(error).__name__}: {error}") from error
    if not isinstance(value, torch.Tensor) or value.shape != (named.rows,):
        shape = tuple(getattr(value, "shape", ()))
        found = f"shape {shape}" if isinstance(value, torch.Tensor) else f"{type(value).__name__}, no tensor"
        if len(shape) == 2 and shape[0] == named.rows:
            found += f"; take one of the {shape[1]} numbers of a readout, as in name.0"
        raise TaskError(f"{task.name!r} must give one cost a row, [{named.rows}]; it gave {found}")
    if value.dtype == torch.bool:
        raise TaskError(
            f"{task.name!r} gave truth values; give numbers, as r['speed'] - 1 in place of r['speed'] > 1"
        )
    return value


class TaskReward:
    """Replaces an environment's reward by minus the cost of a task; see `cost_fn` of `envs.make`."""

    def __init__(self, task: Task):
        self.task = task
        self._layout: Readouts | None = None

    def __call__(self, env_spec: Any, readouts: np.ndarray, action: np.ndarray, own: float) -> float:
        """Cost of one decision.

        Args:
            env_spec: sizes and names of the environment.
            readouts: [readouts], after the decision.
            action: [act].
            own: the environment's own cost.

        Raises:
            TaskError: for a task that does not fit the environment's readouts.
        """
        import torch

        if self._layout is None:
            self._layout = Readouts(env_spec.readout_sizes, env_spec.derived_readouts)
        rows, acts = (torch.from_numpy(x).float()[None] for x in (readouts, action))
        return float(self.task(self._layout.of(rows, acts, lambda: torch.tensor([own])))[0])

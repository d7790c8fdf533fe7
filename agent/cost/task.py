"""TASKS: costs on named readouts, so that one world model serves wishes it was never trained for.

A task is plain Python on readouts, `Task("run backwards", lambda r: r["velocity"])`, or text for the command
line, `track:velocity=-2+0.1*spend`. Batched tensors go in, a cost for each row comes out; lower is better.
It judges a decision by the readouts after it: true ones in memory and in the body, else imagined ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.cost.readouts import NamedReadouts, Readouts, TaskError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


CostFn = Callable[[NamedReadouts], "Tensor"]
IN_PYTHON = "python:"
"""How the configuration of a saved agent says that its task was a function, which no file can hold."""


@dataclass(frozen=True)
class Task:
    """A cost on named readouts: {name -> [rows] or [rows, size]} -> [rows].

    Tasks add up, and take a weight: `Task(...) + 0.1 * Task(...)`; `terms` are the summands, which an energy
    keeps apart.
    """

    name: str
    cost: CostFn
    parts: tuple[Task, ...] = ()
    said: str | None = None
    """As the command line would say it, without its weight; None for a function and for a sum."""
    weight: float = 1.0
    """By which `cost` is multiplied already."""

    @property
    def terms(self) -> tuple[Task, ...]:
        """The summands."""
        return self.parts or (self,)

    @property
    def text(self) -> str | None:
        """As the command line would say it; None where a function is in it."""
        texts = []
        for term in self.terms:
            if term.said is None:
                return None
            texts.append(term.said if term.weight == 1.0 else f"{_number(term.weight)}*{term.said}")
        return "+".join(texts)

    def __add__(self, other: Task) -> Task:
        terms = self.terms + other.terms
        return Task(f"{self.name} + {other.name}", lambda r: self.cost(r) + other.cost(r), terms)

    def __rmul__(self, weight: float) -> Task:
        if self.parts:
            scaled = [weight * part for part in self.parts]
            return sum(scaled[1:], scaled[0])
        name, of = f"{weight:g} {self.name}", self.weight * weight
        return Task(name, lambda r: weight * self.cost(r), (), self.said, of)

    def __call__(self, named: NamedReadouts) -> Tensor:
        """The cost of each row [rows]. Raises TaskError when it is not one number a row."""
        return cost_per_row(self, named)


def _number(value: float) -> str:
    """A number as short as reads back the same."""
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))


def cost_per_row(task: Any, named: NamedReadouts) -> Tensor:
    """What the function of a task or a guard gives, checked to be one number a row."""
    value = task.cost(named)
    if getattr(value, "shape", None) != (named.rows,):
        found = f"shape {tuple(value.shape)}" if hasattr(value, "shape") else f"{type(value).__name__}"
        raise TaskError(f"{task.name!r} must give one cost a row, [{named.rows}]; it gave {found}")
    return value


class TaskReward:
    """The door by which a task replaces an environment's reward: see `price` of `envs.make`."""

    def __init__(self, task: Task):
        self.task = task
        self._layout: Readouts | None = None

    def __call__(self, env_spec: Any, readouts: np.ndarray, action: np.ndarray, own: float) -> float:
        """Cost of one decision. Raises TaskError when the task does not fit the body."""
        import torch

        if self._layout is None:
            self._layout = Readouts(env_spec.readout_sizes, env_spec.derived_readouts)
        rows, acts = (torch.from_numpy(x).float()[None] for x in (readouts, action))
        return float(self.task(self._layout.of(rows, acts, lambda: torch.tensor([own])))[0])

"""Readouts by name: what a cost in Python reads from rows of physical quantities, observed or imagined."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from agent.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

DERIVATIONS = ("value", "length", "cos", "up")
"""How a derived readout is computed; see `envs.readouts.derived`."""


class TaskError(ConfigError):
    """A task or a constraint that does not fit an environment's readouts; one sentence."""


class Readouts:
    """The layout of a readout vector: name -> columns, and the readouts derived from them.

    Args:
        sizes: name -> length of each part of the vector, in order.
        derived: name -> derived readout, as in `envs.readouts.derived`.

    Raises:
        TaskError: for a derived readout that does not fit the sizes.
    """

    def __init__(self, sizes: Mapping[str, int], derived: Mapping[str, Any]):
        self.derived, self.columns, edge = dict(derived), dict[str, slice](), 0
        for name, size in sizes.items():
            self.columns[name] = slice(edge, edge + size)
            edge += size
        for name, source in self.derived.items():
            try:
                listed = isinstance(source["at"], list) and len(source["at"]) > 0
                fits = listed and all(0 <= int(k) < sizes[source["of"]] for k in source["at"])
                fits = fits and source["as"] in DERIVATIONS
                fits = fits and (source["as"] != "up" or len(source["at"]) == 4)
                float(source["sign"]), float(source["plus"])
            except (KeyError, TypeError, ValueError):
                fits = False
            if not fits:
                raise TaskError(f"the derived readout {name!r} does not fit the readouts: {source!r}")

    @property
    def names(self) -> list[str]:
        """All names that a cost may use."""
        return [*self.derived, *(n for n in self.columns if n not in self.derived), "action", "cost"]

    def of(self, rows: Tensor, action: Tensor, cost: Callable[[], Tensor]) -> NamedReadouts:
        """Rows by name.

        Args:
            rows: readouts [rows, readouts] after a decision.
            action: its action [rows, act].
            cost: gives the environment's own cost of it [rows]; called only where the cost is used.
        """
        return NamedReadouts(self, rows, action, cost)

    def blank(self, act: int, like: Tensor) -> NamedReadouts:
        """Two rows of zeros on the device of `like`, to check that a cost can be computed."""
        zeros = like.new_zeros(2, max((columns.stop for columns in self.columns.values()), default=0))
        return self.of(zeros, zeros.new_zeros(2, act), lambda: zeros[:, 0])


class NamedReadouts(Mapping[str, Any]):
    """Rows by name: [rows] for a single number, [rows, size] for several; `name.2` is one of several.

    Beside the readouts there are `action`, and `cost`, the environment's own cost. A name that the
    environment does not have raises TaskError.
    """

    def __init__(self, layout: Readouts, rows: Tensor, action: Tensor, cost: Callable[[], Tensor]):
        self._layout, self._rows, self._action, self._cost = layout, rows, action, cost
        self.rows = rows.shape[0]
        self.own_cost_used = False
        """Whether the environment's own cost has been read."""

    def __len__(self) -> int:
        return len(self._layout.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self._layout.names)

    def __getitem__(self, name: str) -> Tensor:
        found = self._find(name)
        if found is None and "." in name:
            whole, _, place = name.rpartition(".")
            several = self._find(whole)
            if several is not None and several.ndim == 2 and place.isdecimal():
                if int(place) < several.shape[1]:
                    return several[:, int(place)]
                raise TaskError(f"{name}: {whole} has {several.shape[1]} numbers, counted from 0")
        if found is None:
            near = difflib.get_close_matches(name, self._layout.names, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            known = ", ".join(self._layout.names)
            raise TaskError(f"{name!r} is no readout of this environment, which has {known}{hint}")
        return found

    def _find(self, name: str) -> Tensor | None:
        if name == "action":
            return self._action
        if name == "cost":
            self.own_cost_used = True
            return self._cost()
        layout = self._layout
        if name in layout.derived:
            source = layout.derived[name]
            part = self._rows[:, layout.columns[source["of"]]][:, source["at"]]
            return _derive(part, source)
        if name in layout.columns:
            return _squeezed(self._rows[:, layout.columns[name]])
        return None


def difference(named: NamedReadouts, name: str, target: list[float]) -> Tensor:
    """The readout `name` minus `target`, [rows, size]. Raises TaskError when their sizes differ."""
    value = named[name]
    value = value.unsqueeze(-1) if value.ndim == 1 else value
    if value.shape[1] != len(target):
        raise TaskError(f"{name}: found {len(target)} numbers for {value.shape[1]}; {name}.0 names the first")
    return value - value.new_tensor(target)


def _derive(part: Tensor, source: Mapping[str, Any]) -> Tensor:
    if source["as"] == "up":  # the last entry of the rotation matrix of a quaternion w x y z of any length
        square = part.square()
        return 1.0 - 2.0 * (square[:, 1] + square[:, 2]) / square.sum(-1).clamp_min(1e-12)
    if source["as"] == "length":
        return part.norm(dim=-1)
    value = part * source["sign"] + source["plus"]
    return _squeezed(value.cos() if source["as"] == "cos" else value)


def _squeezed(part: Tensor) -> Tensor:
    return part[:, 0] if part.shape[1] == 1 else part

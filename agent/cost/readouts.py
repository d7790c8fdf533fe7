"""Readouts by name: what a cost in Python reads from rows of physical quantities, observed or imagined."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from agent.cost.derivations import DERIVATIONS, computed, parts_of, size_of, squeezed
from agent.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

DEEPEST = 3
"""Derived readouts that stand on one another at most: they may come from another person's file."""


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
        self.sizes = dict(sizes)
        """Name -> how many numbers it has, derived readouts included."""
        depths: dict[str, int] = {}
        for name, source in self.derived.items():
            size_now = size_of(source, self.sizes | dict(sizes))
            depth = 0 if size_now is None else 1 + max(depths.get(of, 0) for of in parts_of(source))
            if size_now is None or depth > DEEPEST:
                raise TaskError(f"the derived readout {name!r} does not fit the readouts: {source!r}")
            self.sizes[name], depths[name] = size_now, depth

    @property
    def own_names(self) -> list[str]:
        """The names of the readouts, derived ones first."""
        return [*self.derived, *(name for name in self.columns if name not in self.derived)]

    @property
    def names(self) -> list[str]:
        """All names that a cost may use."""
        return [*self.own_names, "action", "cost"]

    def unknown(self, name: str, of: str, *, of_costs: bool = True) -> str:
        """Says that a name is no readout, which one was meant perhaps, and which there are.

        Args:
            name: that is not one.
            of: what has readouts, such as an environment's id.
            of_costs: whether `action` and `cost` may be named.
        """
        names = self.names if of_costs else self.own_names
        begun = [one for one in names if name and one.startswith(name)]
        # Of names that begin so, the shortest is the nearest by letters.
        near = sorted(begun, key=len) or difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        there = f"; did you mean {near[0]}? There are " if near else f", which has {'' if names else 'none'}"
        return f"{name!r} is no readout of {of}{there}{', '.join(names)}"

    def check_names(self, names: Iterable[str], what: str, of: str) -> None:
        """Raises TaskError, which begins with `what`, for a name that is no readout of `of`."""
        for name in names:
            whole, place = self.split(name)
            if (place or 0) >= self.sizes.get(whole, 0):
                raise TaskError(f"{what}: {self.unknown(name, of, of_costs=False)}")

    def value(self, name: str, rows: Tensor) -> Tensor | None:
        """The readout `name` of rows [rows, readouts], [rows, size]; None for a name that is no readout.

        `name.2` is one number of several. A derived readout that has the name of a readout hides it.

        Raises:
            TaskError: for a number that the readout does not have.
        """
        whole, place = self.split(name)
        if place is not None:
            several = self.value(whole, rows)
            return None if several is None else one_of(name, several, place).unsqueeze(-1)
        source = self.derived.get(name)
        if source is None:
            return rows[:, self.columns[name]] if name in self.columns else None
        import torch

        parts = [self._below(name, of, rows) for of in parts_of(source)]
        found = computed(source, parts[0] if len(parts) == 1 else torch.cat(parts, -1))
        return found.unsqueeze(-1) if found.ndim == 1 else found

    def split(self, name: str) -> tuple[str, int | None]:
        """A readout and which of its numbers is meant: `ball` and 2 for `ball.2`, None where all are."""
        whole, dot, place = name.rpartition(".")
        if name in self.sizes or not (dot and place.isdecimal()):
            return name, None
        return whole, int(place)

    def _below(self, name: str, of: str, rows: Tensor) -> Tensor:
        """The readout `of` that `name` is derived from; a name that it shares is that of the vector."""
        found = rows[:, self.columns[of]] if of in self.columns else self.value(of, rows)
        assert found is not None, f"{name} was checked to be derived from readouts"
        return found

    def turning(self, name: str) -> list[bool]:
        """For each number of a readout, whether it is an angle, the same after a whole turn."""
        source = self.derived.get(name)
        if source is None:
            return [False] * self.sizes[name]
        if source["as"] != "value":
            return [DERIVATIONS[source["as"]].turns] * self.sizes[name]
        parts = [
            [False] * self._length(of) if of in self.columns else self.turning(of) for of in parts_of(source)
        ]
        flags = [flag for part in parts for flag in part]
        return [flags[k] for k in source["at"]]

    def _length(self, name: str) -> int:
        columns = self.columns[name]
        return int(columns.stop - columns.start)

    def shortest(self, name: str, difference: Tensor) -> Tensor:
        """Differences [rows, size] between values of a readout, those of angles by the shorter way round (rad).

        Args:
            name: of the readout, or of one of its numbers; another name's differences are given back.
            difference: its values less others.
        """
        import torch

        whole, place = self.split(name)
        if whole not in self.sizes:
            return difference
        flags = self.turning(whole)
        if place is not None:
            flags = flags[place : place + 1]
        if not any(flags):
            return difference
        turning = torch.tensor(flags, device=difference.device)
        around = torch.remainder(difference + math.pi, 2 * math.pi) - math.pi
        return torch.where(turning, around, difference)

    def apart(self, name: str, value: Tensor, other: Tensor) -> Tensor:
        """Differences [..., size] between values of a readout, for how far states are from each other.

        They are as in `shortest`, and that of a quaternion is from the nearer of the other one and its negative,
        which are one orientation: that with w at least 0 jumps to its negative at half a turn.

        Args:
            name: of the readout, or of one of its numbers.
            value: its values [..., size].
            other: others [..., size].
        """
        import torch

        found = self.shortest(name, value - other)
        for places in self._quaternions(name):
            away, opposite = found[..., places], value[..., places] + other[..., places]
            nearer = opposite.norm(dim=-1, keepdim=True) < away.norm(dim=-1, keepdim=True)
            found[..., places] = torch.where(nearer, opposite, away)
        return found

    def _quaternions(self, name: str) -> list[list[int]]:
        """Where in a readout whole quaternions are, four places each."""
        numbers = self._orientations(name) if name in self.sizes else []
        owners = {number[0]: None for number in numbers if number is not None}
        found = [[numbers.index((owner, k)) for k in range(4) if (owner, k) in numbers] for owner in owners]
        return [places for places in found if len(places) == 4]

    def _orientations(self, name: str) -> list[tuple[str, int] | None]:
        """For each number of a readout, the quaternion that it belongs to and its place there; None for none."""
        source = self.derived.get(name)
        if source is not None and source["as"] == "quaternion":
            return [(name, k) for k in range(self.sizes[name])]
        if source is None or source["as"] != "value":
            return [None] * self.sizes[name]
        parts = [
            [None] * self._length(of) if of in self.columns else self._orientations(of)
            for of in parts_of(source)
        ]
        numbers = [number for part in parts for number in part]
        return [numbers[k] for k in source["at"]]

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
        self.used: dict[str, None] = {}
        """The names that have been read, in order; `name.2` for one number of several."""

    def __len__(self) -> int:
        return len(self._layout.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self._layout.names)

    def __getitem__(self, name: str) -> Tensor:
        self.used[name] = None
        whole, place = self._layout.split(name)
        found = self._find(whole)
        if found is not None and place is not None:
            return one_of(name, found.unsqueeze(-1) if found.ndim == 1 else found, place)
        if found is None:
            raise TaskError(self._layout.unknown(name, "this environment"))
        return found

    def apart(self, name: str, value: Tensor, other: Tensor) -> Tensor:
        """See `Readouts.apart`."""
        return self._layout.apart(name, value, other)

    def _find(self, name: str) -> Tensor | None:
        if name == "action":
            return self._action
        if name == "cost":
            self.own_cost_used = True
            return self._cost()
        found = self._layout.value(name, self._rows)
        return None if found is None else squeezed(found)


def one_of(name: str, several: Tensor, place: int) -> Tensor:
    """One number [rows] of several [rows, size]. Raises TaskError where there are not so many."""
    if place < several.shape[1]:
        return several[:, place]
    whole, count = name.rpartition(".")[0], several.shape[1]
    if count == 1:
        raise TaskError(f"{name}: {whole} is one number; leave out .{place}")
    raise TaskError(f"{name}: {whole} has {count} numbers, counted from 0")


def difference(named: NamedReadouts, name: str, target: list[float], same: bool = False) -> Tensor:
    """The readout `name` minus `target`, [rows, size], as in `Readouts.apart`.

    Args:
        named: the readouts.
        name: one of them.
        target: a value for each of its numbers.
        same: whether one value may stand for all of its numbers.

    Raises:
        TaskError: when their sizes differ.
    """
    value = named[name]
    value = value.unsqueeze(-1) if value.ndim == 1 else value
    if same and len(target) == 1:
        target = target * value.shape[1]
    if value.shape[1] != len(target):
        count = value.shape[1]
        first = f"; {name}.0 names the first" if count > len(target) else ""
        raise TaskError(f"{name} has {count} number{'s' * (count > 1)}, found {len(target)}{first}")
    return named.apart(name, value, value.new_tensor(target))

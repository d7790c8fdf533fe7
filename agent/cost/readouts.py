"""Readouts by name: what a cost written in Python sees of rows of physical quantities, true or imagined."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from agent.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

KINDS = ("value", "length", "cos", "up")


class TaskError(ConfigError):
    """A task or a guard that this body cannot be judged by; one sentence."""


class Readouts:
    """The layout of a body's readout vector: name -> columns, and the views computed from them.

    `views` is as in `envs.readouts.derived`. Raises TaskError for a view that does not fit the sizes.
    """

    def __init__(self, sizes: Mapping[str, int], views: Mapping[str, Any]):
        self.views, self.columns, edge = dict(views), dict[str, slice](), 0
        for name, size in sizes.items():
            self.columns[name] = slice(edge, edge + size)
            edge += size
        for name, view in self.views.items():
            try:
                whole = isinstance(view["at"], list) and len(view["at"]) > 0
                fits = whole and all(0 <= int(k) < sizes[view["of"]] for k in view["at"])
                fits = fits and view["as"] in KINDS and (view["as"] != "up" or len(view["at"]) == 4)
                float(view["sign"]), float(view["plus"])
            except (KeyError, TypeError, ValueError):
                fits = False
            if not fits:
                raise TaskError(f"the view {name!r} of the readouts does not fit them: {view!r}")

    @property
    def names(self) -> list[str]:
        """All that a cost may ask for."""
        return [*self.views, *(n for n in self.columns if n not in self.views), "action", "cost"]

    def of(self, rows: Tensor, action: Tensor, cost: Callable[[], Tensor]) -> NamedReadouts:
        """Names for readouts [rows, readouts] after a decision, its action [rows, act], and the
        environment's own cost of it [rows], asked for only where it is used."""
        return NamedReadouts(self, rows, action, cost)

    def blank(self, act: int, like: Tensor) -> NamedReadouts:
        """Zeros under every name, two rows on the device of `like`, to try a cost on before it counts."""
        nothing = like.new_zeros(2, max((columns.stop for columns in self.columns.values()), default=0))
        return self.of(nothing, nothing.new_zeros(2, act), lambda: nothing[:, 0])


class NamedReadouts(Mapping[str, "Tensor"]):
    """Rows by name: [rows] for a single number, [rows, size] for several; `name.2` is one of several.

    Beside the body's readouts and views there are `action` and `cost`, the environment's own cost. Raises
    TaskError for a name that this body does not have.
    """

    def __init__(self, layout: Readouts, rows: Tensor, action: Tensor, cost: Callable[[], Tensor]):
        self._layout, self._rows, self._action, self._cost = layout, rows, action, cost
        self.rows = rows.shape[0]
        self.asked_own = False
        """Whether the environment's own cost was asked for."""

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
            raise TaskError(f"{name!r} is no readout of this body, which has {known}{hint}")
        return found

    def _find(self, name: str) -> Tensor | None:
        if name == "action":
            return self._action
        if name == "cost":
            self.asked_own = True
            return self._cost()
        layout = self._layout
        if name in layout.views:
            view = layout.views[name]
            part = self._rows[:, layout.columns[view["of"]]][:, view["at"]]
            return _seen(part, view)
        if name in layout.columns:
            return _plain(self._rows[:, layout.columns[name]])
        return None


def _seen(part: Tensor, view: Mapping[str, Any]) -> Tensor:
    if view["as"] == "up":  # the last entry of the rotation matrix of a quaternion w x y z of any length
        square = part.square()
        return 1.0 - 2.0 * (square[:, 1] + square[:, 2]) / square.sum(-1).clamp_min(1e-12)
    if view["as"] == "length":
        return part.norm(dim=-1)
    value = part * view["sign"] + view["plus"]
    return _plain(value.cos() if view["as"] == "cos" else value)


def _plain(part: Tensor) -> Tensor:
    return part[:, 0] if part.shape[1] == 1 else part

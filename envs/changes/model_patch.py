"""A patch of a MuJoCo model: physical factors put on it, and taken off again to the last byte."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from envs.changes.factors import FACTORS, Perturbation, Rows
from envs.changes.randomisation import Standing
from envs.faults.errors import EnvError


class ModelPatch:
    """Scales fields of one `mujoco.MjModel`, and restores every byte of it."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._original: dict[str, Any] = {}

    def rows(self, perturbation: Standing) -> Rows:
        """The rows of bodies or motors that a perturbation acts on.

        Raises:
            EnvError: when its target does not exist, with the nearest name.
        """
        import mujoco

        kind = FACTORS[perturbation.factor].target
        if kind is None:
            return slice(None)
        is_body = kind == "body"
        count, first = (self.model.nbody, 1) if is_body else (self.model.nu, 0)
        if perturbation.target is None:
            return slice(first, count)
        label = int(mujoco.mjtObj.mjOBJ_BODY if is_body else mujoco.mjtObj.mjOBJ_ACTUATOR)
        names = {mujoco.mj_id2name(self.model, label, row): row for row in range(first, count)}
        if perturbation.target in names:
            return np.array([names[perturbation.target]])
        if not is_body and perturbation.target.isdecimal() and int(perturbation.target) < count:
            return np.array([int(perturbation.target)])
        known = [name for name in names if name]
        near = difflib.get_close_matches(perturbation.target, known, n=1, cutoff=0.4)
        word = "body" if is_body else "motor"
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none with a name'}"
        indices = "" if is_body else f" (or an index from 0 to {count - 1})"
        raise EnvError(
            f"perturbation {perturbation.quoted}: there is no {word} {perturbation.target!r}, {hint}{indices}"
        )

    def apply(self, perturbations: Sequence[Perturbation]) -> None:
        """Changes the original model by exactly these physical perturbations.

        Raises:
            EnvError: when a target does not exist.
        """
        self.undo()
        for perturbation in perturbations:
            factor = FACTORS[perturbation.factor]
            assert factor.scale is not None
            for field in factor.fields:
                if field not in self._original:
                    self._original[field] = attrgetter(field)(self.model).copy()
            factor.scale(self.model, self.rows(perturbation), perturbation.value)
        if any(perturbation.factor == "mass" for perturbation in perturbations):
            self._recompute_constants()

    def undo(self) -> None:
        """Restores the original bytes of every field that was changed."""
        for field, value in self._original.items():
            if isinstance(value, np.ndarray):
                attrgetter(field)(self.model)[...] = value
            else:
                owner, _, leaf = field.rpartition(".")
                setattr(attrgetter(owner)(self.model), leaf, value)
        self._original.clear()

    def _recompute_constants(self) -> None:
        """Recomputes the constants that MuJoCo derives from masses, such as inverse weights.

        Inverse weights set the stiffness of contacts. It works on scratch data, because mj_setConst moves the
        robot to its reference pose. `undo` restores what it changes. The view of the default camera
        (`stat.extent` and the like) stays as it was.
        """
        import mujoco

        model = self.model
        arrays = {name: getattr(model, name) for name in _array_fields(model) if name not in self._original}
        before = {name: array.copy() for name, array in arrays.items()}
        stat = {name: getattr(model.stat, name) for name in ("extent", "meansize", "meanmass", "meaninertia")}
        center = model.stat.center.copy()
        mujoco.mj_setConst(model, mujoco.MjData(model))
        for name, array in arrays.items():
            if array.tobytes() != before[name].tobytes():
                self._original[name] = before[name]
        for name, value in stat.items():
            if name.startswith("mean") and name != "meansize":
                self._original[f"stat.{name}"] = value
            else:
                setattr(model.stat, name, value)
        model.stat.center[:] = center


def _array_fields(model: Any) -> list[str]:
    """Names of all numeric arrays of a model."""
    return [
        name
        for name in dir(model)
        if not name.startswith("_")
        and isinstance(getattr(model, name), np.ndarray)
        and name not in ("names", "paths")
    ]

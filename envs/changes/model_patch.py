"""A patch of a MuJoCo model: physical factors put on it, and taken off again to the last byte."""

from __future__ import annotations

import difflib
import weakref
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from envs.changes.factors import FACTORS, Perturbation, Rows, fields_in
from envs.changes.randomisation import Standing
from envs.faults.errors import EnvError
from envs.physics import acted_on, motor_count

_PREFIXES = {"geom": "geom", "joint": "jnt", "site": "site", "camera": "cam"}
"""Kind of object -> how the names of its fields begin in the model."""
_LINEAR = {"gain": ("FIXED", "AFFINE", "MUSCLE", "PID"), "bias": ("NONE", "AFFINE", "MUSCLE")}
"""Types of motors whose force follows from their parameters as a factor does, by MuJoCo's names."""

_OWNERS: weakref.WeakValueDictionary[int, ModelPatch] = weakref.WeakValueDictionary()
"""The patch that changed a model last, by the model's identity: environments may share a model."""


class ModelPatch:
    """Scales fields of one `mujoco.MjModel`, and restores every byte of it."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._original: dict[str, Any] = {}

    def rows(self, perturbation: Standing) -> Rows:
        """The rows of bodies or motors that a perturbation acts on.

        Raises:
            EnvError: when its target does not exist, with the nearest name, and for a motor whose force no factor
                scales.
        """
        rows = self._rows(perturbation)
        if FACTORS[perturbation.factor].target == "actuator":
            self._check_scalable(perturbation, rows)
        return rows

    def _check_scalable(self, perturbation: Standing, rows: Rows) -> None:
        """Raises EnvError for motors whose parameters are no factors of their force, such as a resistance."""
        import mujoco

        for row in np.arange(motor_count(self.model))[rows]:
            for part, kinds in (("gain", mujoco.mjtGain), ("bias", mujoco.mjtBias)):
                kind = kinds(int(getattr(self.model, f"actuator_{part}type")[row])).name.rpartition("_")[2]
                if kind not in _LINEAR[part]:
                    raise EnvError(
                        f"perturbation {perturbation.quoted}: the motor {self.model.actuator(row).name or row} has "
                        f"the {part} type {kind.lower()}, whose parameters do not scale its force"
                    )

    def _rows(self, perturbation: Standing) -> Rows:
        """As `rows`, for motors of any type."""
        import mujoco

        kind = FACTORS[perturbation.factor].target
        if kind is None:
            return slice(None)
        is_body = kind == "body"
        count, first = (self.model.nbody, 1) if is_body else (motor_count(self.model), 0)
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
        other = self._of_another_kind(perturbation.target, is_body)
        hint = f", {hint}" if other is None else f"; {other}"
        indices = "" if is_body or not count else f" (or an index from 0 to {count - 1})"
        raise EnvError(
            f"perturbation {perturbation.quoted}: there is no {word} {perturbation.target!r}{hint}{indices}"
        )

    def why_no_effect(self, perturbation: Standing) -> str | None:
        """Why a perturbation changes nothing, as the end of a sentence; None where it changes something.

        All that it multiplies may be 0, such as gravity where the model has none, or it may be the mass of what no
        joint moves. What counts is the model without perturbations: this one may take the place of `gravity=0`.
        """
        rows, model = self.rows(perturbation), self.model
        factor = FACTORS[perturbation.factor]
        if factor.target == "body" and not model.body_dofnum[model.body_weldid[rows]].any():
            return "no joint moves it"
        for name in fields_in(model, factor.fields):
            original = self._original[name] if name in self._original else attrgetter(name)(model)
            if np.any(original[rows]):
                return None
        return "what it multiplies is 0 in this model"

    def _of_another_kind(self, name: str, is_body: bool) -> str | None:
        """What has the name that no body or motor has, with the body or the motors that belong to it."""
        import mujoco

        motors = {row: self.model.actuator(row).name or str(row) for row in range(motor_count(self.model))}
        for kind in ("geom", "joint", "site", "camera") if is_body else ("joint",):
            row = mujoco.mj_name2id(self.model, getattr(mujoco.mjtObj, f"mjOBJ_{kind.upper()}"), name)
            if row < 0:
                continue
            if is_body:
                body = int(getattr(self.model, f"{_PREFIXES[kind]}_bodyid")[row])
                return f"{name} is a {kind} of the body {self.model.body(body).name or body}"
            # A motor of a fixed tendon moves each of the tendon's joints.
            own = [motors[motor] for motor in motors if row in acted_on(self.model, motor)[0]]
            if own:
                return f"{name} is a joint, moved by the motor{'s' * (len(own) > 1)} {' and '.join(own)}"
        if is_body and name in motors.values() and not name.isdecimal():
            return f"{name} is a motor"
        return None

    def apply(self, perturbations: Sequence[Perturbation]) -> None:
        """Changes the original model by exactly these physical perturbations.

        Raises:
            EnvError: when a target does not exist, and for a model that another environment has changed: what is
                restored would be what that one has put on it.
        """
        self.undo()
        if perturbations:
            owner = _OWNERS.get(id(self.model))
            if owner is not None and owner._original:
                raise EnvError(
                    f"perturbation {perturbations[0].quoted}: another environment has the same MjModel, and has "
                    "changed it; give each environment its own, as copy.copy(model) makes one"
                )
            _OWNERS[id(self.model)] = self
        for perturbation in perturbations:
            factor = FACTORS[perturbation.factor]
            assert factor.scale is not None
            for field in fields_in(self.model, (*factor.fields, *factor.limits)):
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
        (`stat.extent` and the like) stays as it was, and so does `actuator_acc0`, from which a muscle has its
        strength: a heavier arm has the same muscles.
        """
        import mujoco

        model = self.model
        arrays = {name: getattr(model, name) for name in _array_fields(model) if name not in self._original}
        before = {name: array.copy() for name, array in arrays.items()}
        stat = {name: getattr(model.stat, name) for name in ("extent", "meansize", "meanmass", "meaninertia")}
        center = model.stat.center.copy()
        mujoco.mj_setConst(model, mujoco.MjData(model))
        model.actuator_acc0[:] = before["actuator_acc0"]
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

"""The table of what can be changed in a world, how a change is written, and how it is put on a MuJoCo model.

A physical factor multiplies fields of mjModel; a signal factor (latency, noise, dropout) has no field and is
applied by `envs.changes.perturbed.Perturbed`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np

from envs.faults.errors import EnvError

Rows = np.ndarray | slice
Scale = Callable[[Any, Rows, float], None]

_TEXT = re.compile(r"(?P<factor>[^=.@\s]+)(\.(?P<target>[^=@]+))?=(?P<value>[^=@]+)(@(?P<onset>[^=@]+))?")


@dataclass(frozen=True)
class Perturbation:
    """One parsed change: which factor, by how much, of which body or motor (None: all), from when on."""

    factor: str
    value: float
    target: str | None = None
    onset: int = 0

    def __str__(self) -> str:
        if self.factor == "dead":
            return f"dead={self.target}"
        return f"{self.factor}{'' if self.target is None else '.' + self.target}={_text(self.value)}"


def _text(value: float) -> str:
    """A number as short as reads back the same."""
    return str(int(value)) if value == int(value) else repr(value)


@dataclass(frozen=True)
class Factor:
    """One row of the table: its meaning, its range, and which mjModel fields it scales (none: a signal)."""

    meaning: str
    low: float
    high: float
    fields: tuple[str, ...] = ()
    scale: Scale | None = None
    target: str | None = None
    whole: bool = False


def _scaling(*fields: str) -> Scale:
    """Multiply the given rows of mjModel fields."""

    def scale(model: Any, rows: Rows, value: float) -> None:
        for field in fields:
            attrgetter(field)(model)[rows] *= value

    return scale


def _scale_motors(model: Any, rows: Rows, value: float) -> None:
    """Scale the force of motors: gain and bias both, so that a weak servo still aims where it is told."""
    import mujoco

    muscle = int(mujoco.mjtGain.mjGAIN_MUSCLE)
    for row in np.arange(model.nu)[rows]:
        # A muscle's parameters are lengths and velocities but for the peak force and its scale.
        columns = slice(2, 4) if model.actuator_gaintype[row] == muscle else slice(None)
        model.actuator_gainprm[row, columns] *= value
        model.actuator_biasprm[row, columns] *= value


_FRICTION = ("geom_friction", "pair_friction")
_INERTIA = ("body_mass", "body_inertia")
_MOTOR = ("actuator_gainprm", "actuator_biasprm")

FACTORS: dict[str, Factor] = {
    "gravity": Factor("strength of gravity", 0.0, 10.0, ("opt.gravity",), _scaling("opt.gravity")),
    "friction": Factor("friction of all contacts", 0.0, 10.0, _FRICTION, _scaling(*_FRICTION)),
    "mass": Factor(
        "mass and inertia of all bodies or of one", 0.05, 20.0, _INERTIA, _scaling(*_INERTIA), "body"
    ),
    "damping": Factor("damping of all joints", 0.0, 100.0, ("dof_damping",), _scaling("dof_damping")),
    "gain": Factor("force of all motors or of one", 0.0, 10.0, _MOTOR, _scale_motors, "actuator"),
    "dead": Factor("a motor, by index or name, without force", 0.0, 0.0, _MOTOR, _scale_motors, "actuator"),
    "latency": Factor("steps between an action and its effect", 0, 100, whole=True),
    "noise": Factor("standard deviation of noise on every sensor, in its own units", 0.0, 100.0),
    "dropout": Factor("share of the sensors, drawn anew each episode, that read 0", 0.0, 1.0),
}


def parse(text: str) -> Perturbation:
    """Read `factor[.target]=value[@step]`; EnvError names the nearest factor and the range allowed."""
    match = _TEXT.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise EnvError(
            f"perturbation {text!r} is malformed: write e.g. gravity=0.5, mass.torso=2 or gain=0.5@300"
        )
    name, target = match["factor"], match["target"]
    if name not in FACTORS:
        near = difflib.get_close_matches(name, FACTORS, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else "there are " + ", ".join(FACTORS)
        raise EnvError(f"unknown perturbation {name!r}: {hint}")
    factor = FACTORS[name]
    onset = _number(match["onset"] or "0", text)
    if onset < 0 or onset != int(onset):
        raise EnvError(f"perturbation {text!r}: the step after @ must be a whole number of at least 0")
    if name == "dead":
        if target is not None:
            raise EnvError(f"perturbation {text!r}: write dead=INDEX or dead=NAME")
        return Perturbation(name, 0.0, match["value"].strip(), int(onset))
    if target is not None and factor.target is None:
        raise EnvError(f"perturbation {text!r}: {name} acts on the whole world, write {name}=VALUE")
    value = _number(match["value"], text)
    if not factor.low <= value <= factor.high or (factor.whole and value != int(value)):
        kind = "a whole number" if factor.whole else "a number"
        raise EnvError(f"perturbation {text!r}: {name} must be {kind} from {factor.low:g} to {factor.high:g}")
    return Perturbation(name, value, target, int(onset))


def _number(word: str, text: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise EnvError(f"perturbation {text!r}: {word!r} is not a finite number")
    return value


class ModelPatch:
    """Scales fields of one mjModel and can put every byte of it back."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._base: dict[str, Any] = {}

    def rows(self, perturbation: Perturbation) -> Rows:
        """The rows of bodies or motors that a perturbation is about; EnvError if there are none."""
        import mujoco

        kind = FACTORS[perturbation.factor].target
        if kind is None:
            return slice(None)
        body = kind == "body"
        count, first = (self.model.nbody, 1) if body else (self.model.nu, 0)
        if perturbation.target is None:
            return slice(first, count)
        label = int(mujoco.mjtObj.mjOBJ_BODY if body else mujoco.mjtObj.mjOBJ_ACTUATOR)
        names = {mujoco.mj_id2name(self.model, label, row): row for row in range(first, count)}
        if perturbation.target in names:
            return np.array([names[perturbation.target]])
        if not body and perturbation.target.isdecimal() and int(perturbation.target) < count:
            return np.array([int(perturbation.target)])
        known = [name for name in names if name]
        near = difflib.get_close_matches(perturbation.target, known, n=1, cutoff=0.4)
        word = "body" if body else "motor"
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none with a name'}"
        span = "" if body else f" (or an index from 0 to {count - 1})"
        raise EnvError(
            f"perturbation '{perturbation}': there is no {word} {perturbation.target!r}, {hint}{span}"
        )

    def apply(self, perturbations: Sequence[Perturbation]) -> None:
        """Leave the model as it came, changed by exactly these."""
        self.undo()
        for perturbation in perturbations:
            factor = FACTORS[perturbation.factor]
            assert factor.scale is not None
            for field in factor.fields:
                if field not in self._base:
                    self._base[field] = attrgetter(field)(self.model).copy()
            factor.scale(self.model, self.rows(perturbation), perturbation.value)
        if any(perturbation.factor == "mass" for perturbation in perturbations):
            self._derive()

    def undo(self) -> None:
        """Every field that was touched, back to the bytes it held."""
        for field, value in self._base.items():
            if isinstance(value, np.ndarray):
                attrgetter(field)(self.model)[...] = value
            else:
                owner, _, leaf = field.rpartition(".")
                setattr(attrgetter(owner)(self.model), leaf, value)
        self._base.clear()

    def _derive(self) -> None:
        """Recompute what MuJoCo precomputes from masses (inverse weights, which set how stiff contacts are).

        On scratch data, since mj_setConst moves the body to its reference pose. What it changes is kept for
        `undo`. The framing of the camera (`stat.extent` and the like) stays.
        """
        import mujoco

        model = self.model
        arrays = {name: getattr(model, name) for name in _array_fields(model) if name not in self._base}
        before = {name: array.copy() for name, array in arrays.items()}
        stat = {name: getattr(model.stat, name) for name in ("extent", "meansize", "meanmass", "meaninertia")}
        center = model.stat.center.copy()
        mujoco.mj_setConst(model, mujoco.MjData(model))
        for name, array in arrays.items():
            if array.tobytes() != before[name].tobytes():
                self._base[name] = before[name]
        for name, value in stat.items():
            if name.startswith("mean") and name != "meansize":
                self._base[f"stat.{name}"] = value
            else:
                setattr(model.stat, name, value)
        model.stat.center[:] = center


def _array_fields(model: Any) -> list[str]:
    """Names of all numeric arrays of an mjModel."""
    return [
        name
        for name in dir(model)
        if not name.startswith("_")
        and isinstance(getattr(model, name), np.ndarray)
        and name not in ("names", "paths")
    ]

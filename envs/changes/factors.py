"""The factors of variation: what can be changed, how a change is written, and its range.

A physical factor multiplies fields of MuJoCo's model. A signal factor (latency, noise, dropout) has no field;
the wrapper in `envs.changes.perturbation` applies it to actions and observations. Values that are drawn anew in
each episode are in `envs.changes.randomisation`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np

from envs.faults.errors import EnvError
from envs.physics import acted_on, motor_count
from joule_errors.words import range_text

Rows = np.ndarray | slice
"""Rows of a field of the model: bodies or actuators."""
Scale = Callable[[Any, Rows, float], None]
"""(model, rows, value): multiplies rows of fields of the model by the value."""

_DEAD_SENSOR = re.compile(r"dead_sensor\.(?P<sensor>[^=@]+)(=0)?(?P<onset>@[^=@]+)?")
NAMED = ("dead", "dead_sensor")
"""Factors whose text gives a name in the place of a value."""
_NUMBER = r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_OTHER_RANGE = re.compile(
    rf"\s*{_NUMBER}\s*[-:;]\s*{_NUMBER}\s*|[\[(]\s*{_NUMBER}\s*[-:,;]\s*{_NUMBER}\s*[\])]"
)
"""How a range is written elsewhere."""
_TEXT = re.compile(r"(?P<factor>[^=.@\s]+)(\.(?P<target>[^=@]+))?=(?P<value>[^=@]+)(@(?P<onset>[^=@]+))?")


@dataclass(frozen=True)
class Perturbation:
    """One change."""

    factor: str
    """Name of the factor."""
    value: float
    """By how much; see the factor's meaning."""
    target: str | None = None
    """Name of the body or actuator, or index of the actuator; None is all of them."""
    onset: int = 0
    """The frame of the episode from which on it holds."""
    written: str = field(default="", compare=False)
    """As the user wrote it; empty where nobody did."""

    @property
    def quoted(self) -> str:
        """What a message calls it: the user's own spelling, where there is one."""
        return repr(self.written or str(self))

    def __str__(self) -> str:
        if self.factor in NAMED:
            return f"{self.factor}{'.' if self.factor == 'dead_sensor' else '='}{self.target}"
        return f"{self.factor}{'' if self.target is None else '.' + self.target}={number_text(self.value)}"


def number_text(value: float) -> str:
    """The shortest text that gives the same number again."""
    return str(int(value)) if value == int(value) else repr(value)


@dataclass(frozen=True)
class Factor:
    """One row of the table of factors."""

    meaning: str
    low: float
    """Least value allowed."""
    high: float
    """Greatest value allowed."""
    fields: tuple[str, ...] = ()
    """Fields of the model that it scales, where MuJoCo's release has them; none for a signal factor."""
    limits: tuple[str, ...] = ()
    """Fields with the limits of what these give, which it scales too."""
    scale: Scale | None = None
    target: str | None = None
    """What a target names: `body` or `actuator`; None if it has no target."""
    whole: bool = False
    """Whether the value is a whole number."""

    @property
    def neutral(self) -> float:
        """The value that changes nothing: 1 for a factor that multiplies, 0 for a signal factor."""
        return 1.0 if self.scale is not None else 0.0


def fields_in(model: Any, fields: Sequence[str]) -> list[str]:
    """Those of these fields that a model has: an earlier release of MuJoCo lacks some."""
    return [name for name in fields if hasattr(model, name.partition(".")[0])]


def _scaling(*fields: str) -> Scale:
    """Multiplies the given rows of fields of the model."""

    def scale(model: Any, rows: Rows, value: float) -> None:
        for name in fields_in(model, fields):
            attrgetter(name)(model)[rows] *= value

    return scale


def _scale_motors(model: Any, rows: Rows, value: float) -> None:
    """Scales the force of motors: gain and bias together, so that a weak position servo keeps its target.

    The limits of the force are scaled with it, as a servo far from its target gives its greatest force. That of
    a joint or a tendon is scaled where no other motor acts on it.
    """
    import mujoco

    muscle = int(mujoco.mjtGain.mjGAIN_MUSCLE)
    motors = np.arange(motor_count(model))
    scaled = set(motors[rows].tolist())

    def of_scaled_only(by_motor: list[set[int]]) -> list[int]:
        others = [moved for motor, moved in enumerate(by_motor) if motor not in scaled]
        return sorted(set[int]().union(*by_motor).difference(*others))

    by_tendon = model.actuator_trntype[motors] == int(mujoco.mjtTrn.mjTRN_TENDON)
    tendons = [{int(model.actuator_trnid[m, 0])} if by_tendon[m] else set[int]() for m in motors]
    joints = [acted_on(model, motor)[0] for motor in motors.tolist()]
    model.actuator_forcerange[rows] *= value
    model.jnt_actfrcrange[of_scaled_only(joints)] *= value
    model.tendon_actfrcrange[of_scaled_only(tendons)] *= value
    for row in motors[rows]:
        # A muscle's parameters are lengths and velocities, except for the peak force and its scale.
        columns = slice(2, 4) if model.actuator_gaintype[row] == muscle else slice(None)
        model.actuator_gainprm[row, columns] *= value
        model.actuator_biasprm[row, columns] *= value


_FRICTION = ("geom_friction", "pair_friction")
_INERTIA = ("body_mass", "body_inertia")
_DAMPING = ("dof_damping", "dof_dampingpoly")
_MOTOR = ("actuator_gainprm", "actuator_biasprm")
_FORCES = ("actuator_forcerange", "jnt_actfrcrange", "tendon_actfrcrange")

FACTORS: dict[str, Factor] = {
    "gravity": Factor("strength of gravity", 0.0, 10.0, ("opt.gravity",), (), _scaling("opt.gravity")),
    "friction": Factor("friction of all contacts", 0.0, 10.0, _FRICTION, (), _scaling(*_FRICTION)),
    "mass": Factor(
        "mass and inertia of all bodies or of one", 0.05, 20.0, _INERTIA, (), _scaling(*_INERTIA), "body"
    ),
    "damping": Factor("damping of all joints", 0.0, 100.0, _DAMPING, (), _scaling(*_DAMPING)),
    "gain": Factor("force of all motors or of one", 0.0, 10.0, _MOTOR, _FORCES, _scale_motors, "actuator"),
    "dead": Factor(
        "a motor, by index or name, without force", 0.0, 0.0, _MOTOR, _FORCES, _scale_motors, "actuator"
    ),
    "dead_sensor": Factor("a sensor, by name or place in the observation, that reads 0", 0.0, 0.0),
    "latency": Factor("frames between an action and its effect", 0, 100, whole=True),
    "noise": Factor("standard deviation of noise on every sensor, in its own units", 0.0, 100.0),
    "dropout": Factor("share of the sensors, drawn anew each episode, that read 0", 0.0, 1.0),
}
"""Name -> factor. The ranges are those of domain randomisation too."""

UNITS = {
    "latency": ", in frames",
    "noise": ", in the units of the sensors",
    "dropout": ", a share of the sensors",
}
"""Of the factors that do not multiply, as messages end."""


@dataclass(frozen=True)
class Written:
    """A perturbation as it is written, whose value is not read yet."""

    text: str
    """As the user wrote it, for messages."""
    factor: str
    target: str | None
    value: str
    """A number, a range, a choice; the name of a motor or a sensor."""
    onset: int

    @property
    def drawn(self) -> bool:
        """Whether the value is a range or a choice, from which each episode draws."""
        return self.factor not in NAMED and _is_drawn(self.value)

    def number(self, word: str) -> float:
        """A word as a value of the factor. Raises EnvError for no number, and for one out of range."""
        factor = FACTORS[self.factor]
        if range_of := _OTHER_RANGE.fullmatch(word):
            low, high = filter(None, range_of.groups())
            raise self.error(f"{word!r} is not a number; a range is written {low}..{high}")
        value = _number(word, self.text)
        if not factor.low <= value <= factor.high or (factor.whole and value != int(value)):
            kind = "a whole number" if factor.whole else "a number"
            unit = UNITS.get(self.factor, "; it multiplies, so that 1 changes nothing")
            raise self.error(f"{self.factor} must be {kind} from {range_text(factor.low, factor.high)}{unit}")
        return value

    def error(self, cause: str) -> EnvError:
        """The error that refuses this perturbation."""
        return EnvError(f"perturbation {self.text!r}: {cause}")


def parse(text: str) -> Perturbation:
    """A perturbation from its text, `factor[.target]=value[@frame]`, `dead=motor[@frame]` or
    `dead_sensor.name[@frame]`.

    Raises:
        EnvError: for a malformed text, an unknown factor (with the nearest one), a value out of range, and a
            range or a choice (see `envs.changes.randomisation`).
    """
    written = read(text)
    if written.drawn:
        raise written.error("a range or a choice draws a value in each episode; here it must be one value")
    return perturbation(written)


def perturbation(written: Written) -> Perturbation:
    """The perturbation of a text with one value. Raises EnvError as `parse`."""
    if written.factor in NAMED:
        return Perturbation(written.factor, 0.0, written.value, written.onset, written.text)
    value = written.number(written.value)
    return Perturbation(written.factor, value, written.target, written.onset, written.text)


def read(text: str) -> Written:
    """The parts of a perturbation's text. Raises EnvError as `parse`, but not for the value."""
    written = text.strip() if isinstance(text, str) else ""
    if sensor := _DEAD_SENSOR.fullmatch(written):
        written = f"dead_sensor={sensor['sensor']}{sensor['onset'] or ''}"
    match = _TEXT.fullmatch(written)
    if written in NAMED:
        what = "dead=NAME, of a motor" if written == "dead" else "dead_sensor.NAME, of a sensor"
        raise EnvError(f"perturbation {text!r} is malformed: write {what}")
    if match is None and (motor := re.fullmatch(r"dead\.([^=@]+(?:@[0-9]+)?)", written)):
        raise EnvError(f"perturbation {text!r} is malformed: write dead={motor[1]}")
    if (
        match is None
        and len(several := re.split(r"[,;\s]+", written)) > 1
        and all(map(_TEXT.fullmatch, several))
    ):
        raise EnvError(
            f"perturbation {text!r} is several: give each by itself, {' and '.join(map(repr, several))}"
        )
    if written == "none":
        raise EnvError("perturbation 'none' changes nothing; unperturb() undoes what was changed")
    if match is None:
        raise EnvError(
            f"perturbation {text!r} is malformed: write e.g. gravity=0.5, mass.torso=2, gain=0.5@300, "
            "gravity=0.7..1.3 or mass=0.5|1|2"
        )
    name, target = match["factor"], match["target"]
    if name not in FACTORS:
        near = difflib.get_close_matches(name, FACTORS, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else "there are " + ", ".join(FACTORS)
        raise EnvError(f"unknown perturbation {name!r}: {hint}")
    onset = _number(match["onset"] or "0", text)
    if onset < 0 or onset != int(onset):
        raise EnvError(f"perturbation {text!r}: the frame after @ must be a whole number of at least 0")
    found = Written(text, name, target, match["value"].strip(), int(onset))
    # A sensor may have a name with dots or bars; a place of the observation has none.
    no_sensor = name == "dead" or target is not None or re.fullmatch("[0-9.|]+", found.value)
    if name in NAMED and _is_drawn(found.value) and no_sensor:
        other = "; gain.NAME=0|1 switches a motor off in some episodes" if name == "dead" else ""
        raise found.error(f"{name} takes no value, and so no range and no choice{other}")
    if name in NAMED and target is not None:
        raise found.error(f"write {f'{name}.' if name == 'dead_sensor' else f'{name}='}{target}")
    if target is not None and FACTORS[name].target is None:
        raise found.error(f"{name} has no target, write {name}=VALUE")
    return found


def _is_drawn(value: str) -> bool:
    """Whether the text of a value is a range or a choice."""
    return ".." in value or "|" in value


def _number(word: str, text: str) -> float:
    """A word of a perturbation's text as a finite number. Raises EnvError."""
    try:
        value = float(word)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        unit = ", without a unit" if re.fullmatch(r"[-+.0-9]+ *[a-zA-Z%]+", word) else ""
        raise EnvError(f"perturbation {text!r}: {word!r} is not a finite number{unit}")
    return value

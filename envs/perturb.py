"""Factors of variation: change gravity, friction, masses, motors, sensors or latency, at reset or mid-episode.

`gravity=0.5` halves gravity in every episode, `gravity=0.5@300` from environment step 300 of each episode on
(after 300 steps have been taken), `mass.torso=2` doubles one body, `dead=hip` cuts one motor. Physical factors are
written to fields of mjModel and undone exactly at the next reset.
"""

from __future__ import annotations

import difflib
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import gymnasium
import numpy as np

from envs.errors import EnvError
from envs.physics import dm_control_env, find_physics
from envs.wrappers import Step

Rows = np.ndarray | slice
Scale = Callable[[Any, Rows, float], None]

_TEXT = re.compile(r"(?P<factor>[^=.@\s]+)(\.(?P<target>[^=@]+))?=(?P<value>[^=@]+)(@(?P<onset>[^=@]+))?")


@dataclass(frozen=True)
class Perturbation:
    """One parsed change: which factor, by how much, of which body or motor (None: all), from which step on."""

    factor: str
    value: float
    target: str | None = None
    onset: int = 0

    def __str__(self) -> str:
        if self.factor == "dead":
            return f"dead={self.target}"
        return f"{self.factor}{'' if self.target is None else '.' + self.target}={self.value!r}"


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
    """Scale the force of motors: a motor's gain and bias both, so that a weak servo still aims where it is told."""
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

        On scratch data, since mj_setConst moves the body to its reference pose. What it changes is kept for `undo`.
        The framing of the camera (`stat.extent` and the like) stays.
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


class Perturbed(gymnasium.Wrapper[np.ndarray, np.ndarray, np.ndarray, np.ndarray]):
    """Applies perturbations to the physics below it and to the actions and observations that pass through it.

    A later change of the same factor and target replaces the earlier one.
    """

    def __init__(self, env: gymnasium.Env[np.ndarray, np.ndarray], texts: Sequence[str] = ()) -> None:
        super().__init__(env)
        self._standing = sorted((parse(text) for text in texts), key=lambda p: p.onset)
        self._active: dict[tuple[str, str | None], Perturbation] = {}
        self._pending: list[Perturbation] = []
        self._physics = find_physics(env)
        self._patch = None if self._physics is None else ModelPatch(self._physics.model)
        self._rng = np.random.default_rng()
        self._frame = 0
        self._queue: deque[np.ndarray] = deque()
        size = env.observation_space.shape[0]  # type: ignore[index]
        self._silent = np.zeros(size, bool)
        self._last_action = np.zeros(env.action_space.shape, np.float32)
        self.at_last_step: tuple[Perturbation, ...] = ()
        self._tuple: tuple[Perturbation, ...] = ()
        self._noise, self._latency, self._signals = 0.0, 0, False
        for perturbation in self._standing:
            self._check(perturbation)

    @property
    def active(self) -> list[str]:
        """What is changed right now, as text."""
        return [str(perturbation) for perturbation in self._tuple]

    def add(self, text: str) -> None:
        """Change the world now, until the episode ends."""
        perturbation = parse(text)
        self._check(perturbation)
        if perturbation.onset > self._frame:
            self._pending = sorted([*self._pending, perturbation], key=lambda p: p.onset)
        else:
            self.set_active([*self._tuple, perturbation])

    def clear(self) -> None:
        """Undo every change, those still to come in this episode too."""
        self._pending = []
        self.set_active(())

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        self.clear()
        if seed is not None:
            # Another stream than the environment's own, which takes the bare seed.
            self._rng = np.random.default_rng([seed, 1])
        observation, info = self.env.reset(seed=seed, options=options)
        self._frame = 0
        self._last_action = np.zeros_like(self._last_action)
        self.follow()
        self._pending = [p for p in self._standing if p.onset > 0]
        self.set_active([p for p in self._standing if p.onset == 0])
        self.at_last_step = ()
        return (self._sense(observation) if self._signals else observation), info

    def step(self, action: np.ndarray) -> Step:
        if self._pending and self._pending[0].onset <= self._frame:
            due = [p for p in self._pending if p.onset <= self._frame]
            self._pending = self._pending[len(due) :]
            self.set_active([*self._tuple, *due])
        self._frame += 1
        self.at_last_step = self._tuple
        self._last_action = action
        if not self._signals:
            return self.env.step(action)  # type: ignore[return-value]
        if self._latency:
            self._queue.append(action)
            action = self._queue.popleft()
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._sense(observation), reward, terminated, truncated, info  # type: ignore[return-value]

    def set_active(self, perturbations: Sequence[Perturbation]) -> None:
        """Make exactly these hold from now on."""
        active = {(p.factor, p.target): p for p in perturbations}
        if active == self._active:
            return
        old_latency, old_dropout = self._latency, self._active.get(("dropout", None))
        self._active, self._tuple = active, tuple(active.values())
        if self._patch is not None:
            self._patch.apply([p for p in self._tuple if FACTORS[p.factor].scale is not None])
            self._refresh()
        value = {p.factor: p.value for p in self._tuple}
        self._noise = value.get("noise", 0.0)
        self._latency = int(value.get("latency", 0))
        if self._latency != old_latency:
            self._queue = deque(self._last_action for _ in range(self._latency))
        if self._active.get(("dropout", None)) != old_dropout:
            count = round(value.get("dropout", 0.0) * self._silent.size)
            self._silent = np.zeros(self._silent.size, bool)
            self._silent[self._rng.choice(self._silent.size, count, replace=False)] = True
        self._signals = bool(self._noise or self._latency or self._silent.any())

    def state(self) -> dict[str, Any]:
        """Everything but the random generator, as arrays and JSON values."""
        return {
            "active": [str(p) for p in self._tuple],
            "at_last_step": [str(p) for p in self.at_last_step],
            "pending": [f"{p}@{p.onset}" for p in self._pending],
            "frame": self._frame,
            "queue": np.array(self._queue, np.float32).reshape(-1, self._last_action.shape[0]),
            "last_action": np.array(self._last_action, np.float32),
            "silent": self._silent.copy(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up `state`; the physics below must already be where it was."""
        self.set_active([parse(text) for text in state["active"]])
        self.at_last_step = tuple(parse(text) for text in state["at_last_step"])
        self._pending = [parse(text) for text in state["pending"]]
        self._frame = int(state["frame"])
        self._queue = deque(np.array(row) for row in state["queue"])
        self._last_action = np.array(state["last_action"])
        self._silent = np.array(state["silent"], bool)
        self._signals = bool(self._noise or self._latency or self._silent.any())

    @property
    def rng(self) -> np.random.Generator:
        """The generator of sensor noise and dropout."""
        return self._rng

    def follow(self) -> None:
        """Look for the physics again: an environment may build a new model at a reset."""
        self._physics = find_physics(self.env)
        if self._physics is not None and (
            self._patch is None or self._patch.model is not self._physics.model
        ):
            self._patch = ModelPatch(self._physics.model)

    def _check(self, perturbation: Perturbation) -> None:
        """EnvError if this environment has nothing the perturbation could act on."""
        if FACTORS[perturbation.factor].scale is None:
            return
        if self._patch is None:
            raise EnvError(
                f"perturbation '{perturbation}' needs a MuJoCo body; here only latency, noise, dropout work"
            )
        self._patch.rows(perturbation)

    def _refresh(self) -> None:
        """dm_control finishes each step with the half that depends on the model, so that half is redone."""
        if self._physics is not None and dm_control_env(self.env) is not None:
            import mujoco

            mujoco.mj_step1(self._physics.model, self._physics.data)

    def _sense(self, observation: np.ndarray) -> np.ndarray:
        """What the perturbed sensors show of the true observation."""
        if self._noise:
            observation = observation + self._noise * self._rng.standard_normal(
                observation.shape[0], np.float32
            )
        if self._silent.any():
            observation = np.where(self._silent, np.float32(0), observation)
        return observation.astype(np.float32, copy=False)

"""Perturbations of an environment, from a reset on or from the middle of an episode.

`gravity=0.5` halves gravity in every episode, and `gravity=0.5@300` from frame 300 of each episode on (frames
of the environment itself, whatever the action repeat). `mass.torso=2` doubles one body's mass, `dead=hip`
disables one motor. `gravity=0.7..1.3` draws its value anew in each episode; see `envs.changes.randomisation`.
Physical factors are written to MuJoCo's model and undone exactly at the next reset.
"""

from __future__ import annotations

import difflib
import warnings
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np

from envs.changes.factors import FACTORS, NAMED, Perturbation, parse
from envs.changes.model_patch import ModelPatch
from envs.changes.randomisation import Randomised, Standing, draw, generator_of, parse_standing, standing
from envs.faults.errors import EnvError
from envs.physics import dm_control_env, find_physics
from envs.readouts.sensors import sensor_names
from envs.state.snapshot_schema import LONGEST_REPLAY, check_perturbed
from envs.wrappers import Step
from joule_errors import Advice

LIKELY_GRAVITY = 3.0
"""A greater factor of gravity may be meant as an acceleration, such as 9.81."""
OF_SENSORS = ("noise", "dropout", "dead_sensor")
"""Factors that change the numbers of an observation."""


class Perturbed(gymnasium.Wrapper[np.ndarray, np.ndarray, np.ndarray, np.ndarray]):
    """Applies perturbations to the physics, and to the actions and observations that pass through.

    A later perturbation of the same factor and target replaces the earlier one.

    Args:
        env: the environment, with flat observations.
        texts: the standing perturbations, which hold in every episode. Values that are drawn are drawn by a
            generator that follows from the seed of a reset.
        reads_numbers: whether the agent observes the numbers of flat observations, and not pictures alone.

    Raises:
        EnvError: for a perturbation that is malformed or has nothing to act on here.
    """

    def __init__(
        self,
        env: gymnasium.Env[np.ndarray, np.ndarray],
        texts: Sequence[str] = (),
        reads_numbers: bool = True,
    ) -> None:
        super().__init__(env)
        self._reads_numbers = reads_numbers
        self._standing = standing(texts)
        self._held: dict[tuple[str, str | None], Perturbation] = {}
        """What holds in every episode in place of the standing perturbation of the same factor and target."""
        self.drawn: dict[str, float] = {}
        """The values that were drawn for this episode, by `Randomised.name`."""
        self._active: dict[tuple[str, str | None], Perturbation] = {}
        self._pending: list[Perturbation] = []
        self._physics = find_physics(env)
        self._patch = None if self._physics is None else ModelPatch(self._physics.model)
        self._rng = np.random.default_rng()
        self._frame = 0
        self._queue: deque[np.ndarray] = deque()
        size = env.observation_space.shape[0]  # type: ignore[index]
        self._silent = np.zeros(size, bool)
        self._dead = np.zeros(size, bool)
        self._sensors: dict[str, np.ndarray] | None = None
        self._last_action = np.zeros(env.action_space.shape or (0,), np.float32)
        self.at_last_step: tuple[Perturbation, ...] = ()
        """What was active in the last step."""
        self._history: dict[int, tuple[Perturbation, ...]] = {}
        """What held in this episode, by the frame from which on it held; nothing before the first of them."""
        self._tuple: tuple[Perturbation, ...] = ()
        self._noise, self._latency, self._signals = 0.0, 0, False
        for perturbation in self._standing:
            self.check(perturbation)
            self._advise(perturbation)

    @property
    def last_onset(self) -> int:
        """The frame of an episode from which on all standing perturbations hold."""
        return max((p.onset for p in self._standing), default=0)

    @property
    def dead_sensors(self) -> np.ndarray:
        """Which sensors read 0 now, [obs] of bool: those that dropped out, and those that are dead by name."""
        return self._silent | self._dead

    @property
    def active(self) -> list[str]:
        """The perturbations that hold now, as text."""
        return [str(perturbation) for perturbation in self._tuple]

    def add(self, text: str) -> None:
        """Perturbs the environment now, or at the onset that the text gives, until the episode ends.

        A value that is drawn is drawn now.

        Raises:
            EnvError: for a perturbation that is malformed or has nothing to act on here.
        """
        given = parse_standing(text)
        self.check(given)
        self._advise(given)
        perturbation = given.draw(self._rng) if isinstance(given, Randomised) else given
        if perturbation.onset > self._frame:
            self._pending = sorted([*self._pending, perturbation], key=lambda p: p.onset)
        else:
            self.set_active([*self._tuple, perturbation])

    def hold(self, text: str) -> None:
        """Gives a factor one value now and from the first observation of every later episode on.

        It takes the place of what else changes this factor of this target, what is still to come included. The
        value that changes nothing undoes that, and needs nothing to act on.

        Raises:
            EnvError: for a perturbation that is malformed, begins later, or has nothing to act on here.
        """
        held = parse(text)
        if held.onset:
            raise EnvError(
                f"perturbation {held.quoted} begins at frame {held.onset}, and what is held holds from now on; "
                f"leave out @{held.onset}"
            )
        if not _is_neutral(held):
            self.check(held)
            self._advise(held)
        key = (held.factor, held.target)
        self._held[key] = held
        self._pending = [p for p in self._pending if (p.factor, p.target) != key]
        self.set_active(self._with_held(self._tuple))

    def _with_held(self, perturbations: Sequence[Perturbation]) -> list[Perturbation]:
        """The perturbations of an episode, with what is held in place of those of the same factor and target."""
        others = [p for p in perturbations if (p.factor, p.target) not in self._held]
        return [*others, *(held for held in self._held.values() if not _is_neutral(held))]

    def clear(self) -> None:
        """Undoes every perturbation of this episode, those still to come included."""
        self._pending = []
        self.set_active(())

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        self.clear()
        if seed is not None:
            self._rng = generator_of(seed)
        drawn, self.drawn = draw(self._standing, self._rng)
        episode = self._with_held(drawn)
        observation, info = self.env.reset(seed=seed, options=options)
        self._frame = 0
        self._last_action = np.zeros_like(self._last_action)
        self.find_model()
        self._pending = [p for p in episode if p.onset > 0]
        self.set_active([p for p in episode if p.onset == 0])
        self.at_last_step, self._history = (), {}
        return (self._sense(observation) if self._signals else observation), info

    def step(self, action: np.ndarray) -> Step:
        if self._pending and self._pending[0].onset <= self._frame:
            due = [p for p in self._pending if p.onset <= self._frame]
            self._pending = self._pending[len(due) :]
            self.set_active([*self._tuple, *due])
        if self._tuple != self.at_last_step and self._frame < LONGEST_REPLAY:
            self._history[self._frame] = self._tuple
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

    def close(self) -> None:
        # The model may be that of other environments too.
        if self._patch is not None:
            self._patch.undo()
        super().close()

    def set_active(self, perturbations: Sequence[Perturbation]) -> None:
        """Makes exactly these perturbations hold from now on."""
        active = {(p.factor, p.target): p for p in perturbations}
        if active == self._active:
            return
        old_latency, old_dropout = self._latency, self._active.get(("dropout", None))
        self._active, self._tuple = active, tuple(active.values())
        if self._patch is not None:
            self._patch.apply([p for p in self._tuple if FACTORS[p.factor].scale is not None])
            self._recompute_dm_control()
        value = {p.factor: p.value for p in self._tuple}
        self._noise = value.get("noise", 0.0)
        self._latency = int(value.get("latency", 0))
        if self._latency != old_latency:
            self._queue = deque(self._last_action for _ in range(self._latency))
        if self._active.get(("dropout", None)) != old_dropout:
            count = round(value.get("dropout", 0.0) * self._silent.size)
            self._silent = np.zeros(self._silent.size, bool)
            self._silent[self._rng.choice(self._silent.size, count, replace=False)] = True
        self._dead = np.zeros(self._silent.size, bool)
        for perturbation in self._tuple:
            if perturbation.factor == "dead_sensor":
                self._dead[self._places(perturbation)] = True
        self._signals = self._has_signals()

    def _has_signals(self) -> bool:
        """Whether actions or observations are changed on their way."""
        return bool(self._noise or self._latency or self._silent.any() or self._dead.any())

    def _places(self, perturbation: Standing) -> np.ndarray:
        """Where in the observation a dead sensor is. Raises EnvError where there is none of this name."""
        if self._sensors is None:
            self._sensors = sensor_names(self.env, self._silent.size)
        name = str(perturbation.target)
        if name in self._sensors:
            return self._sensors[name]
        named = [known for known in self._sensors if not known.isdecimal()]
        near = difflib.get_close_matches(name, named, n=1, cutoff=0.4)
        known = f"there are {', '.join(named)}" if named else "none has a name"
        hint = f"; did you mean {near[0]}?" if near else ""
        raise EnvError(
            f"perturbation {perturbation.quoted}: there is no sensor {name!r}; {known} "
            f"(or a place from 0 to {self._silent.size - 1}){hint}"
        )

    def state(self) -> dict[str, Any]:
        """Everything but the random generator, as arrays and JSON values; `silent` [obs] marks dropped
        sensors."""
        # Earlier versions know neither of these entries.
        added: dict[str, Any] = {"drawn": dict(self.drawn)} if self.drawn else {}
        if max(self._history, default=0) > 0:
            held = [(frame, [str(p) for p in active]) for frame, active in self._history.items()]
            added["history"] = [{"frame": frame, "active": active} for frame, active in held]
        return added | {
            "active": [str(p) for p in self._tuple],
            "at_last_step": [str(p) for p in self.at_last_step],
            "pending": [f"{p}@{p.onset}" for p in self._pending],
            "frame": self._frame,
            "queue": np.array(self._queue, np.float32).reshape(-1, self._last_action.shape[0]),
            "last_action": np.array(self._last_action, np.float32),
            "silent": self._silent.copy(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Sets what `state` gave; the physics below must already be in its state of that moment."""
        self.set_active([parse(text) for text in state["active"]])
        self.at_last_step = tuple(parse(text) for text in state["at_last_step"])
        self._history = history_of(state)
        self._pending = [parse(text) for text in state["pending"]]
        self.drawn = {name: float(value) for name, value in state.get("drawn", {}).items()}
        self._frame = int(state["frame"])
        self._queue = deque(np.array(row) for row in state["queue"])
        self._last_action = np.array(state["last_action"])
        self._silent = np.array(state["silent"], bool)
        self._signals = self._has_signals()

    @property
    def rng(self) -> np.random.Generator:
        """The generator of sensor noise, dropout and drawn values."""
        return self._rng

    def find_model(self) -> None:
        """Finds the model again: an environment may build a new one at a reset."""
        self._physics = find_physics(self.env)
        if self._physics is not None and (
            self._patch is None or self._patch.model is not self._physics.model
        ):
            self._patch = ModelPatch(self._physics.model)

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Checks what `state` gave, before any of it is set.

        Raises:
            SchemaError: where it is not the state of this wrapper.
            EnvError: for a perturbation that is malformed or has nothing to act on here.
        """

        def latency(texts: Sequence[str]) -> int:
            perturbations = [parse(text) for text in texts]
            for perturbation in perturbations:
                self.check(perturbation)
            return int({p.factor: p.value for p in perturbations}.get("latency", 0))

        check_perturbed(state, self._silent.size, self._last_action.shape[0], latency)

    def check(self, perturbation: Standing) -> None:
        """Raises EnvError if this environment has nothing that the perturbation could act on."""
        if perturbation.factor in OF_SENSORS and not self._reads_numbers:
            raise EnvError(
                f"perturbation {perturbation.quoted} is of sensors, and the agent observes pictures alone"
            )
        if perturbation.factor == "dead_sensor":
            self._places(perturbation)
        if FACTORS[perturbation.factor].scale is None:
            return
        if self._patch is None:
            raise EnvError(
                f"perturbation {perturbation.quoted} needs MuJoCo physics, as the environment's attributes model "
                "and data; here only latency, noise, dropout and dead_sensor work"
            )
        self._patch.rows(perturbation)

    def _advise(self, perturbation: Standing) -> None:
        """Warns of a perturbation, which was checked, that changes nothing, and of a huge gravity."""
        if self._patch is None or FACTORS[perturbation.factor].scale is None:
            return
        if why := self._patch.why_no_effect(perturbation):
            said = f"perturbation {perturbation.quoted} changes nothing: {why}"
            warnings.warn(said, Advice, stacklevel=2)
            return
        factor = perturbation.value if isinstance(perturbation, Perturbation) else 1.0
        if perturbation.factor == "gravity" and factor > LIKELY_GRAVITY:
            said = (
                f"perturbation {perturbation.quoted} makes gravity {factor:g} times as strong: it is a factor, "
                "not an acceleration in m/s²"
            )
            warnings.warn(said, Advice, stacklevel=2)

    def _recompute_dm_control(self) -> None:
        """Repeats the half step that dm_control ends every step with, because it depends on the model."""
        if self._physics is not None and dm_control_env(self.env) is not None:
            import mujoco

            mujoco.mj_step1(self._physics.model, self._physics.data)

    def _sense(self, observation: np.ndarray) -> np.ndarray:
        """What the perturbed sensors read, [obs], of the true observation."""
        if self._noise:
            observation = observation + self._noise * self._rng.standard_normal(
                observation.shape[0], np.float32
            )
        silent = self.dead_sensors
        if silent.any():
            observation = np.where(silent, np.float32(0), observation)
        return observation.astype(np.float32, copy=False)


def history_of(state: Mapping[str, Any]) -> dict[int, tuple[Perturbation, ...]]:
    """What held in a saved episode, by the frame from which on it held.

    Without changes in mid-episode it is what held in the last step. So it is for a snapshot of an earlier version,
    which does not say when that began.

    Args:
        state: what `Perturbed.state` gave.
    """
    if "history" not in state:
        at_last_step = tuple(parse(text) for text in state["at_last_step"])
        return {0: at_last_step} if at_last_step else {}
    return {held["frame"]: tuple(parse(text) for text in held["active"]) for held in state["history"]}


def _is_neutral(perturbation: Perturbation) -> bool:
    """Whether it has the value of its factor that changes nothing."""
    named = perturbation.factor in NAMED
    return not named and perturbation.value == FACTORS[perturbation.factor].neutral

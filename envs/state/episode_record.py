"""The record of an episode: its start and the moment before its last step, or all of its actions.

The record keeps the state *before* the last step, and that step's action. A restore resets the environment as at
the start of the episode, sets that state, and takes the step again. An environment without MuJoCo is restored by
a replay of the episode's actions, and so is one whose other Python objects (a set, a list, an object of its own)
have changed since its reset: a replay changes them in the same way. So is one whose step, taken again, leads
elsewhere: it reads what MuJoCo derived in the step before. Whatever is replayed must give the same observation
and the same rewards, to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from operator import itemgetter
from typing import Any

import gymnasium
import numpy as np

from envs.faults.boundary import Boundary
from envs.physics import DM_CONTROL, dm_control_env, find_physics, is_of_shimmy, parts
from envs.state.extra_state import HasExtraState, load_extra, read_extra, storable
from envs.state.physics_state import PhysicsState
from envs.state.python_objects import Contents, changed, unsaved
from envs.state.python_state import (
    CannotRestore,
    check_attributes,
    copies,
    generators,
    is_json,
    json_scalar,
    lacks,
    load_arrays,
    load_scalars,
    rng_states,
    scalars,
    set_rng_states,
    to_json,
)
from envs.state.snapshot_schema import LONGEST_REPLAY, check_record
from joule_schema.arrays import under


class EpisodeRecord(gymnasium.Wrapper[Any, Any, Any, Any]):
    """The innermost wrapper: keeps the start of the episode and the state before its last step."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self._physics: PhysicsState | None = None
        self._parts: list[Any] = []
        self._scalars: list[tuple[dict[str, Any], tuple[str, ...]]] = []
        self._reset: dict[str, Any] | None = None
        self._reset_arrays: list[dict[str, np.ndarray]] = []
        self._before: dict[str, Any] = {}
        self._reward = math.nan
        self._actions: list[np.ndarray] = []
        self._rewards: list[float] = []
        self._unsaved: Contents = {}
        self._rngs: list[Any] = []
        self._rng_after_reset: list[Any] = []
        base: Any = env.unwrapped
        self._extra: HasExtraState | None = base if isinstance(base, HasExtraState) else None
        self._by_state = _only_known_layers(env) and find_physics(env) is not None
        self._options_are_json = True
        self._nondeterministic = bool(env.spec and env.spec.nondeterministic)

    @property
    def exact(self) -> bool:
        """Whether a restore of this moment is exact to the last bit."""
        within = self._by_state or len(self._actions) < LONGEST_REPLAY
        return within and self._options_are_json and not self._nondeterministic

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        self._options_are_json = is_json(options)
        self._reset = {
            "seed": seed,
            "options": options if self._options_are_json else None,
            "rng": rng_states(self.env),
            # An environment may count its episodes, or make them harder.
            "scalars": [scalars(part) for part in parts(self.env)],
        }
        self._reset_arrays = [copies(part) for part in parts(self.env)]
        result = self.env.reset(seed=seed, options=options)
        self._start()
        return result

    def step(self, action: np.ndarray) -> Any:
        if self._by_state:
            self._keep_moment(action)
        result = self.env.step(action.copy())  # the environment may write into it
        self._reward = _number(result[1])
        if len(self._actions) < LONGEST_REPLAY:
            self._actions.append(action)
            self._rewards.append(self._reward)
        return result

    def save(self) -> dict[str, Any]:
        """What a restore needs, as a flat dict of arrays and JSON values. The episode must have started."""
        assert self._reset is not None
        by_state = self._by_state and not self._needs_replay()
        saved: dict[str, Any] = {
            "by_state": by_state,
            "reset": {**self._reset, "rng": [to_json(state) for state in self._reset["rng"]]},
            "rng": [to_json(state) for state in rng_states(self.env)],
            "scalars": [
                {name: json_scalar(attributes[name]) for name in names} for attributes, names in self._scalars
            ],
        }
        for index, part in enumerate(self._parts):
            saved |= {f"array/{index}/{name}": array for name, array in copies(part).items()}
        for index, arrays in enumerate(self._reset_arrays):
            saved |= {f"reset/array/{index}/{name}": array for name, array in arrays.items()}
        if self._extra is not None:
            saved |= {f"extra/{name}": value for name, value in storable(read_extra(self._extra)).items()}
        if by_state and self._before:
            before = self._before
            saved["before/reward"] = np.array([self._reward])
            saved["before/state"] = before["state"]
            saved["before/derived"] = before["derived"]
            saved["before/action"] = np.array(before["action"])
            saved["before/rng"] = [to_json(state) for state in before["rng"]]
            saved["before/scalars"] = [
                dict(zip(names, map(json_scalar, values), strict=True))
                for (_, names), values in zip(self._scalars, before["scalars"], strict=True)
            ]
            if self._extra is not None:
                saved |= {f"before/extra/{name}": value for name, value in storable(before["extra"]).items()}
        if not by_state or 0 < len(self._actions) < LONGEST_REPLAY:
            saved["actions"], saved["rewards"] = np.array(self._actions), np.array(self._rewards)
        return saved

    def unsaved(self) -> Contents:
        """What the attributes hold now that no snapshot saves; nothing where the environment saves more itself."""
        return {} if self._extra is not None else unsaved(self.env)

    def check(self, saved: dict[str, Any]) -> None:
        """Checks what `save` gave, before any of it is set.

        Raises:
            SchemaError: where it is not the record of an episode of this environment.
        """
        by_state = self._by_state and saved.get("by_state") is True
        size = derived = None
        physics = find_physics(self.env) if by_state else None
        if physics is not None:
            size, derived = PhysicsState(self.env, physics).sizes
        check_record(saved, self.env.action_space, size, derived, self._extra is not None)
        of_parts = [saved["scalars"], saved["reset"]["scalars"], saved.get("before/scalars", [])]
        for index, part in enumerate(parts(self.env)):
            where = f"env.record: {type(part).__name__}"
            for values in of_parts:
                check_attributes(part, values[index] if index < len(values) else {}, where)
            for arrays in (f"array/{index}/", f"reset/array/{index}/"):
                check_attributes(part, under(arrays, saved), where)

    def reset_as(self, saved: dict[str, Any]) -> Any:
        """Resets the environment as at the start of a saved episode; returns the observation."""
        start = saved["reset"]
        self._make_attributes(saved)
        for index, (part, values) in enumerate(zip(parts(self.env), start["scalars"], strict=True)):
            load_scalars(part, values)
            load_arrays(part, under(f"reset/array/{index}/", saved))
        self._reset_arrays = [copies(part) for part in parts(self.env)]
        set_rng_states(self.env, start["rng"])
        self._reset = {**start, "rng": rng_states(self.env)}
        observation, _ = self.env.reset(seed=start["seed"], options=start["options"])
        self._start()
        return observation

    @staticmethod
    def ways(saved: dict[str, Any]) -> list[bool]:
        """Ways from the reset to a saved moment, in the order to try: by MuJoCo's state, or by all steps.

        A step may read what MuJoCo derived in the one before, such as a Jacobian, which its state does not have.
        Then all steps are repeated, where they were saved.

        Returns:
            `by_state` of `replay` for each way.
        """
        if not saved["by_state"]:
            return [False]
        return [True, False] if "actions" in saved else [True]

    def replay(self, saved: dict[str, Any], by_state: bool, before_step: Callable[[int], None]) -> Any:
        """Goes from the reset to the saved moment; returns the observation there, or None without a step.

        Args:
            saved: the record.
            by_state: one of its `ways`.
            before_step: is called before each repeated step with its number, from 0; by MuJoCo's state it is one
                step. It makes the perturbations of that step hold.

        Raises:
            CannotRestore: where a replayed step gives another reward.
        """
        observation = None
        if by_state and "before/state" in saved:
            before_step(0)
            self._set_moment(saved)
            observation = self.step(np.array(saved["before/action"]))[0]
            self._check_rewards([self._reward], saved.get("before/reward"))
            if (
                "actions" in saved and "rewards" in saved
            ):  # a later moment of this episode may need all of them
                self._actions = [np.array(action) for action in saved["actions"]]
                self._rewards = [float(reward) for reward in saved["rewards"]]
        elif not by_state:
            for number, action in enumerate(saved["actions"]):
                before_step(number)
                observation = self.step(np.array(action))[0]
            self._check_rewards(self._rewards, saved.get("rewards"))
        self._set_python_state(saved)
        return observation

    def _check_rewards(self, given: list[float], saved: np.ndarray | None) -> None:
        """Compares the rewards of replayed steps; a snapshot of an earlier version has none."""
        if saved is not None and not np.array_equal(given, saved, equal_nan=True):
            raise CannotRestore("gave another reward when its steps were repeated")

    def _needs_replay(self) -> bool:
        """Whether MuJoCo's state and the numbers in attributes are not all that has changed since the reset."""
        parts_and_names = zip(self._parts, self._scalars, strict=True)
        if any(name not in names for part, (_, names) in parts_and_names for name in scalars(part)):
            return True  # a number that came after the reset
        return bool(changed(self._unsaved, self.unsaved()))

    def _make_attributes(self, saved: dict[str, Any]) -> None:
        """Has the environment make the attributes of its earlier episodes: by a reset, and by a step.

        A new environment may not have them yet, and only attributes that it has are set.
        """

        def incomplete() -> bool:
            return any(
                lacks(part, {**values, **under(f"reset/array/{index}/", saved)})
                for index, (part, values) in enumerate(
                    zip(parts(self.env), saved["reset"]["scalars"], strict=True)
                )
            )

        if incomplete():
            self.env.reset(seed=0)
        if incomplete():
            space: Any = self.env.action_space
            self.env.step((space.low / 2 + space.high / 2).astype(space.dtype))

    def _start(self) -> None:
        """Prepares the record of an episode, after its reset."""
        physics = find_physics(self.env) if self._by_state else None
        self._physics = None if physics is None else PhysicsState(self.env, physics)
        self._parts = parts(self.env)
        self._before = {}
        self._actions, self._rewards = [], []
        self._unsaved = self.unsaved() if self._by_state else {}
        self._rngs = generators(self.env)
        self._rng_after_reset = rng_states(self.env)
        self._scalars = [(vars(part), tuple(scalars(part))) for part in self._parts]

    def _keep_moment(self, action: np.ndarray) -> None:
        """Keeps the moment before a step, and its action."""
        assert self._physics is not None
        state, derived = self._physics.read()
        self._before = {
            "state": state,
            "derived": derived,
            "action": action,
            # A legacy RandomState is slow to read; dm_control's tasks draw from theirs at a reset only.
            "rng": [
                rng.bit_generator.state if isinstance(rng, np.random.Generator) else state
                for rng, state in zip(self._rngs, self._rng_after_reset, strict=True)
            ],
            "scalars": [_values(attributes, names) for attributes, names in self._scalars],
        }
        if self._extra is not None:
            self._before["extra"] = read_extra(self._extra)

    def _set_moment(self, saved: dict[str, Any]) -> None:
        """Sets the moment before the last step."""
        assert self._physics is not None
        self._physics.set(saved["before/state"], saved["before/derived"])
        for part, values in zip(self._parts, saved["before/scalars"], strict=True):
            load_scalars(part, values)
        self._load_extra(saved, "before/extra/")
        set_rng_states(self.env, saved["before/rng"])

    def _set_python_state(self, saved: dict[str, Any]) -> None:
        """Sets what is not physics to its values at the saved moment."""
        for index, (part, values) in enumerate(zip(self._parts, saved["scalars"], strict=True)):
            load_scalars(part, values)
            load_arrays(part, under(f"array/{index}/", saved))
        self._load_extra(saved, "extra/")
        set_rng_states(self.env, saved["rng"])

    def _load_extra(self, saved: dict[str, Any], prefix: str) -> None:
        if self._extra is not None:
            load_extra(self._extra, under(prefix, saved))


def _only_known_layers(env: gymnasium.Env[Any, Any]) -> bool:
    """Whether no wrapper around the raw environment could keep state that the record does not see."""
    known = (gymnasium.wrappers.OrderEnforcing, gymnasium.wrappers.PassiveEnvChecker, Boundary)
    while isinstance(env, gymnasium.Wrapper):
        if not isinstance(env, known):
            return False
        env = env.env
    control = dm_control_env(env)
    # dm_control's composer builds a new model at each reset and keeps delayed observations: it is replayed. So is
    # what wraps dm_control in a way of its own, and may keep anything between its steps.
    return control is None or (is_of_shimmy(env) and type(control).__module__ == DM_CONTROL[0])


def _number(reward: Any) -> float:
    """A reward as a float; NaN for anything else, which ends the run elsewhere."""
    try:
        return float(reward)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _values(attributes: dict[str, Any], names: tuple[str, ...]) -> tuple[Any, ...]:
    """The values of attributes; `itemgetter` is the fastest way, and this runs at every step."""
    if len(names) < 2:
        return tuple(attributes[name] for name in names)
    return itemgetter(*names)(attributes)  # type: ignore[no-any-return]

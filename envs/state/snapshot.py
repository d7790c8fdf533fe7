"""Exact resume: everything an episode's future depends on, as arrays and JSON values.

`qpos` and `qvel` are not enough: MuJoCo's derived quantities lag by a step and its solver starts from its
last answer. So the state *before* the last environment step is kept, with that step's action, and a restore
begins the same episode again, sets that state and takes the step once more. An environment without MuJoCo is
brought back by replaying the episode's actions. Either way the observation must come out the same to the last
bit; where it does not, the restore says so and a new episode begins.
"""

from __future__ import annotations

import json
from operator import itemgetter
from typing import Any

import gymnasium
import numpy as np

from envs.physics import Physics, dm_control_env, find_physics, parts
from envs.state.python_state import (
    copies,
    from_json,
    generators,
    load_arrays,
    load_scalars,
    plain,
    rng_states,
    scalars,
    set_rng_states,
    to_json,
)

LONGEST_REPLAY = 20_000
"""Environment steps kept for a replay; a longer episode cannot be resumed exactly."""


class EpisodeRecord(gymnasium.Wrapper[Any, Any, Any, Any]):
    """The innermost layer: remembers how the episode began and what came before its last step."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self._physics: Physics | None = None
        self._parts: list[Any] = []
        self._scalars: list[tuple[dict[str, Any], tuple[str, ...]]] = []
        self._begun: dict[str, Any] | None = None
        self._begun_arrays: list[dict[str, np.ndarray]] = []
        self._before: dict[str, Any] = {}
        self._state = np.zeros(0)
        self._actions: list[np.ndarray] = []
        self._rngs: list[Any] = []
        self._rng_after_reset: list[Any] = []
        self._extra = hasattr(env.unwrapped, "extra_state")
        self._by_state = _only_known_layers(env) and find_physics(env) is not None
        self._repeatable = True
        self._nondeterministic = bool(env.spec and env.spec.nondeterministic)

    @property
    def exact(self) -> bool:
        """Whether a restore promises to be bit-exact here and now."""
        within = self._by_state or len(self._actions) < LONGEST_REPLAY
        return within and self._repeatable and not self._nondeterministic

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        self._repeatable = _is_json(options)
        self._begun = {
            "seed": seed,
            "options": options if self._repeatable else None,
            "rng": rng_states(self.env),
            # An env may count its episodes, or make them harder.
            "scalars": [scalars(part) for part in parts(self.env)],
        }
        self._begun_arrays = [copies(part) for part in parts(self.env)]
        result = self.env.reset(seed=seed, options=options)
        self._begin()
        return result

    def step(self, action: np.ndarray) -> Any:
        if self._by_state:
            self._remember(action)
        elif len(self._actions) < LONGEST_REPLAY:
            self._actions.append(action)
        result = self.env.step(action)
        if not isinstance(result, tuple) or len(result) != 5:
            found = f"{len(result)} values" if isinstance(result, tuple) else type(result).__name__
            raise TypeError(
                "step must return (observation, reward, terminated, truncated, info) by Gymnasium's API, "
                f"not {found}"
            )
        return result

    def save(self) -> dict[str, Any]:
        """What a restore needs, as a flat dict of arrays and JSON values."""
        assert self._begun is not None
        saved: dict[str, Any] = {
            "by_state": self._by_state,
            "begun": {**self._begun, "rng": [to_json(state) for state in self._begun["rng"]]},
            "rng": [to_json(state) for state in rng_states(self.env)],
            "scalars": [{name: plain(owner[name]) for name in names} for owner, names in self._scalars],
        }
        for index, part in enumerate(self._parts):
            saved |= {f"array/{index}/{name}": array for name, array in copies(part).items()}
        for index, arrays in enumerate(self._begun_arrays):
            saved |= {f"begun/array/{index}/{name}": array for name, array in arrays.items()}
        if self._extra:
            extra = self.env.unwrapped.extra_state()  # type: ignore[attr-defined]
            saved |= {f"extra/{name}": value for name, value in extra.items()}
        if self._by_state and self._before:
            before = self._before
            saved["before/state"] = self._state.copy()
            saved["before/action"] = np.array(before["action"])
            saved["before/rng"] = [to_json(state) for state in before["rng"]]
            saved["before/scalars"] = [
                dict(zip(names, map(plain, values), strict=True))
                for (_, names), values in zip(self._scalars, before["scalars"], strict=True)
            ]
            if self._extra:
                saved |= {f"before/extra/{k}": v for k, v in before["extra"].items()}
        elif not self._by_state:
            saved["actions"] = np.array(self._actions)
        return saved

    def begin_again(self, saved: dict[str, Any]) -> Any:
        """The saved episode's reset once more; returns its observation."""
        begun = saved["begun"]
        for index, (part, values) in enumerate(zip(parts(self.env), begun["scalars"], strict=True)):
            load_scalars(vars(part), values)
            load_arrays(part, saved, f"begun/array/{index}/")
        self._begun_arrays = [copies(part) for part in parts(self.env)]
        set_rng_states(self.env, begun["rng"])
        self._begun = {**begun, "rng": [from_json(state) for state in begun["rng"]]}
        observation, _ = self.env.reset(seed=begun["seed"], options=begun["options"])
        self._begin()
        return observation

    def play(self, saved: dict[str, Any]) -> Any:
        """From the reset to the saved moment; returns the observation there, or None if no step was taken."""
        observation = None
        if "before/state" in saved:
            self._rewind(saved)
            action = np.array(saved["before/action"])
            self._remember(action)
            observation = self.env.step(action)[0]
        elif not saved["by_state"]:
            for action in saved["actions"]:
                self._actions.append(np.array(action))
                observation = self.env.step(np.array(action))[0]
        self._settle(saved)
        return observation

    def _begin(self) -> None:
        self._physics = find_physics(self.env) if self._by_state else None
        self._parts = parts(self.env)
        self._before = {}
        self._actions = []
        self._rngs = generators(self.env)
        self._rng_after_reset = rng_states(self.env)
        self._scalars = [(vars(part), tuple(scalars(part))) for part in self._parts]
        if self._physics is not None:
            import mujoco

            self._signature = int(mujoco.mjtState.mjSTATE_INTEGRATION)
            self._state = np.zeros(mujoco.mj_stateSize(self._physics.model, self._signature))
            self._get_state = mujoco.mj_getState

    def _remember(self, action: np.ndarray) -> None:
        """Note the moment before a step."""
        assert self._physics is not None
        self._get_state(self._physics.model, self._physics.data, self._state, self._signature)
        self._before = {
            "action": action,
            # A legacy RandomState is slow to read; dm_control's tasks draw from theirs at a reset only.
            "rng": [
                rng.bit_generator.state if isinstance(rng, np.random.Generator) else state
                for rng, state in zip(self._rngs, self._rng_after_reset, strict=True)
            ],
            "scalars": [_values(owner, names) for owner, names in self._scalars],
        }
        if self._extra:
            self._before["extra"] = self.env.unwrapped.extra_state()  # type: ignore[attr-defined]

    def _rewind(self, saved: dict[str, Any]) -> None:
        """Set the moment before the last step."""
        import mujoco

        assert self._physics is not None
        model, data = self._physics.model, self._physics.data
        mujoco.mj_setState(model, data, np.array(saved["before/state"]), self._signature)
        if dm_control_env(self.env) is not None:
            # dm_control begins a step with its second half and relies on the first one having been done.
            mujoco.mj_step1(model, data)
        for (owner, _), values in zip(self._scalars, saved["before/scalars"], strict=True):
            load_scalars(owner, values)
        self._load_extra(saved, "before/extra/")
        set_rng_states(self.env, saved["before/rng"])

    def _settle(self, saved: dict[str, Any]) -> None:
        """Set what is not physics to what it was at the saved moment."""
        for (owner, _), values in zip(self._scalars, saved["scalars"], strict=True):
            load_scalars(owner, values)
        for index, part in enumerate(self._parts):
            load_arrays(part, saved, f"array/{index}/")
        self._load_extra(saved, "extra/")
        set_rng_states(self.env, saved["rng"])

    def _load_extra(self, saved: dict[str, Any], prefix: str) -> None:
        if self._extra:
            state = {k.removeprefix(prefix): v for k, v in saved.items() if k.startswith(prefix)}
            self.env.unwrapped.load_extra_state(state)  # type: ignore[attr-defined]


def _only_known_layers(env: gymnasium.Env[Any, Any]) -> bool:
    """Whether no layer around the raw environment could keep a state that we do not see."""
    known = (gymnasium.wrappers.OrderEnforcing, gymnasium.wrappers.PassiveEnvChecker)
    while isinstance(env, gymnasium.Wrapper):
        if not isinstance(env, known):
            return False
        env = env.env
    control = dm_control_env(env)
    # dm_control's composer builds a new model at each reset and keeps delayed observations: it is replayed.
    return control is None or type(control).__module__ == "dm_control.rl.control"


def _is_json(options: Any) -> bool:
    """Whether reset options can be kept in a snapshot."""
    try:
        json.dumps(options, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _values(owner: dict[str, Any], names: tuple[str, ...]) -> tuple[Any, ...]:
    if len(names) < 2:
        return tuple(owner[name] for name in names)
    return itemgetter(*names)(owner)  # type: ignore[no-any-return]

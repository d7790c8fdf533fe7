"""The layers between a raw environment and an agent: flat float32 in, [-1, 1] out, repeats, faults caught."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.faults.errors import EnvError, EnvFault
from envs.faults.mujoco_warnings import DIVERGED, WarningMonitor
from envs.faults.watchdog import WATCHDOG
from envs.physics import find_physics, log

Step = tuple[np.ndarray, float, bool, bool, dict[str, Any]]
FLOAT32_MAX = float(np.finfo(np.float32).max)


class Flat(gymnasium.Wrapper[np.ndarray, np.ndarray, Any, Any]):
    """Observations as one float32 vector, actions from [-1, 1] to the environment's own bounds and shape.

    Dict and Tuple observations are laid end to end in the order of their space (Gymnasium sorts the keys of a
    Dict), Discrete ones as one-hot, as `gymnasium.spaces.flatten` does. uint8 images keep their 0..255.
    Action dimensions whose bounds are equal are left out and always sent as that constant.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self.observation_space = _flat_observation_space(env.observation_space)
        size = self.observation_space.shape[0]
        self._leaf = _flattener(env.observation_space)
        box = _checked_action_space(env.action_space)
        low, high = box.low.astype(np.float64).ravel(), box.high.astype(np.float64).ravel()
        self._free = np.flatnonzero(low < high)
        if self._free.size == 0:
            raise EnvError("the action space has no dimension left to control: every low equals its high")
        self._all_free = self._free.size == low.size
        self._constant, self._low, self._high = low, low[self._free], high[self._free]
        self._half, self._middle = (self._high - self._low) / 2, (self._high + self._low) / 2
        self._shape, self._dtype, self._size = box.shape, box.dtype, size
        self.action_space = spaces.Box(-1.0, 1.0, (self._free.size,), np.float32)
        self.seen = np.zeros(size, np.float32)

    def observe(self, observation: Any) -> np.ndarray:
        """`observation` as a float32 vector in memory of its own; the last one is kept in `seen`."""
        flat = self._leaf(observation)
        if flat.shape[0] != self._size:
            raise ValueError(f"the observation has {flat.shape[0]} numbers, the space {self._size}")
        if flat.dtype == np.float32:
            self.seen = flat
            return flat
        with np.errstate(over="ignore"):
            small = flat.astype(np.float32)
        if not np.isfinite(small).all():
            # Only what overflowed float32 is brought back: inf and nan stay what they are.
            small = np.where(np.isfinite(flat), np.clip(flat, -FLOAT32_MAX, FLOAT32_MAX), flat).astype(
                np.float32
            )
        self.seen = small
        return small

    def act(self, action: np.ndarray) -> np.ndarray:
        """The environment's own action for one in [-1, 1]."""
        moved = np.minimum(np.maximum(action * self._half + self._middle, self._low), self._high)
        if not self._all_free:
            moved, free = self._constant.copy(), moved
            moved[self._free] = free
        return moved.astype(self._dtype).reshape(self._shape)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        return self.observe(observation), info

    def step(self, action: np.ndarray) -> Step:
        observation, reward, terminated, truncated, info = self.env.step(self.act(action))
        return self.observe(observation), reward, terminated, truncated, info  # type: ignore[return-value]


def _flat_observation_space(space: spaces.Space[Any]) -> spaces.Box:
    """The flat float32 Box of an observation space; EnvError if it has no fixed size."""
    if not space.is_np_flattenable:
        raise EnvError(f"the observation space {space} has no fixed size and cannot be flattened")
    flat = spaces.flatten_space(space)
    if not isinstance(flat, spaces.Box) or flat.shape[0] == 0:
        raise EnvError(f"the observation space {space} holds no number")
    with np.errstate(over="ignore"):
        return spaces.Box(flat.low.astype(np.float32), flat.high.astype(np.float32), dtype=np.float32)


def _flattener(space: spaces.Space[Any]) -> Callable[[Any], np.ndarray]:
    """A function that lays an observation of `space` flat, in fresh memory; ValueError for a wrong shape."""
    if isinstance(space, spaces.Box):
        return _box_flattener(space)
    if isinstance(space, spaces.Dict):
        named = [(key, _flattener(inner)) for key, inner in space.spaces.items()]

        def flatten_dict(observation: Any) -> np.ndarray:
            if not isinstance(observation, dict) or len(observation) != len(named):
                raise ValueError(f"the observation is not a dict of {[key for key, _ in named]}")
            return np.concatenate([flatten(observation[key]) for key, flatten in named])

        return flatten_dict
    if isinstance(space, spaces.Tuple):
        inner_flatteners = [_flattener(inner) for inner in space.spaces]

        def flatten_tuple(observation: Any) -> np.ndarray:
            if not isinstance(observation, tuple | list) or len(observation) != len(inner_flatteners):
                raise ValueError(f"the observation is not a tuple of {len(inner_flatteners)}")
            return np.concatenate([f(part) for f, part in zip(inner_flatteners, observation, strict=True)])

        return flatten_tuple

    def flatten_other(observation: Any) -> np.ndarray:
        if not space.contains(observation):
            raise ValueError(f"the observation {observation!r} is not in {space}")
        return np.array(spaces.flatten(space, observation), dtype=np.float64).ravel()

    return flatten_other


def _box_flattener(space: spaces.Box) -> Callable[[Any], np.ndarray]:
    """For a Box: copies, checks the shape, keeps float32 and float64, widens every other dtype to float64."""
    shape = space.shape

    def flatten(observation: Any) -> np.ndarray:
        array = np.array(observation)
        if array.shape != shape:
            raise ValueError(f"the observation has shape {array.shape}, the space {shape}")
        if array.dtype != np.float32 and array.dtype != np.float64:
            if array.dtype.kind not in "biuf":
                raise ValueError(f"the observation holds {array.dtype}, not numbers")
            array = array.astype(np.float64)
        return array.reshape(-1)

    return flatten


def _checked_action_space(space: spaces.Space[Any]) -> spaces.Box:
    """The action Box, or an EnvError that says why it is none that Joule can act in."""
    if not isinstance(space, spaces.Box) or space.dtype is None or space.dtype.kind != "f":
        raise EnvError(
            f"the action space {space} is not a Box of floats: Joule acts in continuous spaces only"
        )
    if np.isnan(space.low).any() or np.isnan(space.high).any():
        raise EnvError(f"the action space {space} has NaN bounds: give finite ones")
    if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
        raise EnvError(
            f"the action space {space} is unbounded: give it finite bounds, e.g. with RescaleAction"
        )
    if (space.low > space.high).any():
        raise EnvError(f"the action space {space} has a low bound above its high one")
    return space


class FaultChecks(gymnasium.Wrapper[np.ndarray, np.ndarray, np.ndarray, np.ndarray]):
    """Turns an environment's broken promise into an EnvFault that says where; counts what can be survived.

    Physics that diverged ends the episode instead: truncated, `info["diverged"]`, the last sound observation.
    A step or a reset that takes longer than `step_timeout` seconds ends the process; 0 waits for ever.
    """

    def __init__(
        self, env: gymnasium.Env[np.ndarray, np.ndarray], name: str, step_timeout_seconds: float = 0.0
    ) -> None:
        super().__init__(env)
        self.name, self.step_timeout_seconds = name, step_timeout_seconds
        self._sent: Any = None
        self.seed: int | None = None
        self.episode, self.frame = -1, 0
        self.counters: Counter[str] = Counter()
        box = env.observation_space
        assert isinstance(box, spaces.Box)
        self._low, self._high = box.low, box.high
        self._bounded = bool(np.isfinite(box.low).any() or np.isfinite(box.high).any())
        self._watch: WarningMonitor | None = None
        self.observation = np.zeros(box.shape, np.float32)

    def fault(self, cause: str, action: Any = None) -> EnvFault:
        """An EnvFault with what is known of here and now."""
        return EnvFault(
            cause, env=self.name, seed=self.seed, episode=self.episode, step=self.frame, action=action
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        if seed is not None:
            self.seed = seed
        self.episode += 1
        self.frame = 0
        self._sent = None
        if self.step_timeout_seconds:
            WATCHDOG.begin(self.step_timeout_seconds, self._hung)
        try:
            observation, info = self.env.reset(seed=seed, options=options)
        except Exception as error:
            raise self.fault(f"reset raised {type(error).__name__}: {error}") from error
        finally:
            WATCHDOG.end()
        if not np.isfinite(observation).all():
            raise self.fault(f"reset gave a non-finite observation at {_where(~np.isfinite(observation))}")
        self.watch()
        self.observation = observation
        return observation, info

    def watch(self) -> None:
        """Watch the physics from here on; an environment may have built a new model at its reset."""
        physics = find_physics(self.env)
        self._watch = None if physics is None else WarningMonitor(physics)

    def state(self) -> dict[str, Any]:
        """Where we are and what was counted, as JSON."""
        return {
            "seed": self.seed,
            "episode": self.episode,
            "frame": self.frame,
            "counters": dict(self.counters),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up what `state` gave."""
        self.seed, self.episode, self.frame = state["seed"], state["episode"], state["frame"]
        self.counters = Counter(state["counters"])

    def step(self, action: np.ndarray) -> Step:
        self.frame += 1
        self._sent = action
        watch = self._watch
        if self.step_timeout_seconds:
            WATCHDOG.begin(self.step_timeout_seconds, self._hung)
        try:
            observation, reward, terminated, truncated, info = self.env.step(action)
        except Exception as error:
            if watch is not None and self._count(watch.read()):
                return self._diverged({})
            raise self.fault(f"step raised {type(error).__name__}: {error}", action) from error
        finally:
            WATCHDOG.end()
        if watch is not None:
            warned = watch.read()
            if warned and self._count(warned):
                return self._diverged(info)
        if not np.isfinite(observation).all():
            if watch is not None and watch.broken():
                self._count({"BADQPOS": 1})
                return self._diverged(info)
            raise self.fault(f"non-finite observation at {_where(~np.isfinite(observation))}", action)
        reward = self._reward(reward, action)
        if not isinstance(terminated, bool | np.bool_) or not isinstance(truncated, bool | np.bool_):
            raise self.fault(
                f"terminated and truncated must be bool, not {terminated!r}, {truncated!r}", action
            )
        if self._bounded and ((observation < self._low) | (observation > self._high)).any():
            self.counters["obs_out_of_bounds"] += 1
        self.observation = observation
        return observation, reward, bool(terminated), bool(truncated), info

    def _hung(self, where: str) -> str:
        """What to say of a call that does not return; `where` is the line it is at."""
        doing = "reset" if self.frame == 0 else "step"
        cause = f"{doing} did not return within {self.step_timeout_seconds:g} s{where} (--step-timeout-seconds)"
        return str(self.fault(cause, self._sent))

    def _reward(self, reward: Any, action: np.ndarray) -> float:
        """The reward as a float; anything but one finite number is a fault."""
        number = isinstance(reward, float | int | np.floating | np.integer | np.bool_)
        # A 0-d array is a number to NumPy; an array of shape (1,) is a mistake that broadcasts later.
        if not number and not (
            isinstance(reward, np.ndarray) and reward.shape == () and reward.dtype.kind in "biuf"
        ):
            raise self.fault(f"the reward must be a number, not {reward!r} ({type(reward).__name__})", action)
        value = float(reward)
        if not np.isfinite(value):
            raise self.fault(f"non-finite reward {value}", action)
        return value

    def _count(self, warned: dict[str, int]) -> bool:
        """Count MuJoCo's warnings, tell of each survivable kind once; True if the physics diverged."""
        diverged = False
        for name, times in warned.items():
            diverged |= name in DIVERGED or name == "CLOCK"
            key = f"mujoco_{name.lower()}"
            if key not in self.counters and name not in DIVERGED:
                log.warning(
                    "%s: MuJoCo warned of %s at episode %d, step %d; counted from here on",
                    self.name,
                    name,
                    self.episode,
                    self.frame,
                )
            self.counters[key] += times
        return diverged

    def _diverged(self, info: dict[str, Any]) -> Step:
        """End the episode at the last sound observation; the caller must not learn from this step."""
        self.counters["diverged_steps"] += 1
        return self.observation.copy(), 0.0, False, True, {**info, "diverged": True}


def _where(mask: np.ndarray) -> str:
    """The first indices of a mask as text."""
    found = np.flatnonzero(mask)
    return "index " + ", ".join(map(str, found[:5])) + (", ..." if found.size > 5 else "")


class ActionRepeat(gymnasium.Wrapper[np.ndarray, np.ndarray, np.ndarray, np.ndarray]):
    """Holds each action for `repeat` frames, sums their rewards, stops at an end; tells `info["frames"]`."""

    def __init__(self, env: gymnasium.Env[np.ndarray, np.ndarray], repeat: int) -> None:
        super().__init__(env)
        self._repeat = repeat

    def step(self, action: np.ndarray) -> Step:
        total, frames = 0.0, 0
        while True:
            observation, reward, terminated, truncated, info = self.env.step(action)
            total += float(reward)
            frames += 1
            if terminated or truncated or frames == self._repeat:
                info["frames"] = frames
                return observation, total, terminated, truncated, info

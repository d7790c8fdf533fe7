"""An environment whose observation says which episode and step it is, and that fails on request."""

from __future__ import annotations

import multiprocessing
import os
import signal
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class Counter(gymnasium.Env[np.ndarray, np.ndarray]):
    """Observation [1000 * episode + t, action, a random number], reward t; `episode` counts resets from 0.

    The observation is always the same array object.

    Args:
        terminate_at: the t at which an episode terminates.
        truncate_at: the t at which the environment itself truncates an episode.
        fault: what goes wrong; a key of `_faulty`, "raise", or "killed when made", in a process of its own.
        break_at: the t at which it goes wrong.
        render_mode: see Gymnasium.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(
        self,
        terminate_at: int | None = None,
        truncate_at: int | None = None,
        fault: str | None = None,
        break_at: int = 3,
        render_mode: str | None = None,
    ) -> None:
        self.observation_space = spaces.Box(-np.inf, 10_000.0, (3,), np.float64)
        self.action_space = spaces.Box(-2.0, 6.0, (1,), np.float32)
        if fault == "killed when made" and multiprocessing.parent_process() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        self.terminate_at, self.truncate_at = terminate_at, truncate_at
        self.fault, self.break_at, self.render_mode = fault, break_at, render_mode
        self.episode, self.t = -1, 0
        self.received: list[np.ndarray] = []
        self._shared = np.zeros(3)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.episode += 1
        self.t = 0
        self.received = []
        return self._observe(0.0), {}

    def step(self, action: np.ndarray) -> Any:
        self.t += 1
        self.received.append(action)
        observation = self._observe(float(action[0]))
        terminated, truncated = self.t == self.terminate_at, self.t == self.truncate_at
        good: tuple[Any, ...] = (observation, float(self.t), terminated, truncated, {})
        return good if self.t != self.break_at or self.fault is None else self._faulty(good)

    def render(self) -> np.ndarray:
        return np.full((64, 64, 3), self.t, np.uint8)

    def _observe(self, action: float) -> np.ndarray:
        self._shared[:] = 1000 * self.episode + self.t, action, self.np_random.random()
        return self._shared

    def _faulty(self, good: tuple[Any, ...]) -> Any:
        observation, reward, terminated, truncated, info = good
        nan = observation * np.nan
        returned: dict[str, Any] = {
            "none": None,
            "four": good[:4],
            "shape": (np.zeros(4), *good[1:]),
            "text observation": (np.array(["a", "b", "c"]), *good[1:]),
            "nan observation": (nan, *good[1:]),
            "inf observation": (nan + np.inf, *good[1:]),
            "outside": (observation + 1e6, *good[1:]),
            "overflow": (observation - 1e300, *good[1:]),
            "text reward": (observation, "1.0", terminated, truncated, info),
            "array reward": (observation, np.ones(1), terminated, truncated, info),
            "no reward": (observation, None, terminated, truncated, info),
            "nan reward": (observation, reward * np.nan, terminated, truncated, info),
            "inf reward": (observation, np.inf, terminated, truncated, info),
            "huge reward": (observation, -1e39, terminated, truncated, info),
            "end": (observation, reward, "no", truncated, info),
        }
        if self.fault == "raise":
            raise OSError("the motor is 100 % on fire")
        return returned[self.fault or ""]


class CounterWithReadouts(Counter):
    """A counter with readouts of its own; from step `break_at` on they are wrong.

    Args:
        readout_fault: how they are wrong; a key of `faulty`, or "raise".
        kwargs: keyword arguments of `Counter`.
    """

    def __init__(self, readout_fault: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.readout_fault = readout_fault

    def readouts(self) -> dict[str, np.ndarray]:
        good = {"time": np.array([self.t]), "place": np.zeros(2)}
        if self.t < self.break_at:
            return good
        if self.readout_fault == "raise":
            raise OSError("the camera is on fire")
        faulty: dict[str, dict[Any, np.ndarray]] = {
            "nan": {**good, "place": np.array([0.0, np.nan])},
            "huge": {**good, "time": np.array([1e300])},
            "grow": {**good, "place": np.zeros(3)},
            "empty": {**good, "place": np.zeros(0)},
            "action": {**good, "action": np.zeros(1)},
            "number": {**good, 1: np.zeros(1)},
        }
        return faulty.get(self.readout_fault, good)


if "Counter-v0" not in gymnasium.registry:
    gymnasium.register("Counter-v0", entry_point="counter_env:Counter", max_episode_steps=10)
    gymnasium.register("CounterWithReadouts-v0", "counter_env:CounterWithReadouts", max_episode_steps=10)
    gymnasium.register("Endless-v0", entry_point="counter_env:Counter")

"""The tiny environment with one fault: it ends the process, changes it, or breaks Gymnasium's API."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch
from tiny_env import Point

import envs

ID = "rough_env:joule-tests/Rough-v0"


class Rough(Point):
    """The tiny environment with one fault.

    Args:
        fault: a name in one of the tables below; empty for none.
        where: the method that has a fault of ACTIONS: "make", "reset", "step", "close", "render", "readouts",
            "extra_state" or "load_extra_state".
        at: the step of every episode that has the fault, for "step"; the first episode that has it, for "reset".
        fps: of the metadata.
        render_mode: see Gymnasium.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012

    def __init__(
        self,
        fault: str = "",
        where: str = "step",
        at: int = 3,
        fps: Any = 30,
        render_mode: str | None = None,
    ) -> None:
        self.fault, self.where, self.at, self.render_mode = fault, where, at, render_mode
        self.metadata = {**type(self).metadata, "render_fps": fps}
        self.t, self.episode = 0, -1
        self._same = np.zeros(3, np.float32)
        self._act("make")

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        result = super().reset(seed=seed, options=options)
        self.t, self.episode = 0, self.episode + 1
        if self.episode >= self.at:
            self._act("reset")
        return RESETS[self.fault](result) if self.fault in RESETS else result

    def step(self, action: np.ndarray) -> Any:
        self.t += 1
        if self.t == self.at:
            self._act("step")
        result: Result = super().step(action)
        if self.fault == "writes the action":
            action[:] = 0.77
        if self.fault == "reuses the observation":
            self._same[:] = result[0]
            return (self._same, *result[1:])
        return STEPS[self.fault](result) if self.fault in STEPS and self.t >= self.at else result

    def readouts(self) -> dict[str, np.ndarray]:
        if self.t >= self.at:
            self._act("readouts")
        return super().readouts()

    def render(self) -> Any:
        self._act("render")
        frame: np.ndarray = np.full((64, 64, 3), self.t, np.uint8)
        return FRAMES[self.fault](frame) if self.fault in FRAMES else frame

    def close(self) -> None:
        self._act("close")

    def _act(self, where: str) -> None:
        if where == self.where and self.fault in ACTIONS:
            ACTIONS[self.fault](self)


class RoughWithState(Rough):
    """The same with state of its own."""

    def extra_state(self) -> Any:
        self._act("extra_state")
        return STATES.get(self.fault, {"t": self.t})

    def load_extra_state(self, state: dict[str, Any]) -> None:
        self._act("load_extra_state")


class Visited(Point):
    """A place gives a reward at its first visit; a set of visited places is all that says so.

    Args:
        forget: whether a reset makes the set anew.
    """

    def __init__(self, forget: bool = False) -> None:
        self.forget, self.visited = forget, set[int]()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        if self.forget:
            self.visited = set()
        return super().reset(seed=seed, options=options)

    def step(self, action: np.ndarray) -> Any:
        observation, _, *rest = super().step(action)
        place = round(20 * self.x)
        bonus = float(place not in self.visited)
        self.visited.add(place)
        return observation, bonus, *rest


class Terrible(Exception):
    """An exception whose text cannot be had."""

    def __str__(self) -> str:
        raise ValueError("no text")


class Quit(BaseException):
    """Not an Exception."""


def raises(error: BaseException | type[BaseException]) -> Callable[[Rough], None]:
    """An action that raises."""

    def act(env: Rough) -> None:
        raise error

    return act


def _recurse(env: Rough) -> None:
    _recurse(env)


def _fork_and_leave(env: Rough) -> None:
    if os.fork() == 0:
        sys.exit(0)


def _wait_for_ever(env: Rough) -> None:
    threading.Thread(target=time.sleep, args=(3600,), name="viewer").start()


ACTIONS: dict[str, Callable[[Rough], object]] = {
    "exit": raises(SystemExit(0)),
    "exit text": raises(SystemExit("the window was closed")),
    "interrupt": raises(KeyboardInterrupt),
    "quit": raises(Quit("gone")),
    "generator exit": raises(GeneratorExit),
    "recursion": _recurse,
    "memory": raises(MemoryError),
    "reset needed": raises(gymnasium.error.ResetNeeded("call reset")),
    "no text": raises(Terrible),
    "long text": raises(ValueError("one\ntwo\x1b[31m " + 10_000 * "x")),
    "fork": lambda env: os.fork(),
    "fork and leave": _fork_and_leave,
    "working folder": lambda env: os.chdir("/"),
    "NumPy errors": lambda env: np.seterr(all="raise"),
    "NumPy seed": lambda env: np.random.seed(0),  # noqa: NPY002
    "torch seed": lambda env: torch.manual_seed(0),
    "dtype": lambda env: torch.set_default_dtype(torch.float64),
    "threads": lambda env: torch.set_num_threads(3),
    "gradients": lambda env: torch.set_grad_enabled(False),
    "warnings": lambda env: warnings.simplefilter("error"),
    "output": lambda env: setattr(sys, "stdout", io.StringIO()),
    "matrix products": lambda env: torch.set_float32_matmul_precision("medium"),
    "recursion limit": lambda env: sys.setrecursionlimit(200),
    "signals": lambda env: signal.signal(signal.SIGINT, signal.SIG_IGN),
    "print": lambda env: print("hello from the environment"),
    "thread": _wait_for_ever,
    "close itself": lambda env: env.close(),
}
"""What a method does."""

Result = tuple[np.ndarray, Any, bool, bool, Any]
STEPS: dict[str, Callable[[Result], Any]] = {
    "no info": lambda r: (*r[:4], None),
    "old step": lambda r: (r[0], r[1], r[2], r[4]),
    "step of a list": list,
    "huge reward": lambda r: (r[0], 10**400, *r[2:]),
    "tensor reward": lambda r: (r[0], torch.tensor(1.0), *r[2:]),
    "diverged": lambda r: (*r[:4], {"diverged": True}),
    "Joule's keys": lambda r: (*r[:4], {"joule/diverged": True, "frames": 1000}),
    "info that cannot be sent": lambda r: (*r[:4], {"f": lambda: 0, "lock": threading.Lock()}),
    "odd info": lambda r: (*r[:4], {"x": np.zeros(10_000), "y": {1: 2}, 5: 6, "z": np.arange(r[0][0] > 0)}),
    "float16": lambda r: (r[0].astype(np.float16), np.float16(r[1]), np.bool_(r[2]), np.bool_(r[3]), r[4]),
    "read-only": lambda r: (_read_only(r[0]), *r[1:]),
    "tensor": lambda r: (torch.from_numpy(r[0]), *r[1:]),
    "object": lambda r: (r[0].astype(object), *r[1:]),
}
"""What a step gives from step `at` on."""

RESETS: dict[str, Callable[[tuple[np.ndarray, Any]], Any]] = {
    "old reset": lambda r: r[0],
    "old reset of two": lambda r: list(r[0][:2]),
    "reset without info": lambda r: (r[0], None),
    "reset of three": lambda r: (*r, {}),
    "NaN reset": lambda r: (r[0] * np.nan, r[1]),
}
"""What a reset gives."""

FRAMES: dict[str, Callable[[np.ndarray], Any]] = {
    "rgba frame": lambda frame: np.dstack([frame, frame[..., :1]]),
    "grey frame": lambda frame: frame[..., 0],
    "float frame": lambda frame: frame / 255.0,
    "no frame": lambda frame: None,
    "list of frames": lambda frame: [frame],
    "empty frame": lambda frame: frame[:0],
}
"""What a render gives."""

STATES: dict[str, Any] = {
    "no state": None,
    "unstorable state": {"f": sorted},
    "state in numpy": {"x": np.float32(1)},
}
"""What `extra_state` gives."""


def make_in_one_process() -> envs.SafeEnv:
    """An environment that cannot be made in a process of its own."""
    if multiprocessing.parent_process() is not None:
        raise envs.EnvError("there is no window in a second process")
    return envs.make(ID)


def _read_only(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array


if "joule-tests/Rough-v0" not in gymnasium.registry:
    for _name in ("Rough", "RoughWithState", "Visited"):
        gymnasium.register(f"joule-tests/{_name}-v0", f"rough_env:{_name}", max_episode_steps=25)

"""An environment whose spaces, observations, rewards and episode ends are chosen by keyword arguments."""

from __future__ import annotations

import json
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from benchmarks.reliability.command_result import CommandResult
from benchmarks.reliability.sandbox import Sandbox

MODULE = "benchmarks.reliability.odd_env"
_BOUNDS = {"box": (-1.0, 1.0), "reversed": (1.0, -1.0), "nan": (np.nan, 1.0), "unbounded": (-np.inf, np.inf)}


class OddEnv(gymnasium.Env[Any, Any]):
    """A small environment with unusual properties.

    Args:
        obs: kind of observation: float32, float64, int, picture, small_picture, float_picture, dict, tuple or sequence.
        act: kind of action space: box, reversed, nan, unbounded, row, scalar, fixed, discrete, multi_discrete,
            huge, float16 or int.
        end: the step at which an episode terminates; None never.
        noise: whether observations hold noise that no seed determines.
        scale: factor of the reward.
    """

    def __init__(
        self,
        obs: str = "float32",
        act: str = "box",
        end: int | None = None,
        noise: bool = False,
        scale: float = 1.0,
    ) -> None:
        self.obs, self.end, self.noise, self.scale = obs, end, noise, scale
        self.observation_space = _observation_space(obs)
        self.action_space = _action_space(act)
        self.t = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.t = 0
        return self._observe(), {}

    def step(self, action: Any) -> Any:
        self.t += 1
        shape = np.shape(action)
        assert shape == self.action_space.shape, f"the action has shape {shape}"
        assert self.action_space.contains(action), f"{action} is not in {self.action_space}"
        return (
            self._observe(),
            float(np.sum(np.clip(action, -10, 10))) * self.scale,
            self.t == self.end,
            False,
            {},
        )

    def _observe(self) -> Any:
        x = np.array([np.sin(self.t), np.cos(self.t), 0.5])
        if self.noise:
            x[0] = np.random.default_rng().uniform(-1, 1)
        match self.obs:
            case "float64":
                return x * 1e299
            case "int":
                return (x * 2**40).astype(np.int64)
            case "picture":
                return np.full((16, 16, 3), 250 + self.t % 6, np.uint8)
            case "dict":
                return {"a": self.t % 3, "b": x[:1].astype(np.float32)}
            case "tuple":
                return x[:2].astype(np.float32), x[2:].astype(np.float32)
        return x.astype(np.float32)


def _observation_space(kind: str) -> spaces.Space[Any]:
    made: dict[str, spaces.Space[Any]] = {
        "float32": spaces.Box(-2, 2, (3,), np.float32),
        "float64": spaces.Box(-1e300, 1e300, (3,), np.float64),
        "int": spaces.Box(-(2**40), 2**40, (3,), np.int64),
        "picture": spaces.Box(0, 255, (16, 16, 3), np.uint8),
        "small_picture": spaces.Box(0, 255, (4, 4, 3), np.uint8),
        "float_picture": spaces.Box(0, 1, (16, 16, 3), np.float32),
        "dict": spaces.Dict({"b": spaces.Box(-2, 2, (1,)), "a": spaces.Discrete(3)}),
        "tuple": spaces.Tuple((spaces.Box(-2, 2, (2,)), spaces.Box(-2, 2, (1,)))),
        "sequence": spaces.Sequence(spaces.Box(-1, 1, (1,))),
    }
    return made[kind]


def _action_space(kind: str) -> spaces.Space[Any]:
    if kind in _BOUNDS:
        box = spaces.Box(-1.0, 1.0, (2,), np.float32)
        box.low[:], box.high[:] = _BOUNDS[kind]  # Gymnasium's constructor refuses some of these
        return box
    made: dict[str, spaces.Space[Any]] = {
        "row": spaces.Box(-3.0, 5.0, (1, 2), np.float32),
        "scalar": spaces.Box(-3.0, 5.0, (), np.float32),
        "fixed": spaces.Box(np.array([-1, 0.5], np.float32), np.array([1, 0.5], np.float32)),
        "discrete": spaces.Discrete(3),
        "multi_discrete": spaces.MultiDiscrete([2, 3]),
        "huge": spaces.Box(-1.7e308, 1.7e308, (2,), np.float64),
        "float16": spaces.Box(-3.0, 5.0, (2,), np.float16),
        "int": spaces.Box(-3, 5, (2,), np.int64),
    }
    return made[kind]


def train_in_odd_env(
    sandbox: Sandbox, name: str = "Odd-v0", *words: str, agent: str = "random", **properties: Any
) -> CommandResult:
    """A small run in an odd environment; `properties` are the arguments of `OddEnv`."""
    changes = {"env": f"{MODULE}:{name}", "agent": agent, "steps": 60}
    return sandbox.train("--env-kwargs", json.dumps(properties), *words, changes=changes)


if "Odd-v0" not in gymnasium.registry:
    for _id, _limit in (("Odd-v0", 20), ("OddOneStep-v0", 1), ("OddUnlimited-v0", None)):
        gymnasium.register(_id, entry_point=f"{MODULE}:OddEnv", max_episode_steps=_limit)
    gymnasium.register(
        "OddAutoreset-v0",
        entry_point=lambda **_: gymnasium.wrappers.Autoreset(OddEnv()),
        max_episode_steps=20,
    )

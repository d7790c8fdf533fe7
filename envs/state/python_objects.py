"""What an environment keeps in Python objects: whether a set, a list, a dict or an object of its own has changed.

A snapshot holds numbers, texts and small arrays. It holds no other object, because a file must not say which
code is run. So a restore needs to know whether there is anything else that the future may depend on.
"""

from __future__ import annotations

import random
import types
import zlib
from collections import deque
from collections.abc import Sized
from typing import Any, Protocol, runtime_checkable

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec

from envs.conventions import wrappers_of
from envs.faults.boundary import Boundary
from envs.physics import dm_control_env, is_of_shimmy, parts
from envs.state.python_state import generators, is_saved

MOST_NODES, DEEPEST = 5_000, 6
"""Objects that are looked at, and how deep: what lies beyond counts as constant, but for its length."""
LARGEST_ARRAY = 1_000_000
"""A larger array counts as constant (numbers)."""
_CONSTANT = (
    types.FunctionType, types.MethodType, types.BuiltinFunctionType, types.ModuleType, type,
    gymnasium.Space, gymnasium.Env, EnvSpec,
)  # fmt: skip
_ELSEWHERE = ("gymnasium.envs.mujoco.mujoco_rendering", "mujoco._structs")
"""Modules whose objects draw, or are MuJoCo's own state."""
_WITHOUT_STATE = (
    gymnasium.wrappers.OrderEnforcing,
    gymnasium.wrappers.PassiveEnvChecker,
    gymnasium.wrappers.RecordEpisodeStatistics,
    Boundary,
)
"""Wrappers that keep nothing on which an observation or a reward depends."""
Contents = dict[str, tuple[str, int]]
"""Name of an attribute -> name of its type, and a hash of what it holds."""


@runtime_checkable
class _HasArray(Protocol):
    """A tensor or another object that gives an array."""

    def __array__(self) -> np.ndarray: ...


def unsaved(env: gymnasium.Env[Any, Any]) -> Contents:
    """What attributes hold now that no snapshot saves: of an environment, its wrappers and environments in it.

    An attribute of the environment itself has its plain name, another one that of its class before it. Of
    dm_control, whose own state is known, nothing is looked at.
    """
    found: Contents = {}
    for layer in wrappers_of(env):
        if not isinstance(layer, _WITHOUT_STATE):
            found |= _read(f"{type(layer).__name__}.", vars(layer))
    if not is_of_shimmy(env):
        control = dm_control_env(env)
        of_control = () if control is None else (control, control.task)
        held = generators(env)
        for part in parts(env):
            if any(part is known for known in of_control):
                continue
            others = {
                name: value
                for name, value in vars(part).items()
                if not is_saved(value) and not any(value is known for known in (*held, *of_control))
            }
            found |= _read("" if part is env.unwrapped else f"{type(part).__name__}.", others)
    return found


def changed(before: Contents, after: Contents) -> list[str]:
    """The attributes that changed, or came or went, each with its type."""
    return [
        f"{name} ({after.get(name, before.get(name, ('', 0)))[0]})"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def _read(prefix: str, attributes: dict[str, Any]) -> Contents:
    return {
        f"{prefix}{name}": (type(value).__name__, _Reader().read(value))
        for name, value in attributes.items()
        if not isinstance(value, _CONSTANT) and type(value).__module__ not in _ELSEWHERE
    }


class _Reader:
    """Computes the hash of what one object holds."""

    def __init__(self) -> None:
        self.nodes = 0
        self.above: set[int] = set()

    def read(self, value: Any) -> int:
        """The hash of `value` and of everything in it; of a constant, that of its type."""
        self.nodes += 1
        kind = type(value).__name__
        if isinstance(value, bool | int | float | complex | str | bytes | np.generic | None):
            return hash((kind, str(value)))
        deep = len(self.above) >= DEEPEST or self.nodes > MOST_NODES or id(value) in self.above
        if deep or isinstance(value, _CONSTANT) or type(value).__module__ in _ELSEWHERE:
            return hash(kind)
        self.above.add(id(value))
        try:
            return hash((kind, self._inside(value)))
        except Exception:  # noqa: BLE001  an object of the user's may raise anything when it is read
            return hash(kind)
        finally:
            self.above.discard(id(value))

    def _inside(self, value: Any) -> Any:
        if isinstance(value, Sized) and not isinstance(value, np.ndarray) and len(value) > MOST_NODES:
            return len(value)
        if isinstance(value, dict):
            return tuple((self.read(key), self.read(inner)) for key, inner in value.items())
        if isinstance(value, list | tuple | deque):
            return tuple(self.read(inner) for inner in value)
        if isinstance(value, set | frozenset):
            return frozenset(self.read(inner) for inner in value)
        if isinstance(value, random.Random):
            return value.getstate()
        if isinstance(value, np.random.Generator):
            return str(value.bit_generator.state)
        if isinstance(value, np.random.RandomState):
            return str(value.get_state())
        if isinstance(value, np.ndarray | _HasArray):
            return self._of_array(np.asarray(value))
        slots = [name for base in type(value).__mro__ for name in vars(base).get("__slots__", ())]
        own = {name: getattr(value, name, None) for name in slots if name not in ("__dict__", "__weakref__")}
        return self.read(own or vars(value))

    def _of_array(self, array: np.ndarray) -> Any:
        if array.dtype.kind == "O":
            return self.read(array.tolist())
        if array.size > LARGEST_ARRAY:
            return array.shape
        return array.shape, array.dtype.str, zlib.crc32(np.ascontiguousarray(array).tobytes())

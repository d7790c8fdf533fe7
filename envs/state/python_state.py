"""The state that an environment keeps in Python: its random generators, and numbers in its attributes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from envs.physics import parts

LARGEST_ARRAY = 4096
"""A larger array in an attribute counts as a constant table, not as state (numbers)."""
_SCALARS = frozenset({bool, int, float, str, np.bool_, *(np.dtype(code).type for code in "bhilBHILefd")})


def json_scalar(value: Any) -> Any:
    """A scalar for JSON, which has neither NumPy's types nor infinity."""
    value = value.item() if isinstance(value, np.generic) else value
    return {"float": str(value)} if isinstance(value, float) and not math.isfinite(value) else value


def scalars(part: Any) -> dict[str, Any]:
    """The numbers, booleans and strings in the attributes of an object, for JSON; subclasses are left out."""
    return {name: json_scalar(value) for name, value in vars(part).items() if type(value) in _SCALARS}


def load_scalars(attributes: dict[str, Any], values: dict[str, Any]) -> None:
    """Sets attributes to what `scalars` gave, each in the NumPy type that it has now."""
    for name, value in values.items():
        scalar = float(value["float"]) if isinstance(value, dict) else value
        now = attributes.get(name)
        attributes[name] = type(now)(scalar) if isinstance(now, np.generic) else scalar


def copies(part: Any) -> dict[str, np.ndarray]:
    """Copies of the small numeric arrays in the attributes of an object."""
    return {
        name: value.copy()
        for name, value in vars(part).items()
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf" and value.size <= LARGEST_ARRAY
    }


def load_arrays(part: Any, saved: Mapping[str, Any], prefix: str) -> None:
    """Sets attributes to what `copies` gave, in place where possible: other objects may share the memory."""
    for name in [name.removeprefix(prefix) for name in saved if name.startswith(prefix)]:
        value, now = saved[prefix + name], vars(part).get(name)
        if now is None:
            setattr(part, name, np.array(value))  # an attribute that the environment makes at its first reset
            continue
        if not isinstance(now, np.ndarray) or now.tobytes() == np.asarray(value).tobytes():
            continue
        if now.shape == value.shape and now.flags.writeable:
            now[...] = value
        else:
            setattr(part, name, np.array(value))


def generators(env: gymnasium.Env[Any, Any]) -> list[Any]:
    """The random generators of an environment and of the environments in it."""
    found = [part.np_random for part in parts(env) if isinstance(part, gymnasium.Env)]
    return [rng for rng in found if isinstance(rng, np.random.Generator | np.random.RandomState)]


def rng_states(env: gymnasium.Env[Any, Any]) -> list[Any]:
    """The states of all generators of `env`, in a fixed order."""
    return [
        rng.bit_generator.state if isinstance(rng, np.random.Generator) else rng.get_state(legacy=False)
        for rng in generators(env)
    ]


def set_rng_states(env: gymnasium.Env[Any, Any], states: list[Any]) -> None:
    """Sets what `rng_states` gave, in its JSON form."""
    for rng, state in zip(generators(env), states, strict=True):
        set_rng(rng, state)


def set_rng(rng: Any, state: Any) -> None:
    """Sets one generator to a state in its JSON form."""
    if isinstance(rng, np.random.Generator):
        rng.bit_generator.state = from_json(state)
    else:
        rng.set_state(from_json(state))


def to_json(value: Any) -> Any:
    """The state of a generator for JSON: integers beyond 2^63 as text, arrays as lists."""
    if isinstance(value, dict):
        return {key: to_json(inner) for key, inner in value.items()}
    if isinstance(value, np.ndarray):
        return [int(number) for number in value]
    if isinstance(value, np.generic):
        return value.item()
    return str(value) if isinstance(value, int) and abs(value) >= 2**63 else value


def from_json(value: Any) -> Any:
    """The inverse of `to_json`."""
    if isinstance(value, dict):
        return {key: from_json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return np.array(value, np.uint64 if max(value, default=0) >= 2**32 else np.uint32)
    return int(value) if isinstance(value, str) and value.isdecimal() else value

"""The state an environment keeps in Python: its random generators, and what its attributes hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from envs.physics import parts

LARGEST_ARRAY = 4096
"""Numbers in an attribute beyond which it is taken for a table, not for state."""
_SCALARS = frozenset({bool, int, float, str, np.bool_, *(np.dtype(code).type for code in "bhilBHILefd")})


def plain(value: Any) -> Any:
    """A scalar as JSON has it, which knows neither NumPy's types nor infinity."""
    value = value.item() if isinstance(value, np.generic) else value
    return {"float": str(value)} if isinstance(value, float) and not math.isfinite(value) else value


def scalars(part: Any) -> dict[str, Any]:
    """The numbers, truths and texts that a Python object holds as attributes, by exact type: no enums."""
    return {name: plain(value) for name, value in vars(part).items() if type(value) in _SCALARS}


def load_scalars(owner: dict[str, Any], values: dict[str, Any]) -> None:
    """Set attributes to what `scalars` gave, in the NumPy type they have now."""
    for name, value in values.items():
        plain = float(value["float"]) if isinstance(value, dict) else value
        now = owner.get(name)
        owner[name] = type(now)(plain) if isinstance(now, np.generic) else plain


def copies(part: Any) -> dict[str, np.ndarray]:
    """Copies of the small numeric arrays that a Python object holds as attributes."""
    return {
        name: value.copy()
        for name, value in vars(part).items()
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf" and value.size <= LARGEST_ARRAY
    }


def load_arrays(part: Any, saved: Mapping[str, Any], prefix: str) -> None:
    """Set attributes to what `copies` gave; in place where that can be, for others may share the memory."""
    for name in [name.removeprefix(prefix) for name in saved if name.startswith(prefix)]:
        wanted, now = saved[prefix + name], vars(part).get(name)
        if now is None:
            setattr(part, name, np.array(wanted))  # what an env makes for itself at its first reset
            continue
        if not isinstance(now, np.ndarray) or now.tobytes() == np.asarray(wanted).tobytes():
            continue
        if now.shape == wanted.shape and now.flags.writeable:
            now[...] = wanted
        else:
            setattr(part, name, np.array(wanted))


def generators(env: gymnasium.Env[Any, Any]) -> list[Any]:
    """The random generators of an environment and of those nested in it."""
    found = [part.np_random for part in parts(env) if isinstance(part, gymnasium.Env)]
    return [rng for rng in found if isinstance(rng, np.random.Generator | np.random.RandomState)]


def rng_states(env: gymnasium.Env[Any, Any]) -> list[Any]:
    """The states of all generators of `env`, in a fixed order."""
    return [
        rng.bit_generator.state if isinstance(rng, np.random.Generator) else rng.get_state(legacy=False)
        for rng in generators(env)
    ]


def set_rng_states(env: gymnasium.Env[Any, Any], states: list[Any]) -> None:
    """Put back what `rng_states` gave, in its JSON form."""
    for rng, state in zip(generators(env), states, strict=True):
        set_rng(rng, state)


def set_rng(rng: Any, state: Any) -> None:
    """Put one generator into a state in its JSON form."""
    if isinstance(rng, np.random.Generator):
        rng.bit_generator.state = from_json(state)
    else:
        rng.set_state(from_json(state))


def to_json(value: Any) -> Any:
    """A generator's state in JSON: integers beyond 2^63 as text, arrays as lists."""
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

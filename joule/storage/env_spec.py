"""The specification of an environment as `run.json` stores it, and back.

It sizes the networks of a loaded agent, and may come from another person: every entry is checked and bounded.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.interface import EnvSpec
from envs.env_spec import ObservationPart
from joule.storage.errors import RunError
from joule.storage.run_folder import Run
from joule_schema.physics_change import PHYSICS, recorded_physics

DATA = "data"
"""The entry that says what recorded episodes a run learns from."""
_LARGEST_SIZE = 1_000_000
_MOST_PARTS, _MOST_AXES = 64, 8
_LONGEST_EPISODE_DECISIONS = 10**12
_DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64",
)  # fmt: skip


@dataclass(frozen=True)
class StoredEnvSpec:
    """The specification of an environment that has not been made; see `agent.interface.EnvSpec`."""

    env: str
    observation: tuple[ObservationPart, ...]
    action_size: int
    episode_limit: int | None
    action_repeat: int
    readout_sizes: dict[str, int]
    derived_readouts: dict[str, Any]
    other: dict[str, Any] = field(default_factory=dict)
    """Entries that an agent does not use, such as the registered id."""

    @property
    def observation_size(self) -> int:
        """How many numbers an observation has, over all parts."""
        return sum(part.size for part in self.observation)

    @property
    def mujoco(self) -> bool:
        """Whether it has MuJoCo physics, as most have; the file of another person may not say."""
        return self.other.get("mujoco") is not False


def spec_to_json(env_spec: EnvSpec) -> dict[str, Any]:
    """The specification of an environment as JSON values, for `Run.create`."""
    own = {"env": env_spec.env, "observation": [], "observation_size": env_spec.observation_size}
    if isinstance(env_spec, StoredEnvSpec):
        values = dataclasses.asdict(env_spec)
        other = values.pop("other")
        return own | values | other
    if dataclasses.is_dataclass(env_spec) and not isinstance(env_spec, type):
        return dataclasses.asdict(env_spec)
    return own | {
        "observation": [
            {
                "name": part.name,
                "shape": list(part.shape),
                "dtype": part.dtype,
                "angles": list(part.angles),
                "stack": part.stack,
            }
            for part in env_spec.observation
        ],
        "action_size": env_spec.action_size,
        "episode_limit": env_spec.episode_limit,
        "action_repeat": env_spec.action_repeat,
        "readout_sizes": dict(env_spec.readout_sizes),
        "derived_readouts": dict(env_spec.derived_readouts),
    }


def physics_of(env_spec: EnvSpec) -> dict[str, str]:
    """Hashes of the physics of an environment, by group, where they are recorded; see `envs.physics_record`."""
    stored = env_spec.other if isinstance(env_spec, StoredEnvSpec) else vars(env_spec)
    return recorded_physics(stored.get(PHYSICS))


def spec_of_run(run: Run) -> EnvSpec:
    """The specification of a run's environment. Raises RunError as `spec_from_json`."""
    return spec_from_json(run.env_spec, f"{run.folder}: run.json")


def spec_from_json(entries: Mapping[str, Any], where: str) -> EnvSpec:
    """The specification that `spec_to_json` gave.

    Args:
        entries: the JSON values.
        where: begins the message of an error.

    Raises:
        RunError: for an entry that is missing, of another type, or too large; the message names it.
    """
    limit, sizes = entries.get("episode_limit"), entries.get("readout_sizes")
    observation = _parts(entries.get("observation"))
    checks = {
        "env": isinstance(entries.get("env"), str),
        "observation": observation is not None,
        "action_size": _is_size(entries.get("action_size")),
        "episode_limit": "episode_limit" in entries
        and (limit is None or _is_size(limit, _LONGEST_EPISODE_DECISIONS)),
        "action_repeat": _is_size(entries.get("action_repeat")),
        "readout_sizes": isinstance(sizes, dict) and all(map(_is_size, sizes.values())),
        "derived_readouts": isinstance(entries.get("derived_readouts"), dict),
    }
    for name, valid in checks.items():
        if not valid:
            raise RunError(f"{where} gives {name} as {str(entries.get(name))[:60]}")
    assert observation is not None
    known = {name: entries[name] for name in checks if name != "observation"}
    other = {name: value for name, value in entries.items() if name not in (*checks, "observation_size")}
    return StoredEnvSpec(observation=observation, other=other, **known)


def _parts(value: Any) -> tuple[ObservationPart, ...] | None:
    """The parts of an observation; None where they are not as `spec_to_json` writes them, or too large."""
    if not (isinstance(value, (list, tuple)) and 1 <= len(value) <= _MOST_PARTS):
        return None
    parts = []
    for entry in value:
        if not isinstance(entry, Mapping):
            return None
        name, shape, dtype = (entry.get(key) for key in ("name", "shape", "dtype"))
        if not (isinstance(name, str) and dtype in _DTYPES and isinstance(shape, (list, tuple))):
            return None
        if len(shape) > _MOST_AXES or not all(map(_is_size, shape)):
            return None
        angles = entry.get("angles", ())  # earlier runs have none
        if not (isinstance(angles, (list, tuple)) and _are_places(angles, math.prod(shape))):
            return None
        stack = entry.get("stack", 1)  # nor this
        if not (_is_size(stack) and (stack == 1 or (shape and shape[0] % stack == 0))):
            return None
        parts.append(ObservationPart(name, tuple(shape), dtype, tuple(angles), stack))
    unique = len({part.name for part in parts}) == len(parts)
    return tuple(parts) if unique and sum(math.prod(p.shape) for p in parts) <= _LARGEST_SIZE else None


def _are_places(values: list[Any] | tuple[Any, ...], size: int) -> bool:
    """Whether these are different places in a part of `size` numbers."""
    whole = all(isinstance(value, int) and not isinstance(value, bool) for value in values)
    return whole and all(0 <= value < size for value in values) and len(set(values)) == len(values)


def _is_size(value: Any, largest: int = _LARGEST_SIZE) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= largest

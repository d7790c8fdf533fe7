"""The sizes and names of an environment as `run.json` stores them, and back.

They size the networks of a loaded agent, and may come from another person: each is checked and bounded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.interface import EnvSpec
from joule.storage.errors import RunError
from joule.storage.run_folder import Run

_LARGEST_SIZE = 1_000_000
_LONGEST_EPISODE_DECISIONS = 10**12


@dataclass(frozen=True)
class StoredEnvSpec:
    """The specification of an environment that has not been made; see `agent.interface.EnvSpec`."""

    env: str
    observation_size: int
    action_size: int
    episode_limit: int | None
    action_repeat: int
    readout_sizes: dict[str, int]
    derived_readouts: dict[str, Any] = field(default_factory=dict)
    other: dict[str, Any] = field(default_factory=dict)
    """Entries that an agent does not use, such as the registered id."""


def spec_to_json(env_spec: EnvSpec) -> dict[str, Any]:
    """The specification of an environment as JSON values, for `Run.create`."""
    if isinstance(env_spec, StoredEnvSpec):
        values = dataclasses.asdict(env_spec)
        return values | values.pop("other")
    if dataclasses.is_dataclass(env_spec) and not isinstance(env_spec, type):
        return dataclasses.asdict(env_spec)
    return {
        "env": env_spec.env,
        "observation_size": env_spec.observation_size,
        "action_size": env_spec.action_size,
        "episode_limit": env_spec.episode_limit,
        "action_repeat": env_spec.action_repeat,
        "readout_sizes": dict(env_spec.readout_sizes),
        "derived_readouts": dict(env_spec.derived_readouts),
    }


def spec_of_run(run: Run) -> EnvSpec:
    """The specification of a run's environment.

    Raises:
        RunError: for an entry that is missing, of another type, or too large; the message names it.
    """
    entries, names = run.env_spec, [item.name for item in dataclasses.fields(StoredEnvSpec)]
    if not isinstance(entries.get("env"), str):
        raise _wrong(run, "env", entries)
    for name in ("observation_size", "action_size", "action_repeat"):
        if not _is_size(entries.get(name)):
            raise _wrong(run, name, entries)
    limit = entries.get("episode_limit")
    if not (limit is None or _is_size(limit, _LONGEST_EPISODE_DECISIONS)):
        raise _wrong(run, "episode_limit", entries)
    sizes = entries.get("readout_sizes")
    if not (isinstance(sizes, dict) and all(map(_is_size, sizes.values()))):
        raise _wrong(run, "readout_sizes", entries)
    if not isinstance(entries.get("derived_readouts"), dict):
        raise _wrong(run, "derived_readouts", entries)
    return StoredEnvSpec(
        env=entries["env"],
        observation_size=entries["observation_size"],
        action_size=entries["action_size"],
        episode_limit=limit,
        action_repeat=entries["action_repeat"],
        readout_sizes=sizes,
        derived_readouts=entries["derived_readouts"],
        other={name: value for name, value in entries.items() if name not in names},
    )


def _wrong(run: Run, name: str, entries: Mapping[str, Any]) -> RunError:
    return RunError(f"{run.folder}: run.json gives {name} as {str(entries.get(name))[:60]}")


def _is_size(value: Any, largest: int = _LARGEST_SIZE) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= largest

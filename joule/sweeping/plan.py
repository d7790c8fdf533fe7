"""What a sweep is to train, from the command line and a JSON file."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.configurator.settings import PRESETS, AgentKind, Config
from agent.errors import ConfigError
from joule.arguments import whole
from joule.storage.files import why
from joule.storage.reader import JSON_BYTES, read_plain
from joule.sweeping.grid import Range, SettingReader, Values, check_distinct, grid_of_json, plain
from joule_schema import json_text
from joule_schema.errors import shown
from joule_schema.model_file import is_model_file, whole_path

AGENTS: tuple[str, ...] = typing.get_args(AgentKind)
LARGEST_SEED = 2**31 - 1
MOST_TRIALS = 100_000
"""Of a sweep: a grid that was mistyped must not fill the memory."""


@dataclass(frozen=True)
class Plan:
    """The trials of a sweep: every agent in every environment with every seed and every combination of the grid."""

    agents: tuple[str, ...] = ("joule",)
    envs: tuple[str, ...] = (Config().env,)
    seeds: tuple[int, ...] = (1,)
    preset: str = "default"
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Those that all trials share, by dotted name."""
    grid: Mapping[str, Values | Range] = field(default_factory=dict)
    """Those that differ; ranges are for a search."""
    search: int | None = None
    """Candidates of a search; None trains the whole grid."""


def check_plan(plan: Plan) -> Plan:
    """Returns the plan when it can be trained, with the whole paths of model files.

    Raises:
        ConfigError: for nothing to train, an unknown agent or preset, a seed out of range, a name that comes
            twice, and ranges without a search or a search without anything to vary.
    """
    for name, values in (("agents", plan.agents), ("envs", plan.envs), ("seeds", plan.seeds)):
        if not values:
            raise ConfigError(f"--{name}: empty, so that there is nothing to train")
        check_distinct(f"--{name}", values)
    for agent in plan.agents:
        if agent not in AGENTS:
            near = difflib.get_close_matches(str(agent), AGENTS, n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"--agents: {shown(agent)} is none of {', '.join(AGENTS)}{hint}")
    for env in plan.envs:
        if not isinstance(env, str) or not env.strip():
            raise ConfigError(f"--envs: found {shown(env)}; give an id such as HalfCheetah-v5")
    for seed in plan.seeds:
        whole("seeds", seed, 0, LARGEST_SEED)
    if not isinstance(plan.preset, str) or plan.preset not in PRESETS:
        raise ConfigError(f"--preset: {shown(plan.preset)} is none of {', '.join(PRESETS)}")
    if both := sorted(plan.settings.keys() & plan.grid.keys()):
        raise ConfigError(f"{both[0]}: is given once for all trials and in the grid; give one of the two")
    ranges = [name for name, entry in plan.grid.items() if isinstance(entry, Range)]
    if plan.search is None:
        if ranges:
            raise ConfigError(f"--grid: {ranges[0]} has a range, which needs --search N; or list its values")
        _check_size(plan)
    else:
        whole("search", plan.search, 1, MOST_TRIALS)
        if not ranges and all(len(values) < 2 for values in plan.grid.values() if isinstance(values, tuple)):
            raise ConfigError("--search: there is nothing to vary; give a range, as in --grid NAME=LOW..HIGH")
    # Trials run in folders of their own.
    envs = (whole_path(env) if is_model_file(env) else env for env in plan.envs)
    return dataclasses.replace(plan, envs=tuple(envs))


def _check_size(plan: Plan) -> None:
    count = len(plan.agents) * len(plan.envs) * len(plan.seeds)
    for values in plan.grid.values():
        count *= len(values) if isinstance(values, tuple) else 1
    if count > MOST_TRIALS:
        raise ConfigError(f"--grid: {count:,} trials are more than {MOST_TRIALS:,}; give fewer values")


def read_plan(path: Path, reader: SettingReader | None = None) -> Plan:
    """The plan in a JSON file: an object with the names of `Plan`, each of which may be missing, and `steps`.

    Args:
        path: the file.
        reader: learns the kinds of planners and regularisers that the file names.

    Raises:
        ConfigError: for a file that cannot be read, an unknown name, or a value of another kind.
    """
    try:
        values = json_text.loads(read_plain(path, JSON_BYTES))
    except FileNotFoundError:
        raise ConfigError(f"--file: {path} does not exist") from None
    except OSError as error:
        raise ConfigError(f"--file: {path} cannot be read: {why(error)}") from error
    except ValueError as error:
        raise ConfigError(f"--file: {path} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"--file: {path} is not a JSON object")
    names = [item.name for item in dataclasses.fields(Plan)]
    known = [*names, "steps"]
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"
            raise ConfigError(f"--file: {path} has the unknown entry {shown(name)}{hint}")
    where = f"--file: {path}"
    found: dict[str, Any] = {}
    for name in ("agents", "envs", "seeds"):
        if name in values:
            if not isinstance(values[name], list):
                raise ConfigError(f"{where}: {name} is {shown(values[name])}, expected a list")
            found[name] = tuple(values[name])
    for name in ("settings", "grid"):
        if not isinstance(values.get(name, {}), dict):
            raise ConfigError(f"{where}: {name} is {shown(values[name])}, expected an object of settings")
    found |= {name: values[name] for name in ("preset", "search") if name in values}
    reader, named = reader or SettingReader(), {"steps": values["steps"]} if "steps" in values else {}
    for entries in (values.get("settings", {}), values.get("grid", {})):
        reader.learn_kinds(entries)
    for text, value in values.get("settings", {}).items():
        if (name := reader.name(text, where)) in named:
            raise ConfigError(f"{where}: {name} comes twice; give one of the two")
        named[name] = value
    found["settings"] = {name: plain(name, value) for name, value in named.items()}
    found["grid"] = grid_of_json(values.get("grid", {}), where, reader)
    return Plan(**found)

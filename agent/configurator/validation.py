"""Reading, changing and validating a configuration."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import re
import types
import typing
from typing import Any, Literal

from agent.configurator.settings import Config
from agent.cost.constraint import parse_guard
from agent.cost.task import IN_PYTHON
from agent.cost.task_terms import parse
from agent.errors import ConfigError


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted name -> value for every leaf field of a config tree."""
    flat: dict[str, Any] = {}
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            flat |= flatten(value, f"{prefix}{item.name}.")
        else:
            flat[prefix + item.name] = value
    return flat


def replace(config: Config, changes: dict[str, Any]) -> Config:
    """A copy of `config` with dotted fields changed, e.g. {"planner.kind": "icem"}.

    Raises ConfigError for a name that is not a field, with the nearest one.
    """
    tree: dict[str, Any] = {}
    known = flatten(config)
    for name, value in changes.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"unknown setting {name}{hint}")
        head, _, leaf = name.rpartition(".")
        tree.setdefault(head, {})[leaf] = value
    top = tree.pop("", {})
    for section, values in tree.items():
        top[section] = dataclasses.replace(getattr(config, section), **values)
    return dataclasses.replace(config, **top)


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, for json's `object_pairs_hook`. Raises ValueError for a key that comes twice: JSON's
    readers keep the last one in silence."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise ValueError(f"the key {twice[:60]!r} comes twice")
    return found


LISTS = ("perturb", "guard")
"""Settings that may be given several times."""


def to_json(config: Config) -> dict[str, Any]:
    """The config as plain JSON values; `from_json` is its inverse."""
    plain = dataclasses.asdict(config)
    plain |= {name: list(getattr(config, name)) for name in LISTS}
    return plain


def from_json(plain: dict[str, Any]) -> Config:
    """A validated Config from `to_json`'s form. Raises ConfigError naming the field at fault."""
    if not isinstance(plain, dict):
        raise ConfigError("config: expected an object of settings")
    flat: dict[str, Any] = {}
    sections = {f.name for f in dataclasses.fields(Config)} & {"model", "learner", "planner"}
    for name, value in plain.items():
        if name in sections:
            if not isinstance(value, dict):
                raise ConfigError(f"{name}: expected an object of settings, found {value!r}")
            flat |= {f"{name}.{leaf}": entry for leaf, entry in value.items()}
        else:
            flat[name] = tuple(value) if name in LISTS and isinstance(value, list) else value
    return validate(replace(Config(), flat))


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value has a field's type; bool is not an int, and an int is a float."""
    origin = typing.get_origin(hint)
    if origin is Literal:
        return value in typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, option) for option in typing.get_args(hint))
    if origin is tuple:
        return isinstance(value, tuple) and all(isinstance(entry, str) for entry in value)
    if origin is dict:
        return isinstance(value, dict) and all(isinstance(key, str) for key in value)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _expected(hint: Any) -> str:
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, typing.get_args(hint)))
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(_expected(o) if o is not type(None) else "nothing" for o in typing.get_args(hint))
    return {int: "a whole number", float: "a number", str: "text", bool: "true or false"}.get(hint, str(hint))


def _check_fields(node: Any, prefix: str) -> None:
    hints = typing.get_type_hints(type(node))
    for item in dataclasses.fields(node):
        name, value = prefix + item.name, getattr(node, item.name)
        if dataclasses.is_dataclass(value):
            _check_fields(value, f"{name}.")
            continue
        if not _fits(value, hints[item.name]):
            raise ConfigError(f"{name}: found {value!r}, expected {_expected(hints[item.name])}")
        bounds = item.metadata.get("range")
        # NaN fails every comparison; no conversion to float, which a huge int does not survive.
        if bounds and value is not None and not bounds[0] <= value <= bounds[1]:
            raise ConfigError(f"{name}: {value!r} is outside {bounds[0]:g} to {bounds[1]:g}")


def check_horizon(horizon: int, limit: int | None, env: str) -> None:
    """Raises ConfigError where a plan would reach beyond the longest episode, of `limit` decisions."""
    if limit is not None and horizon > limit:
        raise ConfigError(
            f"planner.horizon: {horizon} decisions exceed an episode of {env}, which has {limit}"
        )


def validate(config: Config) -> Config:
    """Returns `config` when every field has its type and lies in its range, and the fields agree.

    Raises ConfigError with one sentence naming the field, what was found, and what is allowed.
    """
    _check_fields(config, "")
    if config.task and not config.task.startswith(IN_PYTHON):
        parse(config.task)
    if config.guard:
        if config.agent != "joule" or config.planner.kind == "policy":
            found = config.agent if config.agent != "joule" else "planner.kind policy"
            raise ConfigError(f"guard: {found} does not look ahead, and can keep no guard; a planner can")
        for text in config.guard:
            if not text.startswith(IN_PYTHON):
                parse_guard(text)
    if config.perceive == "energy" and config.agent != "joule":
        raise ConfigError(f"perceive: {config.agent} has no world model to infer its sensors by; joule has")
    if not config.env.strip():
        raise ConfigError("env: empty; give a Gymnasium id such as HalfCheetah-v5")
    try:
        json.dumps(config.env_kwargs)
    except (TypeError, ValueError):
        raise ConfigError(f"env_kwargs: {config.env_kwargs!r} cannot be written as JSON") from None
    learner, planner, model = config.learner, config.planner, config.model
    if learner.batch > learner.buffer:
        raise ConfigError(f"learner.batch: {learner.batch} exceeds learner.buffer {learner.buffer}")
    if model.latent % model.group:
        raise ConfigError(f"model.latent: {model.latent} is not a multiple of model.group {model.group}")
    if planner.samples and planner.elites and planner.elites > planner.samples:
        raise ConfigError(f"planner.elites: {planner.elites} exceeds planner.samples {planner.samples}")
    looks_ahead = config.agent == "joule" and planner.kind != "policy"
    if looks_ahead and config.max_episode_steps:
        check_horizon(
            planner.horizon, math.ceil(config.max_episode_steps / (config.action_repeat or 1)), config.env
        )
    device = config.device
    if not re.fullmatch(r"cpu|cuda|auto|cuda:(0|[1-9][0-9]?)", device):
        raise ConfigError(f"device: found {device!r}, expected cpu, cuda, cuda:N or auto")
    return config

"""Reading, changing and validating a configuration."""

from __future__ import annotations

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from agent.configurator import kinds
from agent.configurator.settings import (
    BEFORE_THEY_EXISTED,
    GOAL_CONDITIONED,
    KIND_SECTIONS,
    LISTS,
    NO_ENV,
    NO_PERTURBATION,
    STATE_AND_GOAL,
    Config,
    ExploreConfig,
)
from agent.cost.constraint import check_compatible, parse_constraint
from agent.cost.task import IN_PYTHON
from agent.cost.task_text import parse
from agent.errors import ConfigError
from joule_errors.words import range_text
from joule_schema.env_kwargs import check_env_kwargs
from joule_schema.errors import SchemaError


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted name -> value for every leaf field of a config tree, and for the settings given of a kind."""
    flat: dict[str, Any] = {}
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            flat |= flatten(value, f"{prefix}{item.name}.")
        elif prefix and item.name == "settings":
            flat |= {prefix + name: entry for name, entry in value.items()}
        else:
            flat[prefix + item.name] = value
    return flat


def nearest_setting(name: str, known: Sequence[str]) -> str:
    """The end of a sentence about an unknown setting: the one of another section with that name, or the nearest."""
    leaf = name.rpartition(".")[2]
    near = [one for one in known if one.rpartition(".")[2] == leaf]
    near = near or difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def known_names() -> list[str]:
    """Every dotted name that a setting can have, those of all kinds of planners and regularisers included."""
    own = [f"{section}.{name}" for section in KIND_SECTIONS for name in kinds.all_settings(section)]
    return list(dict.fromkeys([*flatten(Config()), *own]))


def replace(config: Config, changes: Mapping[str, Any]) -> Config:
    """A copy of `config` with dotted fields changed, e.g. {"planner.kind": "icem", "planner.colour": 2.0}.

    None takes a planner's or regulariser's own setting back to its default, as its default value does, and `none`
    as the only perturbation is an empty list of them.

    Raises:
        ConfigError: for a name that is not a setting, with the nearest one.
    """
    tree: dict[str, Any] = {}
    known = known_names()
    for name, value in changes.items():
        if name not in known:
            raise ConfigError(f"unknown setting {name}{nearest_setting(name, known)}")
        head, _, leaf = name.rpartition(".")
        tree.setdefault(head, {})[leaf] = _plain(value)
    top = tree.pop("", {})
    if top.get("perturb") == NO_PERTURBATION:
        top["perturb"] = ()
    for section, values in tree.items():
        node = getattr(config, section)
        fields = {item.name for item in dataclasses.fields(node)}
        own = {name: value for name, value in values.items() if name not in fields}
        plain = {name: value for name, value in values.items() if name in fields}
        if own:
            merged = {**node.settings, **own}
            plain["settings"] = {name: value for name, value in merged.items() if value is not None}
        node = dataclasses.replace(node, **plain)
        if section in KIND_SECTIONS:
            node = dataclasses.replace(
                node, settings=kinds.without_defaults(section, node.kind, node.settings)
            )
        top[section] = node
    return dataclasses.replace(config, **top)


def _plain(value: Any) -> Any:
    """Numbers of an array library as Python's, which have a setting's type and go into a file."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    scalar = type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0
    return value.item() if scalar else value


def drop_foreign_settings(config: Config, given: Mapping[str, Any]) -> tuple[Config, list[str]]:
    """`config` without settings of another kind of planner or regulariser, where `given` switches the kind.

    `given` is what the user asked for, by dotted name; the rest comes from a preset or a run, and is dropped
    where the new kind does not have it.

    Returns:
        The config, and the dotted names of what was dropped.
    """
    dropped: list[str] = []
    for section in KIND_SECTIONS:
        node = getattr(config, section)
        has = kinds.settings_of(section, node.kind)
        foreign = [n for n in node.settings if n not in has and f"{section}.{n}" not in given]
        if foreign and f"{section}.kind" in given:
            config = replace(config, {f"{section}.{name}": None for name in foreign})
            dropped += [f"{section}.{name}" for name in foreign]
    return config, dropped


def differing(before: Config, after: Config) -> list[str]:
    """The dotted names of the settings that differ, those of kinds included."""
    old, new = flatten(before), flatten(after)
    return [name for name in {**old, **new} if old.get(name) != new.get(name)]


def to_json(config: Config) -> dict[str, Any]:
    """The config as plain JSON values; `from_json` is its inverse."""
    return _with_floats(config) | {name: list(getattr(config, name)) for name in LISTS}


def _with_floats(node: Any) -> dict[str, Any]:
    """A config tree as a dictionary, where every value of a field of floats is one: 1 and 1.0 are the same."""
    hints, plain = typing.get_type_hints(type(node)), dataclasses.asdict(node)
    for name, value in plain.items():
        if dataclasses.is_dataclass(hints[name]):
            plain[name] = _with_floats(getattr(node, name))
        elif hints[name] in (float, float | None) and isinstance(value, int):
            plain[name] = float(value)
    return plain


def from_json(plain: dict[str, Any]) -> Config:
    """A validated Config from `to_json`'s form. Raises ConfigError naming the field at fault."""
    if not isinstance(plain, dict):
        raise ConfigError("config: expected an object of settings")
    flat: dict[str, Any] = {}
    sections = {f.name for f in dataclasses.fields(Config) if dataclasses.is_dataclass(f.default_factory)}
    for name, value in plain.items():
        if name in sections:
            if not isinstance(value, dict):
                raise ConfigError(f"{name}: expected an object of settings, found {value!r}")
            for leaf, entry in value.items():
                own = name in KIND_SECTIONS and leaf == "settings"
                if own and not isinstance(entry, dict):
                    raise ConfigError(f"{name}.settings: expected an object of settings, found {entry!r}")
                flat |= {f"{name}.{n}": v for n, v in entry.items()} if own else {f"{name}.{leaf}": entry}
        else:
            flat[name] = tuple(value) if name in LISTS and isinstance(value, list) else value
    if flat.get("cost.uncertainty", 0.0) is None:  # for a while it had no fixed default
        del flat["cost.uncertainty"]
    if "pixels" not in str(flat.get("obs")):  # earlier versions did not look at it then
        flat.pop("obs_camera", None)
    return validate(replace(Config(), {**BEFORE_THEY_EXISTED, **flat}))


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
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return words.get(hint, "values by name" if typing.get_origin(hint) is dict else "a list of texts")


def _check_fields(node: Any, prefix: str) -> None:
    hints = typing.get_type_hints(type(node))
    for item in dataclasses.fields(node):
        name, value = prefix + item.name, getattr(node, item.name)
        if dataclasses.is_dataclass(value) and dataclasses.is_dataclass(hints[item.name]):
            _check_fields(value, f"{name}.")
            continue
        if not _fits(value, hints[item.name]):
            raise ConfigError(f"{name}: found {value!r:.200}, expected {_expected(hints[item.name])}")
        bounds = item.metadata.get("range")
        # NaN fails every comparison; no conversion to float, which a huge int does not survive.
        if bounds and value is not None and not bounds[0] <= value <= bounds[1]:
            raise ConfigError(f"{name}: {value!r:.80} is outside {range_text(*bounds)}")


def setting_of(config: Config, section: str, name: str) -> Any:
    """The value of a kind's own setting, given or default; None where the kind has no such setting."""
    node = getattr(config, section)
    declared = kinds.settings_of(section, node.kind).get(name)
    return None if declared is None else node.settings.get(name, declared.default)


def value_of(config: Config, name: str) -> Any:
    """The value of a setting by its dotted name, given or default; None where its kind has no such setting."""
    flat, (section, _, own) = flatten(config), name.rpartition(".")
    return flat[name] if name in flat or section not in KIND_SECTIONS else setting_of(config, section, own)


def check_horizon(horizon: int, limit: int | None, env: str) -> None:
    """Raises ConfigError where a plan would reach beyond the longest episode, of `limit` decisions."""
    if limit is not None and horizon > limit:
        raise ConfigError(
            f"planner.horizon_decisions: {horizon} decisions exceed an episode of {env}, which has {limit}"
        )


def _check_observed(config: Config) -> None:
    """Raises ConfigError for goals and pixels together with what does not take them."""
    if config.agent == GOAL_CONDITIONED:
        if config.obs != STATE_AND_GOAL:
            raise ConfigError(
                f"obs: found {config.obs}, and {config.agent} observes {STATE_AND_GOAL}, its default; in Python an "
                f"environment that is handed in is made with obs={STATE_AND_GOAL!r}"
            )
        if config.task:
            raise ConfigError(
                f"task: found {config.task!r}, and {config.agent} learns to reach the goals of its environment, "
                "not a cost; leave it out"
            )
    if config.obs in ("state", STATE_AND_GOAL):
        if config.obs_camera:
            raise ConfigError(
                f"obs_camera: found {config.obs_camera!r}, and no camera is observed by obs {config.obs}; give "
                "--obs pixels"
            )
        return
    if config.num_envs > 1:
        raise ConfigError(
            f"obs: found {config.obs} with num_envs {config.num_envs}; pixels are of one environment, or of one of "
            "each of the actors"
        )
    if config.perceive == "energy":
        raise ConfigError("obs: perceive energy infers what sensors should read, and takes the state alone")


def _check_data(config: Config) -> None:
    """Raises ConfigError for recorded episodes together with what collects some."""
    if not config.data:
        if config.env == NO_ENV:
            raise ConfigError(
                f"env: {NO_ENV} is for learning from data; give a Gymnasium id such as HalfCheetah-v5"
            )
        return
    if config.agent != "joule":
        raise ConfigError(f"data: {config.agent} learns by acting; joule learns from recorded episodes")
    for name in ("num_envs", "actors"):
        if getattr(config, name) > 1 or (name == "actors" and config.actors):
            raise ConfigError(f"{name}: found {getattr(config, name)}, and learning from data takes no step")


def _check_reward(config: Config) -> None:
    """Raises ConfigError for a way of exploring without rewards where there are some."""
    if config.reward != "none" and config.explore.kind != ExploreConfig.kind:
        raise ConfigError(
            f"explore.kind: found {config.explore.kind!r}, which is for --reward none; with rewards the "
            "policy and plans explore"
        )


def check_exploring(config: Config) -> None:
    """Raises ConfigError for settings to learn with, where one of them needs rewards and there are none.

    What has explored may be evaluated, and plan, with some of them: for a task, within constraints.
    """
    if config.reward != "none":
        return
    if config.constraint:
        raise ConfigError(
            f"constraint: found {' '.join(config.constraint)!r}, and --reward none only explores, where no "
            "constraint is kept; leave it out"
        )
    for name, found in (("task", config.task), ("eval_process", config.eval_process)):
        if found:
            raise ConfigError(
                f"{name}: found {found!r}, and --reward none explores without rewards; leave it out"
            )


def _check_stream_rows(config: Config) -> None:
    """Raises ConfigError where the replay buffer would overwrite rows before the replay log has them.

    The log looks after every chunk, and takes new rows once they are more than half of what a stream holds. A chunk
    adds two rows for each decision that ends an episode, which must fit into the other half.
    """
    capacity, streams = config.learning.replay_capacity_transitions, config.streams
    decisions = config.actor_chunk_decisions if config.actors else 1
    most = (-(-capacity // streams) - 1) // 4
    if decisions <= most:
        return
    side_by_side = f"num_envs {streams}"
    if config.actors:
        side_by_side = f"{streams} actors with actor_chunk_decisions {decisions}"
    fewer = f", or chunks of {most} or fewer" if config.actors and most else ""
    raise ConfigError(
        f"learning.replay_capacity_transitions: {capacity} is too small for {side_by_side}; give "
        f"{4 * decisions * streams + 1} or more{fewer}"
    )


def validate(config: Config) -> Config:
    """Returns `config` when every field has its type and lies in its range, and the fields agree.

    Raises ConfigError with one sentence naming the field, what was found, and what is allowed.
    """
    _check_fields(config, "")
    if config.task and not config.task.startswith(IN_PYTHON):
        parse(config.task)
    if config.constraint:
        if config.agent != "joule" or config.planner.kind == kinds.NO_PLANNER:
            found = config.agent if config.agent != "joule" else "planner.kind policy"
            raise ConfigError(
                f"constraint: {found} does not look ahead, and cannot keep a constraint; a planner can"
            )
        texts = [text for text in config.constraint if not text.startswith(IN_PYTHON)]
        check_compatible([parse_constraint(text) for text in texts])
    if config.num_envs > 1 and config.agent != "joule":
        raise ConfigError(
            f"num_envs: found {config.num_envs}, and {config.agent} takes 1; only joule takes several"
        )
    if config.actors and config.agent != "joule":
        raise ConfigError(
            f"actors: found {config.actors}, and {config.agent} acts where it learns; joule has actors"
        )
    if config.actors and config.num_envs > 1:
        raise ConfigError(
            f"actors: each of them has one environment, and num_envs is {config.num_envs}; give one of the two"
        )
    _check_observed(config)
    _check_data(config)
    _check_reward(config)
    if config.perceive == "energy" and config.agent != "joule":
        raise ConfigError(f"perceive: {config.agent} has no world model to infer its sensors by; joule has")
    if not config.env.strip():
        raise ConfigError("env: empty; give a Gymnasium id such as HalfCheetah-v5")
    try:
        check_env_kwargs(config.env_kwargs)
    except SchemaError as error:
        raise ConfigError(str(error)) from None
    for section in KIND_SECTIONS:
        node = getattr(config, section)
        known = [*kinds.table(section), *([kinds.NO_PLANNER] if section == "planner" else [])]
        if node.kind not in known:
            near = difflib.get_close_matches(node.kind, known, n=1, cutoff=0.3)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(
                f"{section}.kind: found {node.kind!r}, expected one of {', '.join(known)}{hint}"
            )
        kinds.check_settings(section, node.kind, node.settings)
    learning, planner, latent = config.learning, config.planner, config.model.latent_dim
    if learning.batch_size > learning.replay_capacity_transitions:
        raise ConfigError(
            f"learning.batch_size: {learning.batch_size} exceeds "
            f"learning.replay_capacity_transitions {learning.replay_capacity_transitions}"
        )
    _check_stream_rows(config)
    group = setting_of(config, "regularizer", "group_size")
    if group is not None and latent % group:
        raise ConfigError(f"model.latent_dim: {latent} is not a multiple of regularizer.group_size {group}")
    samples, elites = (setting_of(config, "planner", name) for name in ("samples", "elites"))
    if samples is not None and elites is not None and elites > samples:
        raise ConfigError(f"planner.elites: {elites} exceeds planner.samples {samples}")
    looks_ahead = config.agent == "joule" and planner.kind != kinds.NO_PLANNER
    if looks_ahead:
        check_horizon(planner.horizon_decisions, config.most_decisions, config.env)
    device = config.device
    if not re.fullmatch(r"cpu|cuda|auto|cuda:(0|[1-9][0-9]?)", device):
        raise ConfigError(f"device: found {device!r}, expected cpu, cuda, cuda:N or auto")
    return config

"""Settings by their dotted names, such as `planner.kind`: reading them, changing them, and what a change drops."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from agent.configurator import kinds
from agent.configurator.settings import KIND_SECTIONS, NO_PERTURBATION, Config
from agent.errors import ConfigError


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


def known_names(named: Mapping[str, str] | None = None) -> list[str]:
    """Every dotted name that a setting can have, those of all kinds of planners and regularisers included.

    Args:
        named: section -> the kind that is chosen, which may be in a file of the user's own.
    """
    chosen = named or {}
    own = [
        f"{section}.{name}"
        for section in KIND_SECTIONS
        for name in kinds.all_settings(section, chosen.get(section, ""))
    ]
    return list(dict.fromkeys([*flatten(Config()), *own]))


def replace(config: Config, changes: Mapping[str, Any]) -> Config:
    """A copy of `config` with dotted fields changed, e.g. {"planner.kind": "icem", "planner.colour": 2.0}.

    None takes a planner's or regulariser's own setting back to its default, as its default value does, and `none`
    as the only perturbation is an empty list of them.

    Raises:
        ConfigError: for a name that is not a setting, with the nearest one.
    """
    tree: dict[str, Any] = {}
    chosen = {one: changes.get(f"{one}.kind", getattr(config, one).kind) for one in KIND_SECTIONS}
    named = {section: kind for section, kind in chosen.items() if isinstance(kind, str)}
    known = known_names(named)
    for name, value in changes.items():
        head, _, leaf = name.rpartition(".")
        # What a kind that is not here has of its own, only its class knows; `validate` refuses the kind.
        if name not in known and (head not in named or kinds.is_here(head, named[head])):
            raise ConfigError(f"unknown setting {name}{nearest_setting(name, known)}")
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


def _plain(value: Any, in_dictionary: bool = False) -> Any:
    """Numbers of an array library as Python's, which have a setting's type and go into a file.

    A tuple in a dictionary, such as `env_kwargs`, becomes a list, which it is once it comes from that file: an
    environment that takes no list must fail before it is trained in, and not when the run is resumed.
    """
    if isinstance(value, dict):
        return {name: _plain(one, in_dictionary=True) for name, one in value.items()}
    if isinstance(value, list) or (in_dictionary and isinstance(value, tuple)):
        return [_plain(one, in_dictionary) for one in value]
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
            kept = {name: value for name, value in node.settings.items() if name not in foreign}
            config = dataclasses.replace(config, **{section: dataclasses.replace(node, settings=kept)})
            dropped += [f"{section}.{name}" for name in foreign]
    return config, dropped


def differing(before: Config, after: Config) -> list[str]:
    """The dotted names of the settings that differ, those of kinds included."""
    old, new = flatten(before), flatten(after)
    return [name for name in {**old, **new} if old.get(name) != new.get(name)]


def setting_of(config: Config, section: str, name: str) -> Any:
    """The value of a kind's own setting, given or default; None where the kind has no such setting."""
    node = getattr(config, section)
    declared = kinds.settings_of(section, node.kind).get(name)
    return None if declared is None else node.settings.get(name, declared.default)


def value_of(config: Config, name: str) -> Any:
    """The value of a setting by its dotted name, given or default; None where its kind has no such setting."""
    flat, (section, _, own) = flatten(config), name.rpartition(".")
    return flat[name] if name in flat or section not in KIND_SECTIONS else setting_of(config, section, own)

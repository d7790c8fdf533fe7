"""A configuration as JSON values, and back."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

from agent.configurator import kinds
from agent.configurator.dotted_names import replace
from agent.configurator.settings import BEFORE_THEY_EXISTED, KIND_SECTIONS, LISTS, Config
from agent.configurator.validation import validate
from agent.errors import ConfigError


def to_json(config: Config) -> dict[str, Any]:
    """The config as plain JSON values; `from_json` is its inverse."""
    plain = _with_floats(config) | {name: list(getattr(config, name)) for name in LISTS}
    for section in KIND_SECTIONS:
        node = getattr(config, section)
        plain[section]["settings"] = kinds.with_floats(section, node.kind, node.settings)
    return plain


def _with_floats(node: Any) -> dict[str, Any]:
    """A config tree as a dictionary, where every value of a field of floats is one: 1 and 1.0 are the same."""
    hints, plain = typing.get_type_hints(type(node)), dataclasses.asdict(node)
    for name, value in plain.items():
        if dataclasses.is_dataclass(hints[name]):
            plain[name] = _with_floats(getattr(node, name))
        elif hints[name] in (float, float | None) and isinstance(value, int):
            plain[name] = float(value)
    return plain


def from_json(plain: dict[str, Any], *, elsewhere: bool = False) -> Config:
    """A validated Config from `to_json`'s form; `elsewhere` as for `validate`.

    Raises:
        ConfigError: naming the field at fault.
    """
    if not isinstance(plain, dict):
        raise ConfigError("config: expected an object of settings")
    flat: dict[str, Any] = {}
    unread: dict[str, dict[str, Any]] = {}
    sections = {f.name for f in dataclasses.fields(Config) if dataclasses.is_dataclass(f.default_factory)}
    for name, value in plain.items():
        if name in sections:
            if not isinstance(value, dict):
                raise ConfigError(f"{name}: expected an object of settings, found {value!r}")
            of_user = elsewhere and name in KIND_SECTIONS and kinds.is_of_user(value.get("kind"))
            for leaf, entry in value.items():
                own = name in KIND_SECTIONS and leaf == "settings"
                if own and not isinstance(entry, dict):
                    raise ConfigError(f"{name}.settings: expected an object of settings, found {entry!r}")
                if of_user and leaf in ("kind", "settings"):
                    unread.setdefault(name, {})[leaf] = entry
                else:
                    flat |= {f"{name}.{n}": v for n, v in entry.items()} if own else {f"{name}.{leaf}": entry}
        else:
            flat[name] = tuple(value) if name in LISTS and isinstance(value, list) else value
    if flat.get("cost.uncertainty", 0.0) is None:  # for a while it had no fixed default
        del flat["cost.uncertainty"]
    if "pixels" not in str(flat.get("obs")):  # earlier versions did not look at it then
        flat.pop("obs_camera", None)
    config = replace(Config(), {**BEFORE_THEY_EXISTED, **flat})
    for section, given in unread.items():
        node = dataclasses.replace(getattr(config, section), **given)
        config = dataclasses.replace(config, **{section: node})
    return validate(config, elsewhere=elsewhere)

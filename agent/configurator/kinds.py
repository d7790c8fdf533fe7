"""The settings that a kind of planner or regulariser has of its own, read without importing it.

A kind is a class in a module, with a frozen dataclass of its settings beside it, named after the class
(`ICEM`, `ICEMSettings`), or a dataclass itself. Importing the module may import torch, which takes seconds;
`--help` and every refusal must be instant. So the dataclass is read from the source; see `class_settings`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import planners
from agent.configurator.class_settings import Setting, settings_in
from agent.configurator.settings import KIND_SECTIONS
from agent.errors import ConfigError
from joule_schema.own_modules import home_in, source_of

REGULARIZERS: dict[str, str] = {
    "simnorm": "agent.perception.regularizers:SimNorm",
    "ema": "agent.perception.regularizers:MovingAverageTarget",
    "vicreg": "agent.perception.regularizers:VICReg",
    "sigreg": "agent.perception.regularizers:SIGReg",
    "contrast": "agent.perception.regularizers:Contrast",
    "sensors": "agent.perception.regularizers:Sensors",
    "none": "agent.perception.regularizers:NoRegularizer",
}
"""Kind -> module and class. One line here and one class add a regulariser."""
WITHOUT_PENALTY = ("simnorm", "ema", "sensors", "none")
"""Kinds of regularisers whose loss is zero, so that a weight of it would change nothing."""

NO_PLANNER = "policy"
"""The kind of planner that acts by the policy alone (mode 1)."""


def table(section: str) -> dict[str, str]:
    """Kind -> module and class, for the section `planner` or `regularizer` of the settings."""
    return planners.KINDS if section == "planner" else REGULARIZERS


def choices(section: str) -> list[str]:
    """The kinds that this program knows by name."""
    return [*table(section), *([NO_PLANNER] if section == "planner" else [])]


def home_of(section: str, kind: str) -> str | None:
    """The module and class of a kind, by name or as `module:Class`; None for an unknown one."""
    return home_in(table(section), kind)


def is_here(section: str, kind: str) -> bool:
    """Whether a kind is known, and its module found: a run of another program may name one that is not."""
    home = home_of(section, kind)
    if not isinstance(home, str):
        return home is not None or kind == NO_PLANNER
    try:
        source_of(home.partition(":")[0])
    except ModuleNotFoundError:
        return False
    return True


def tables() -> dict[str, dict[str, str]]:
    """Section -> kind -> module and class, for `add` in another process that has the same run."""
    return {section: dict(table(section)) for section in KIND_SECTIONS}


def add(other: Mapping[str, Mapping[str, str]]) -> None:
    """Adds the kinds that a program has added to its tables to those of this process.

    Args:
        other: the `tables` of that program.
    """
    for section, kinds in other.items():
        table(section).update(kinds)


def settings_of(section: str, kind: str) -> dict[str, Setting]:
    """The own settings of a kind, by name; none for a kind that has none.

    Raises:
        ConfigError: for what cannot be the name of a kind.
    """
    if not isinstance(kind, str):
        raise ConfigError(
            f"{section}.kind: found {kind!r:.80}; give a text such as {next(iter(table(section)))}"
        )
    home = home_of(section, kind)
    if home is None:
        return {}
    if not isinstance(home, str) or home.startswith("__main__:"):
        of_table = "planners.KINDS" if section == "planner" else "REGULARIZERS"
        where = f"{section}.kind" if kind == home else of_table
        raise ConfigError(
            f"{where}: {kind} is named {home!r:.80}; name a class in a file of its own, such as my_module:MyClass"
        )
    try:
        return settings_in(home)
    except ModuleNotFoundError:
        return {}


def all_settings(section: str, named: str = "") -> dict[str, list[tuple[str, Setting]]]:
    """Name -> the kinds that have a setting of this name, each with its own: those of the `table`, and `named`."""
    found: dict[str, list[tuple[str, Setting]]] = {}
    for kind in dict.fromkeys([*table(section), *([named] if named else [])]):
        for name, setting in settings_of(section, kind).items():
            found.setdefault(name, []).append((kind, setting))
    return found


def without_defaults(section: str, kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a kind that differ from its defaults, so that those that come to the same are equal."""
    has = settings_of(section, kind) if isinstance(kind, str) else {}
    return {
        name: value for name, value in given.items() if name not in has or not has[name].is_default(value)
    }


def with_floats(section: str, kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a kind, where every value of a setting of floats is one: 1 and 1.0 are the same."""
    has = settings_of(section, kind)
    floats = {name for name, setting in has.items() if setting.type is float}
    return {
        name: float(value) if name in floats and isinstance(value, int) else value
        for name, value in given.items()
    }


def check_settings(section: str, kind: str, given: Mapping[str, Any]) -> None:
    """Raises ConfigError for a setting that the kind does not have, or a value that it does not take."""
    has = settings_of(section, kind)
    for name, value in given.items():
        where = f"{section}.{name}"
        if name not in has:
            near = difflib.get_close_matches(name, has, n=1, cutoff=0.5)
            others = [other for other, _ in all_settings(section).get(name, ())]
            if others:
                hint = f"; {', '.join(others)} {'has' if len(others) == 1 else 'have'} it"
            elif near:
                hint = f"; did you mean {section}.{near[0]}?"
            else:
                hint = f"; it has {', '.join(has)}" if has else ""
            raise ConfigError(f"{where}: {section} {kind} has no such setting{hint}")
        has[name].check(where, value)


def check_module(where: str, section: str, kind: str) -> None:
    """Raises ConfigError, which begins with `where`, for a kind whose module is not there."""
    if (home := home_of(section, kind)) is not None and not is_here(section, kind):
        which = "" if kind == home else f"{section} {kind} is {home}, and "
        module, _, name = home.partition(":")
        hint = f"; write {module.removesuffix('.py')}:{name}" if module.endswith(".py") else ""
        raise ConfigError(f"{where}: {which}there is no module {module}{hint}")

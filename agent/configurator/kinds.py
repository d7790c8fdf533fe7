"""The settings that a kind of planner or regulariser has of its own, read without importing it.

A kind is a class in a module, with a frozen dataclass of its settings beside it, named after the class
(`ICEM`, `ICEMSettings`), or a dataclass itself. Importing the module may import torch, which takes seconds;
`--help` and every refusal must be instant. So the dataclass is read from the source: the name of a field, its
type, its default and range, and the docstring under it.
"""

from __future__ import annotations

import ast
import difflib
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import planners
from agent.configurator.settings import KIND_SECTIONS, PlannerConfig, RegularizerConfig
from agent.errors import ConfigError
from joule_errors.words import unfit
from joule_schema.own_modules import home_in, names_class, source_of

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

_SECTIONS: dict[str, Any] = {"planner": PlannerConfig, "regularizer": RegularizerConfig}
_TYPES = {"int": int, "float": float, "bool": bool}


@dataclass(frozen=True)
class Setting:
    """One setting of a kind."""

    name: str
    type: type
    default: int | float | bool
    low: float | None
    high: float | None
    text: str
    """What it is, for `--help`."""

    def is_default(self, value: Any) -> bool:
        """Whether `value` is the default; one of another type is refused where it is checked."""
        return not unfit(value, self.type) and bool(value == self.default)

    def check(self, where: str, value: Any) -> None:
        """Raises ConfigError unless `value` has the type and lies in the range."""
        if reason := unfit(value, self.type, self.low, self.high):
            raise ConfigError(f"{where}: {reason}")


def table(section: str) -> dict[str, str]:
    """Kind -> module and class, for the section `planner` or `regularizer` of the settings."""
    return planners.KINDS if section == "planner" else REGULARIZERS


def choices(section: str) -> list[str]:
    """The kinds that this program knows by name."""
    return [*table(section), *([NO_PLANNER] if section == "planner" else [])]


def home_of(section: str, kind: str) -> str | None:
    """The module and class of a kind, by name or as `module:Class`; None for an unknown one."""
    return home_in(table(section), kind)


def is_of_user(kind: Any) -> bool:
    """Whether a kind is named as `module:Class`: what settings it has, only its file says."""
    return isinstance(kind, str) and names_class(kind)


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
        found = _read(home)
    except ModuleNotFoundError:
        return {}
    taken = [name for name in found if name in {field.name for field in fields(_SECTIONS[section])}]
    if taken:
        raise ConfigError(
            f"{section}.{taken[0]}: {kind} has a setting of this name, which is taken; give it another"
        )
    return found


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


@functools.cache
def _read(home: str) -> dict[str, Setting]:
    """The settings that a class has by its source.

    Raises:
        ModuleNotFoundError: where there is no such module now; a later `sys.path` may have it.
        ConfigError: where it cannot be read.
    """
    module, _, name = home.partition(":")
    source = source_of(module)
    if source is None:
        return {}
    try:
        tree = ast.parse(source.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigError(f"{home}: {source} cannot be read: {error}") from error
    classes = {node.name: node for node in ast.iter_child_nodes(tree) if isinstance(node, ast.ClassDef)}
    node = classes.get(f"{name}Settings", classes.get(name))
    return {} if node is None else {setting.name: setting for setting in _fields(node)}


def _fields(node: ast.ClassDef) -> Iterator[Setting]:
    lines = [*ast.iter_child_nodes(node)]
    for line, following in zip(lines, [*lines[1:], None], strict=True):
        if not (isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.value):
            continue
        if not (isinstance(line.annotation, ast.Name) and line.annotation.id in _TYPES):
            continue
        values = [line.value]
        try:
            if isinstance(line.value, ast.Call):
                named = {word.arg: word.value for word in line.value.keywords}
                names = ("default", "low", "high")[len(line.value.args) :]
                values = line.value.args + [named[name] for name in names if name in named]
            default, *bounds = (ast.literal_eval(value) for value in values)
            if len(bounds) not in (0, 2):
                raise ValueError(f"{len(bounds)} bounds")
        except (ValueError, TypeError, RecursionError, MemoryError):
            raise ConfigError(
                f"{node.name}.{line.target.id}: its default and its range are to be written as numbers or texts, "
                "because they are read without importing the module"
            ) from None
        low, high = bounds if bounds else (None, None)
        text = ""
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            text = str(following.value.value)
        yield Setting(line.target.id, _TYPES[line.annotation.id], default, low, high, text)

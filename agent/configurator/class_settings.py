"""The settings that a class has, read from its source without importing it.

They are the fields of a dataclass: the name, the type, the default and range, and the docstring under it.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import resolve_name
from pathlib import Path
from typing import Any

from agent.errors import ConfigError
from joule_errors.user_code import OF_JOULE
from joule_errors.words import unfit
from joule_schema.own_modules import source_of

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


Settings = dict[str, Setting]
"""By name."""


def settings_in(home: str) -> Settings:
    """The settings of a class: those of the dataclass named after it, as `ICEMSettings`, or of the class itself.

    Fields of dataclasses that it inherits from are among them, and a class may come from another module by
    `from module import Class`.

    Args:
        home: `module:Class`.

    Raises:
        ModuleNotFoundError: where there is no such module now; a later `sys.path` may have it.
        ConfigError: for a source that cannot be read, and for a default that is neither number nor text.
    """
    # A file of the user's own may be edited while the program runs, as beside a notebook.
    return _of_joule(home) if home.partition(".")[0] in OF_JOULE else _read(home)


def _read(home: str) -> Settings:
    module, _, name = home.partition(":")
    for one in (f"{name}Settings", name):
        if (found := _of_class(module, one, ())) is not None:
            return found
    return {}


_of_joule = functools.cache(_read)


def _of_class(
    module: str, name: str, within: tuple[tuple[str, str], ...], inherited: bool = False
) -> Settings | None:
    """The settings of the class that a module calls `name`; None where it has none by that name.

    Args:
        module: the module.
        name: of the class there.
        within: modules and names that led here; a circle of them ends.
        inherited: whether another class inherits from it: its fields are settings where it is a dataclass.
    """
    source = source_of(module)
    if source is None or (module, name) in within:
        return None
    within = (*within, (module, name))
    for node in ast.iter_child_nodes(_parsed(module, source, _changed(source))):
        if isinstance(node, ast.ClassDef) and node.name == name:
            bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
            found: Settings = {}
            for base in reversed(bases):
                found |= _of_class(module, base, within, inherited=True) or {}
            own = not inherited or any(map(_makes_dataclass, node.decorator_list))
            return found | {setting.name: setting for setting in _fields(node)} if own else found
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name and (there := _imported(module, source, node)):
                    try:
                        return _of_class(there, alias.name, within, inherited)
                    except ModuleNotFoundError:
                        return None
    return None


def _makes_dataclass(decorator: ast.expr) -> bool:
    """Whether a decorator is `dataclass`, `dataclass(...)` or the same of a module."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return (called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")) == "dataclass"


def _imported(module: str, source: Path, node: ast.ImportFrom) -> str:
    """The module that `from ... import` names; empty where it leads out of the package."""
    package = module if source.name == "__init__.py" else module.rpartition(".")[0]
    try:
        return resolve_name("." * node.level + (node.module or ""), package)
    except ImportError:
        return ""


def _changed(source: Path) -> int:
    """When a file was changed, in nanoseconds; 0 where it cannot be seen."""
    try:
        return source.stat().st_mtime_ns
    except OSError:
        return 0


@functools.lru_cache(maxsize=64)
def _parsed(module: str, source: Path, changed: int) -> ast.Module:
    """The syntax tree of a file. Raises ConfigError for one that cannot be read."""
    try:
        return ast.parse(source.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError) as error:
        raise ConfigError(f"{module}: {source} cannot be read: {error}") from error


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
        except ValueError:
            raise ConfigError(
                f"{node.name}.{line.target.id}: its default and its range are to be written as numbers or texts, "
                "because they are read without importing the module"
            ) from None
        low, high = bounds if bounds else (None, None)
        text = ""
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            text = str(following.value.value)
        yield Setting(line.target.id, _TYPES[line.annotation.id], default, low, high, text)

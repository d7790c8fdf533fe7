"""Modules of a user: where they are found, and the names `module:Class` by which a setting names a class in one."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from joule_errors.user_code import raised
from joule_schema.errors import SchemaError

_CLASS = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


def names_class(text: str) -> bool:
    """Whether a text has the form `module:Class`, as `search.antithetic:Antithetic` has."""
    return _CLASS.fullmatch(text) is not None


def home_in(table: Mapping[str, str], kind: str) -> str | None:
    """The module and class of a kind; None for an unknown one.

    Args:
        table: kind -> module and class.
        kind: a name in the table, or `module:Class` for a class in a file of the user's own.
    """
    return table.get(kind) or (kind if names_class(kind) else None)


def look_here() -> None:
    """Has modules found in the working directory too, as `python file.py` does."""
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)


def class_of(home: str) -> type:
    """The class that `module:Class` names. Its module is imported, from the working directory too.

    Raises:
        SchemaError: for a module that is not there, needs another one or raises, and for a class that it does not
            have.
    """
    module, _, name = home.partition(":")
    look_here()
    try:
        found = getattr(import_module(module), name, None)
    except ModuleNotFoundError as error:
        if error.name and f"{module}.".startswith(f"{error.name}."):
            raise SchemaError(f"there is no module {module} to import it from") from error
        raise SchemaError(f"importing {module} needs the package {error.name!r}, not installed") from error
    except Exception as error:
        raise SchemaError(f"importing {module} {raised(error)}") from error
    if not isinstance(found, type):
        raise SchemaError(f"module {module} has no class {name}")
    return found


def source_of(module: str) -> Path | None:
    """The file that an import of a module would execute. Nothing is imported, and no package around it.

    Args:
        module: its name, with dots.

    Returns:
        The file; None for a module that is no Python source.

    Raises:
        ModuleNotFoundError: where there is no such module, neither in `sys.path` nor in the working directory.
    """
    top, *inner = module.split(".")
    found, name = _spec(top, None), top
    for part in inner:
        name = f"{name}.{part}"
        within = None if found is None else found.submodule_search_locations
        found = None if within is None else _spec(name, within)
    if found is None:
        raise ModuleNotFoundError(f"there is no module {module}", name=module)
    origin = found.origin if found.has_location else None
    return Path(origin) if origin is not None and origin.endswith(".py") else None


def _spec(name: str, within: Sequence[str] | None) -> ModuleSpec | None:
    """What the finders of this program say of a module; `within` are the folders of the package around it."""
    for finder in sys.meta_path:
        if (find := getattr(finder, "find_spec", None)) is not None:
            try:
                spec: ModuleSpec | None = find(name, within)
            except KeyError:
                # A folder without __init__.py in another one: Python knows its path once the other is imported.
                spec = _folder_spec(name, within or ())
            if spec is not None:
                return spec
    return PathFinder.find_spec(name, [os.getcwd()]) if within is None else None


def _folder_spec(name: str, within: Sequence[str]) -> ModuleSpec | None:
    """A package that is a folder without `__init__.py`."""
    paths = (os.path.join(folder, name.rpartition(".")[2]) for folder in within)
    spec = ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = [path for path in paths if os.path.isdir(path)]
    return spec if spec.submodule_search_locations else None

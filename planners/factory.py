"""The factory: a planner from the name of its kind and its settings."""

import difflib
import typing
from importlib import import_module
from typing import Any

from joule_schema.own_modules import home_in, look_here
from planners.base import Bound, Planner, SettingError
from planners.kinds import KINDS


def settings(kind: str) -> type:
    """The frozen dataclass of the settings that a kind of planner has.

    Raises:
        SettingError: for an unknown kind, with the nearest one, and for a module or a class that does not exist.
    """
    return _found(kind, "Settings")


def make(kind: str, *, horizon: int, low: Bound, high: Bound, batch: int = 1, **values: Any) -> Planner:
    """A planner for `batch` environments at once, over `horizon` decisions in the box [low, high].

    Args:
        kind: one of `planners.kinds.KINDS`, or `module:Class` for a planner of your own.
        horizon: number of decisions planned ahead.
        low: lower bounds of the action, a tensor [act] or one number. A tensor fixes the planner's dtype and
            device.
        high: upper bounds of the action, as `low`.
        batch: number of environments planned for at once.
        values: settings of the kind, by name; None leaves a setting at its default.

    Raises:
        SettingError: for an unknown kind or setting, with the nearest name, for a value out of range, and for a
            module or a class that does not exist.
    """
    accepted = settings(kind)
    types = typing.get_type_hints(accepted)
    given = {name: value for name, value in values.items() if value is not None}
    for name, value in given.items():
        if name not in types:
            near = difflib.get_close_matches(name, types, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SettingError(f"{name}: planner {kind} accepts {', '.join(types)}{hint}")
        if types[name] is float and type(value) is int:
            given[name] = float(value)
    planner: Planner = _found(kind)(accepted(**given), horizon, low, high, batch)
    return planner


def _found(kind: str, suffix: str = "") -> type:
    """The class of a kind, or its settings.

    Raises:
        SettingError: for an unknown kind, and for a module or a class of it that does not exist.
    """
    module, name = _module_and_class(kind)
    look_here()
    try:
        home = import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the planner's own module lacks another one
        raise SettingError(f"planner {kind}: there is no module {module} to import it from") from error
    found: type | None = getattr(home, name + suffix, None)
    if found is None:
        raise SettingError(f"planner {kind}: module {module} has no class {name}{suffix}")
    return found


def _module_and_class(kind: str) -> tuple[str, str]:
    """Names of the module and of the class of a kind. Raises SettingError for an unknown one."""
    home = home_in(KINDS, kind)
    if home is None:
        near = difflib.get_close_matches(kind, KINDS, n=1, cutoff=0.3)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise SettingError(
            f"planner kind: found {kind!r}, expected one of {', '.join(KINDS)}, or module:Class{hint}"
        )
    module, _, name = home.partition(":")
    return module, name

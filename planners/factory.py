"""The factory: a planner from the name of its kind and its settings."""

import difflib
import typing
from typing import Any

from joule_errors.user_code import making
from joule_schema.errors import SchemaError
from joule_schema.own_modules import class_of, home_in
from planners.base import Bound, Planner, SettingError
from planners.kinds import KINDS


def settings(kind: str) -> type:
    """The frozen dataclass of the settings that a kind of planner has.

    Raises:
        SettingError: for an unknown kind, with the nearest one, and for a module or a class that cannot be had.
    """
    home = _home(kind)
    _class(kind, home)
    return _class(kind, f"{home}Settings")


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
            module or a class that cannot be had, or that raises where it is made.
    """
    accepted, home = settings(kind), _home(kind)
    module, name = home.split(":")
    what = f"planner {kind}"
    with making(what, module, SettingError):
        types = typing.get_type_hints(accepted)
        given = {name: value for name, value in values.items() if value is not None}
        for one, value in given.items():
            if one not in types:
                near = difflib.get_close_matches(one, types, n=1, cutoff=0.5)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise SettingError(f"{one}: {what} accepts {', '.join(types)}{hint}")
            if types[one] is float and type(value) is int:
                given[one] = float(value)
        planner: Planner = _class(kind, home)(accepted(**given), horizon, low, high, batch)
    if not callable(getattr(planner, "plan", None)):
        raise SettingError(f"{what}: {name} has no method plan")
    return planner


def _home(kind: str) -> str:
    """The module and class of a kind. Raises SettingError for an unknown one."""
    home = home_in(KINDS, kind)
    if home is None:
        near = difflib.get_close_matches(kind, KINDS, n=1, cutoff=0.3)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise SettingError(
            f"planner kind: found {kind!r}, expected one of {', '.join(KINDS)}, or module:Class{hint}"
        )
    return home


def _class(kind: str, home: str) -> type:
    """The class of this name. Raises SettingError where it cannot be had."""
    try:
        return class_of(home)
    except SchemaError as error:
        raise SettingError(f"planner {kind}: {error}") from error

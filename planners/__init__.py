"""Planners: search for the action sequence of least energy.

    planner = planners.make("mppi", horizon=3, low=low, high=high)
    plan = planner.plan(energy)      # energy: [batch samples horizon act] -> [batch samples]
    plan = planner.plan(energy, warm_start=plan.shifted())      # the next decision

`docs/add-a-planner.md` shows how to add one.
"""

import difflib
import typing
from collections.abc import Callable
from typing import Any

from planners.base import Bound, EnergyFn, Plan, PlanError, Planner, SettingError
from planners.cem import CEM, CEMSettings
from planners.gradient import Gradient, GradientSettings
from planners.icem import ICEM, ICEMSettings
from planners.mppi import MPPI, MPPISettings
from planners.random_shooting import RandomShooting, RandomShootingSettings

__all__ = ["KINDS", "EnergyFn", "Plan", "PlanError", "Planner", "SettingError", "make", "settings"]

KINDS: dict[str, tuple[type, Callable[..., Planner]]] = {
    "random_shooting": (RandomShootingSettings, RandomShooting),
    "cem": (CEMSettings, CEM),
    "icem": (ICEMSettings, ICEM),
    "mppi": (MPPISettings, MPPI),
    "gradient": (GradientSettings, Gradient),
}
"""Name -> (settings dataclass, planner). Add an entry to offer a planner of your own."""


def settings(kind: str) -> type:
    """The frozen dataclass of what a kind of planner accepts. Raises SettingError for an unknown kind."""
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, n=1, cutoff=0.3)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise SettingError(f"planner kind: found {kind!r}, expected one of {', '.join(KINDS)}{hint}")
    return KINDS[kind][0]


def make(kind: str, *, horizon: int, low: Bound, high: Bound, batch: int = 1, **values: Any) -> Planner:
    """A planner for `batch` environments at once, over `horizon` decisions in the box [low, high].

    `low` and `high` are tensors [act] (or numbers); they fix the dtype and device of the planner.
    `values` are the settings of `settings(kind)`; None leaves a setting at its default. Raises
    SettingError for an unknown kind or setting (with the nearest name) and for a value out of range.
    """
    accepted = settings(kind)
    names = typing.get_type_hints(accepted)
    given = {name: value for name, value in values.items() if value is not None}
    for name, value in given.items():
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SettingError(f"{name}: planner {kind} accepts {', '.join(names)}{hint}")
        if names[name] is float and type(value) is int:
            given[name] = float(value)
    return KINDS[kind][1](accepted(**given), horizon, low, high, batch)

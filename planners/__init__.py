"""Planners: optimisers of action sequences. Each finds a sequence of low energy.

    planner = planners.make("mppi", horizon=3, low=low, high=high)
    plan = planner.plan(energy)      # energy: [batch samples horizon act] -> [batch samples]
    plan = planner.plan(energy, warm_start=plan.shifted())      # the next decision

`planners.base` has the contract (`Planner`, `Plan`, `EnergyFn`); `planners.kinds` lists the planners, one
module each. `planners.action_box` and `planners.elites` have what several planners share. `planners.oracle`
has the energy under true physics. Importing this package does not import torch; the first use of one of the
names below does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from planners.kinds import KINDS

if TYPE_CHECKING:
    from planners.base import EnergyFn, Plan, PlanError, Planner, SettingError
    from planners.factory import make, settings

__all__ = ["KINDS", "EnergyFn", "Plan", "PlanError", "Planner", "SettingError", "make", "settings"]

_MODULES = {"make": "planners.factory", "settings": "planners.factory"}


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(_MODULES.get(name, "planners.base")), name)
    raise AttributeError(f"module 'planners' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

"""Joule: an embodied-agent simulator with a learned world model.

    import joule
    agent = joule.load("runs/...")
    action, state = agent.predict(obs, state)

Importing this package is instant: torch is imported when an agent is made.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.cost.constraint import Constraint
    from agent.cost.task import Task
    from joule.storage.loading import load

__all__ = ["Guard", "Task", "load"]
_HOMES = {"Guard": "agent.cost.constraint", "Task": "agent.cost.task", "load": "joule.storage.loading"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'joule' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

"""The agent: perception, world model, cost, actor, short-term memory, configurator.

    import agent
    trained = agent.load("runs/...")
    action, state = trained.predict(obs, state)

Importing this package is instant: torch is imported when an agent is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.limits import Guard
    from agent.loading import load, make
    from agent.task import Task

__all__ = ["Guard", "Task", "load", "make"]
_HOMES = {"Guard": "limits", "Task": "task"}


def __getattr__(name: str) -> Any:
    if name in __all__:
        import importlib

        return getattr(importlib.import_module(f"agent.{_HOMES.get(name, 'loading')}"), name)
    raise AttributeError(f"module 'agent' has no attribute {name!r}")

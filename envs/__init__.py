"""Bodies and worlds: one way to make any Gymnasium environment safe, flat, repeatable and resumable.

Importing this package registers Joule's own bodies (`joule/Reach-v0`, ...) and stays light: MuJoCo and the
wrappers are imported when the first environment is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium

from envs.faults.errors import EnvError, EnvFault, RenderError

if TYPE_CHECKING:
    from envs.construction import make
    from envs.safe_env import SafeEnv, EnvSpec

__all__ = ["Body", "EnvError", "EnvFacts", "EnvFault", "RenderError", "make"]

# id -> (entry point, longest episode in steps)
BODIES: dict[str, tuple[str, int]] = {
    "joule/Reach-v0": ("envs.bodies.reach:Reach", 100),
    "joule/Push-v0": ("envs.bodies.push:Push", 200),
    "joule/Cup-v0": ("envs.bodies.cup:Cup", 200),
    "joule/Maze-v0": ("envs.bodies.maze:Maze", 300),
}

for _id, (_entry_point, _steps) in BODIES.items():
    if _id not in gymnasium.registry:
        gymnasium.register(id=_id, entry_point=_entry_point, max_episode_steps=_steps)


# name -> the module it is imported from at first use
_HOMES = {"Body": "safe_env", "EnvFacts": "safe_env", "make": "construction"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(f"envs.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'envs' has no attribute {name!r}")

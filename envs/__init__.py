"""Gymnasium environments made safe, flat and resumable.

    env = envs.make("HalfCheetah-v5", perturb=["gravity=0.5"])
    observation, info = env.reset(seed=1)

`make` finds the environment that an id names and puts the wrappers around it. The result is a `SafeEnv`. It
has flat float32 observations and actions in [-1, 1]. It stops with a sentence where the environment breaks
its contract. It has named readouts, perturbations, and snapshots that restore an episode exactly.

Packages: `bodies` (Joule's own environments), `changes` (perturbations), `faults` (errors, checks of the
contract, MuJoCo's warnings, the watchdog), `readouts` (named physical quantities), `rendering` (OpenGL,
cameras, videos, ghosts), `state` (snapshots, the determinism check). The module `vector` steps several
environments side by side.

Importing this package registers Joule's own environments (`joule/Reach-v0`, ...). It does not import MuJoCo;
the first call of `make` does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import gymnasium

from envs.env_spec import EnvSpec, ObservationPart
from envs.faults.errors import EnvError, EnvFault, RenderError
from joule_schema.model_file import MODEL_ENV

if TYPE_CHECKING:
    from envs.construction import make
    from envs.safe_env import SafeEnv

__all__ = ["EnvError", "EnvFault", "EnvSpec", "ObservationPart", "RenderError", "SafeEnv", "make"]

OWN_ENVS: dict[str, tuple[str, int]] = {
    "joule/Reach-v0": ("envs.bodies.reach:Reach", 100),
    "joule/Push-v0": ("envs.bodies.push:Push", 200),
    "joule/Cup-v0": ("envs.bodies.cup:Cup", 200),
    "joule/Maze-v0": ("envs.bodies.maze:Maze", 300),
    "joule/LongMaze-v0": ("envs.bodies.maze:LongMaze", 600),
}
"""Joule's own environments: id -> (entry point, episode limit in steps)."""

_REGISTERED = OWN_ENVS | {MODEL_ENV: ("envs.bodies.model_file:ModelFile", 500)}

for _id, (_entry_point, _steps) in _REGISTERED.items():
    if _id not in gymnasium.registry:
        gymnasium.register(id=_id, entry_point=_entry_point, max_episode_steps=_steps)

_LAZY = {"SafeEnv": "envs.safe_env", "make": "envs.construction"}
"""Name -> the module that it is imported from at its first use."""


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'envs' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "OWN_ENVS"])

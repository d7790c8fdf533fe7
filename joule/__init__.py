"""Joule: an embodied-agent simulator with a learned world model.

    import joule
    agent = joule.make("joule", env="my_pkg:MyArm-v0", seed=1)      # or "sac", "td3", ...
    agent.learn(50_000)
    agent.save("runs/arm")
    agent = joule.load("runs/arm")                                   # predict() works with SB3's evaluate_policy
    run = joule.train(env="HalfCheetah-v5", steps=50_000)            # run folder, evaluations, curve, film
    joule.evaluate(run); joule.render(run); joule.explain(run, step=60); joule.compare([run])

Importing this package is instant: torch and MuJoCo are imported by the first function that needs them.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

TYPE_CHECKING = False  # that of `typing`, whose import takes longer than all of this one
if TYPE_CHECKING:
    from typing import Any

    from agent.configurator.settings import Config
    from agent.cost.constraint import Constraint
    from agent.cost.goal import Goal
    from agent.cost.task import Task
    from joule.agents import make
    from joule.callbacks.callback import Callback
    from joule.callbacks.wandb_tracker import WandbTracker
    from joule.commands.evaluate import evaluate
    from joule.commands.explain import explain
    from joule.commands.export import export
    from joule.commands.pull import pull
    from joule.commands.push import push
    from joule.commands.render import render
    from joule.commands.train import train
    from joule.comparison import compare
    from joule.environment import make_env
    from joule.goals.run import evaluate_goals
    from joule.storage.loading import load

__all__ = [
    "Callback", "Config", "Constraint", "Goal", "Task", "WandbTracker", "compare", "evaluate", "evaluate_goals",
    "explain", "export", "load", "make", "make_env", "pull", "push", "render", "train",
]  # fmt: skip

_MODULES = {
    "Callback": "joule.callbacks.callback",
    "Config": "agent.configurator.settings",
    "Constraint": "agent.cost.constraint",
    "Goal": "agent.cost.goal",
    "Task": "agent.cost.task",
    "WandbTracker": "joule.callbacks.wandb_tracker",
    "compare": "joule.comparison",
    "evaluate": "joule.commands.evaluate",
    "evaluate_goals": "joule.goals.run",
    "explain": "joule.commands.explain",
    "export": "joule.commands.export",
    "load": "joule.storage.loading",
    "make": "joule.agents",
    "make_env": "joule.environment",
    "pull": "joule.commands.pull",
    "push": "joule.commands.push",
    "render": "joule.commands.render",
    "train": "joule.commands.train",
}
"""Name -> the module that it is imported from at its first use."""
_PACKAGES = ("agent", "envs", "planners", "joule_errors", "joule_schema")
"""What is installed beside this package. The names are common, so a folder of the user may have one of them."""


def _check_packages() -> None:
    """Raises ImportError where another package hides one of those beside this one."""
    from importlib.util import find_spec
    from pathlib import Path

    home = Path(__file__).resolve().parents[1]
    for name in _PACKAGES:
        spec = find_spec(name)
        if spec is None:
            continue
        # A folder without __init__.py has no origin, only places where its modules are.
        origin = spec.origin or next(iter(spec.submodule_search_locations or ()), "")
        own = (home / name / "__init__.py", home / f"{name}.py", home / name)
        if Path(origin).resolve() not in own:
            raise ImportError(
                f"joule: {origin} hides Joule's own package {name!r}; rename it, or run the program from another "
                f"folder (the command `joule` works here, and finds its own {name!r})"
            )


# A command moves the current directory to the end of the path itself, after this import.
if os.path.splitext(os.path.basename(sys.argv[0] if sys.argv else ""))[0] not in ("-m", "joule"):
    _check_packages()


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("joule.storage.provenance").version()
    if name not in _MODULES:
        raise AttributeError(f"module 'joule' has no attribute {name!r}")
    _check_packages()
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return list(__all__)

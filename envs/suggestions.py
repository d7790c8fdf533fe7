"""What a user may have meant by an unknown environment id: the end of the sentence that refuses it."""

from __future__ import annotations

import difflib
import importlib.util
import os
from collections.abc import Iterable, Mapping
from types import ModuleType

import gymnasium
from gymnasium.envs.registration import EnvSpec, find_highest_version, parse_env_id

from joule_errors.user_code import OF_JOULE

DM_CONTROL_TASKS = {
    "acrobot": "swingup swingup_sparse",
    "ball_in_cup": "catch",
    "cartpole": "balance balance_sparse swingup swingup_sparse two_poles three_poles",
    "cheetah": "run",
    "dog": "stand walk trot run fetch",
    "finger": "spin turn_easy turn_hard",
    "fish": "upright swim",
    "hopper": "stand hop",
    "humanoid": "stand walk run run_pure_state",
    "humanoid_CMU": "stand walk run",
    "lqr": "lqr_2_1 lqr_6_2",
    "manipulator": "bring_ball bring_peg insert_ball insert_peg",
    "pendulum": "swingup",
    "point_mass": "easy hard",
    "quadruped": "walk run escape fetch",
    "reacher": "easy hard",
    "stacker": "stack_2 stack_4",
    "swimmer": "swimmer6 swimmer15",
    "walker": "stand walk run",
}
"""Domain -> tasks of dm_control's suite. The suite need not be installed, and its import takes a second."""
_DMC = {f"{d}-{t}".lower(): f"dmc:{d}-{t}" for d, tasks in DM_CONTROL_TASKS.items() for t in tasks.split()}
_MOST = 3
"""Suggestions in a sentence."""


def suggestion(name: str, prefix: str) -> str:
    """The ids nearest to one that no package registers.

    Args:
        name: the id as Gymnasium's registry has it, without a prefix.
        prefix: "dmc" or empty.
    """
    namespace, base, version = parse_env_id(name)
    versions = sorted(
        spec.version
        for spec in gymnasium.registry.values()
        if (spec.namespace, spec.name) == (namespace, base) and spec.version is not None
    )
    if version is not None and versions:
        return f"{base} exists in versions " + ", ".join(f"v{v}" for v in versions)
    if prefix == "dmc":
        suite = [spec for spec in gymnasium.registry.values() if spec.namespace == "dm_control"]
        ids = _nearest(name, _newest(suite))
        close = ["dmc:" + i.removeprefix("dm_control/").removesuffix("-v0") for i in ids]
    elif namespace is None and base.lower() in _DMC:
        close = [_DMC[base.lower()]]
    else:
        close = _nearest(name, _newest(gymnasium.registry.values()) | ({} if version is not None else _DMC))
    if not close:
        if not prefix and namespace is None and base.isidentifier() and importlib.util.find_spec(base):
            return f"a module {base} is here; write {base}:NAME-v0, where NAME-v0 is what it registers"
        return f"no registered id is like it; for an environment of your own write module:{name}"
    meant = "did you mean " + " or ".join(close) + "?"
    # A name of one's own may be like one that Gymnasium has.
    own = (
        not prefix
        and namespace is None
        and base.lower() not in (*_DMC, *_newest(gymnasium.registry.values()))
    )
    return f"{meant} One of your own is module:{name}" if own else meant


def suggestion_of_module(name: str, prefix: str, module: ModuleType, added: Iterable[str]) -> str:
    """What a module registers in place of an id, or how it registers one.

    Args:
        name: the id without the module.
        prefix: the module as the user typed it.
        module: the module, imported.
        added: the ids that its import has registered. Those of an import before that are recognised by their
            entry points.
    """
    package = prefix.partition(".")[0]
    own = [
        spec
        for spec in gymnasium.registry.values()
        if spec.id in added or _module_of(spec).partition(".")[0] == package
    ]
    if near := _nearest(name, _newest(own)):
        return "did you mean " + " or ".join(f"{prefix}:{i}" for i in near) + "?"
    if package in OF_JOULE and (os.path.isdir(package) or os.path.isfile(f"{package}.py")):
        return f"{package} is a package of Joule, which hides one of yours with that name; rename yours"
    imported = _import_of(prefix, module)
    if own:
        ids = [f"{prefix}:{i}" for i in dict.fromkeys(_newest(own).values())]
        more = f" or one of {len(ids) - _MOST} others" if len(ids) > _MOST else ""
        return f"{imported} registers no such id; give {' or '.join(ids[:_MOST])}{more}"
    full = name if parse_env_id(name)[2] is not None else f"{name}-v0"
    call = f'gymnasium.register(id="{full}", entry_point="{prefix}:YourClass", max_episode_steps=...)'
    return f"{imported} registers no such id; add to it {call}"


def _import_of(prefix: str, module: ModuleType) -> str:
    """The beginning of a sentence: where a module comes from."""
    file = getattr(module, "__file__", None)
    if isinstance(file, str):
        return f"{prefix} was imported from {file}, which"
    if folders := list(getattr(module, "__path__", ())):
        return f"{prefix} was imported from the folder {folders[0]}, which has no __init__.py, and"
    return f"{prefix} was imported and"


def _module_of(spec: EnvSpec) -> str:
    """The module of the class or function that makes an environment."""
    entry = spec.entry_point
    return entry.partition(":")[0] if isinstance(entry, str) else str(getattr(entry, "__module__", ""))


def _newest(specs: Iterable[EnvSpec]) -> dict[str, str]:
    """What a user may type, in lower case and without a version -> the id of the newest version."""
    found = {}
    for spec in specs:
        version = find_highest_version(spec.namespace, spec.name)
        stem = f"{spec.namespace}/{spec.name}" if spec.namespace else spec.name
        found[spec.name.lower()] = found[stem.lower()] = spec.id if version is None else f"{stem}-v{version}"
    return found


def _nearest(name: str, known: Mapping[str, str]) -> list[str]:
    namespace, base, _ = parse_env_id(name)  # versions are alike where names are not
    typed = f"{namespace}/{base}" if namespace else base
    near = difflib.get_close_matches(typed.lower(), known, n=2 * _MOST, cutoff=0.6)
    return list(dict.fromkeys(known[key] for key in near))[:_MOST]

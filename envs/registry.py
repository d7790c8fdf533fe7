"""The registry: from the id that a user types to a registered environment, or to a helpful refusal."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import importlib.util
import io
import logging
import os
import re
import sys
import warnings
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec, find_highest_version, parse_env_id

from envs import python_file
from envs.faults.boundary import call
from envs.faults.errors import EnvError, described
from envs.physics import log
from envs.suggestions import suggestion, suggestion_of_module
from joule_errors import Advice
from joule_errors.extras import install_command
from joule_schema.env_id import module_of
from joule_schema.model_file import MODEL_ENV, is_model_file
from joule_schema.own_modules import look_here

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_NAME = re.compile(r"([\w-]+/)?[\w.-]*\w(-v\d+)?")
_ROBOTICS = re.compile(
    r"(PointMaze|AntMaze|Fetch|Hand(Reach|Manipulate)|AdroitHand|FrankaKitchen|ShadowHand)", re.IGNORECASE
)
FOUND_BY_THEMSELVES = ("", "envs", "gymnasium", "gymnasium_robotics", "shimmy")
"""Packages whose ids are found without a module's name."""
_SAID: set[tuple[str, str]] = set()
"""Ids, with the module of the script that registers them, of which it was said that no other process finds them."""
COMPILED = ".mjb"
"""End of the name of a model that MuJoCo has compiled."""
LONGEST_ID = 200
"""Characters."""
FORMS = "NAME-v0, module:NAME-v0, namespace/NAME-v0 or dmc:domain-task"


@dataclass(frozen=True)
class Resolved:
    """A registered environment."""

    spec: EnvSpec
    """Gymnasium's own specification of it."""
    action_repeat: int
    """Simulator frames per decision by default."""


@dataclass(frozen=True)
class ExtraPackages:
    """Packages of an extra, one of which registers ids when it is imported."""

    packages: tuple[str, ...]
    """What must be installed."""
    module: str
    """What registers the ids."""
    name: str
    """Of the extra."""
    before_python: tuple[int, int] | None = None
    """The first version of Python for which they are not there; None where they are for all."""


def resolve(env: str) -> Resolved:
    """Finds the environment that an id names, and imports the package that registers it.

    Args:
        env: an id in one of the `FORMS`.

    Raises:
        EnvError: for a malformed or unknown id (with the nearest ones), and for a package that is missing or
            fails.
    """
    checked_id(env)
    prefix, name = _parts(env)
    before = set(gymnasium.registry)
    module = None if prefix in ("", "dmc") else _import(prefix, env)
    spec = _registered(name)
    if spec is None and (extra := _extra_packages(name)) is not None:
        _need(extra, env)
        _register(extra.module, extra=extra.name, env=env)
        spec = _registered(name)
    if spec is None:
        if module is None:
            raise _unknown(env, suggestion(name, prefix))
        raise _unknown(env, suggestion_of_module(name, prefix, module, set(gymnasium.registry) - before))
    return Resolved(spec, action_repeat=default_action_repeat(spec))


def checked_id(env: str) -> str:
    """Refuses an id that needs no import to be seen to be wrong. Imports neither a package nor a user's module.

    Returns:
        The id, with the newest version where it has none and the environment is registered now: a later release
        may have a newer one.

    Raises:
        EnvError: for a malformed id, a missing package or module, and an id that Gymnasium and Joule would have
            registered. What other packages and modules register is not looked for.
    """
    prefix, name = _parts(env)
    if prefix and prefix != "dmc":
        top = prefix.partition(".")[0]
        look_here()
        if top not in sys.modules and importlib.util.find_spec(top) is None:
            raise _no_module(prefix, top, env)
        return env
    spec = _registered(name)
    if spec is None:
        extra = _extra_packages(name)
        if extra is None:
            raise _unknown(env, suggestion(name, prefix))
        _need(extra, env)
    return env if spec is None or prefix else id_of(spec)


def complete_id(env: str) -> str:
    """An id of a module with the newest version, where it has none; other ids are as `checked_id` gives them.

    Raises:
        EnvError: as `resolve`, which imports the module.
    """
    prefix, name = _parts(env)
    if not prefix or prefix == "dmc" or parse_env_id(name)[2] is not None:
        return env
    return f"{prefix}:{resolve(env).spec.id}"


def id_of(spec: EnvSpec) -> str:
    """The id by which a process that knows nothing of this one finds an environment: with the module that has it.

    Warns, once in a process, of one that is registered by the script that runs, which no other process can import.
    """
    entry: Any = spec.entry_point
    while isinstance(entry, functools.partial):
        entry = entry.func
    module = entry.partition(":")[0] if isinstance(entry, str) else getattr(entry, "__module__", None) or ""
    top = module.partition(".")[0]
    if entry is not None and _is_found(top, spec.id):
        return spec.id
    if top == "__main__" or not _is_importable(module):
        if (spec.id, module) in _SAID:
            return spec.id
        _SAID.add((spec.id, module))
        warnings.warn(
            f"{spec.id} is registered by the script that runs, where no other process finds it: a resume, an "
            "evaluation or a film of the run needs a module that registers it; move it to one, and give "
            f"module:{spec.id}",
            Advice,
            stacklevel=2,
        )
        return spec.id
    return f"{module}:{spec.id}"


def _is_found(top: str, name: str) -> bool:
    """Whether the package `top` registers its ids, such as `name`, without being named."""
    if top in FOUND_BY_THEMSELVES:
        return True
    extra = _extra_packages(name)
    if extra is not None and extra.module.partition(".")[0] == top:
        return True
    return top in _plugins()  # last: reading them takes 65 ms


def _is_importable(module: str) -> bool:
    """Whether another process could import a module by its name."""
    if not _MODULE.fullmatch(module):
        return False
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError, AttributeError):
        return False


@functools.cache
def _plugins() -> frozenset[str]:
    """Packages that Gymnasium imports by itself, which register environments then."""
    found = importlib.metadata.entry_points(group="gymnasium.envs")
    return frozenset(one.module.partition(".")[0] for one in found)


def _parts(env: str) -> tuple[str, str]:
    """The prefix, which may be empty, and the id as the registry has it. Raises EnvError for a malformed id."""
    if not isinstance(env, str) or not env.strip():
        raise EnvError(f"the environment id is empty: give one of the forms {FORMS}")
    if len(env) > LONGEST_ID:
        raise EnvError(f"malformed environment id: {len(env)} characters, {env[:40]!r} and so on")
    prefix, _, name = env.rpartition(":")
    if is_model_file(env):
        raise EnvError(
            f"{env}: is a model file, which --env and joule.make_env take; or make {MODEL_ENV} with "
            f"kwargs={{'model': {env!r}}}"
        )
    if env.lower().endswith(COMPILED):
        raise EnvError(
            f"{env}: is a compiled model; give the MJCF file that it was made from, such as arm.xml"
        )
    if prefix.endswith(python_file.ENDING):
        raise python_file.refusal(prefix, name)
    if not prefix and name.endswith(python_file.ENDING):
        raise python_file.refusal(name)
    if prefix == "dmc":
        # dm_control's suite says domain-task; shimmy registers each as dm_control/domain-task-v0.
        name = f"dm_control/{name}"
    elif prefix and not _MODULE.fullmatch(prefix):
        raise EnvError(f"malformed environment id {env!r}: the forms are {FORMS}")
    if not _NAME.fullmatch(name):
        raise EnvError(f"malformed environment id {env!r}: the forms are {FORMS}")
    return prefix, name


def _unknown(env: str, hint: str) -> EnvError:
    return EnvError(f"unknown environment id {env!r}: {hint}")


def default_action_repeat(spec: EnvSpec | None) -> int:
    """Simulator frames per decision: 2 for dm_control, 1 for all others."""
    return 2 if spec is not None and spec.namespace == "dm_control" else 1


def _registered(name: str) -> EnvSpec | None:
    """The spec called `name` among those registered now, in its newest version if none is given, or None."""
    if name in gymnasium.registry:
        return gymnasium.registry[name]
    namespace, base, version = parse_env_id(name)
    if version is None:
        newest = find_highest_version(namespace, base)
        if newest is not None:
            full = f"{namespace}/{base}" if namespace else base
            return gymnasium.registry[f"{full}-v{newest}"]
    return None


def _extra_packages(name: str) -> ExtraPackages | None:
    """The package that registers ids such as `name` when it is imported, or None."""
    if name.startswith("dm_control/"):
        return ExtraPackages(("shimmy", "dm_control"), "shimmy", "dmc", before_python=(3, 13))
    if _ROBOTICS.match(name):
        return ExtraPackages(("gymnasium_robotics",), "gymnasium_robotics", "robotics")
    if name.startswith("swm/"):
        return ExtraPackages(("stable_worldmodel",), "stable_worldmodel.envs", "swm")
    return None


def _need(extra: ExtraPackages, env: str) -> None:
    """EnvError with the exact command to type if a package of an extra is not installed."""
    missing = [package for package in extra.packages if importlib.util.find_spec(package) is None]
    if not missing:
        return
    if extra.before_python is not None and sys.version_info[:2] >= extra.before_python:
        older = ".".join(map(str, (extra.before_python[0], extra.before_python[1] - 1)))
        raise EnvError(f"{env} needs the package {missing[0]}, which needs Python {older} or older")
    raise EnvError(f"{env} needs the package {missing[0]}, install it with: {install_command(extra.name)}")


def _register(package: str, *, extra: str, env: str) -> None:
    """Imports a package, which registers its ids. Raises EnvError where it fails to import.

    gymnasium-robotics prints news of some of its environments on stderr when it is imported. They go to the log,
    and are shown only where they name this environment.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            gymnasium.register_envs(call(importlib.import_module, package))
    except Exception as error:
        raise EnvError(
            f"{env}: importing {package} {described(error)}; versions that fit together come with: "
            f"{install_command(extra)}"
        ) from error
    for line in said.getvalue().splitlines():
        log.log(logging.WARNING if parse_env_id(env)[1] in line else logging.INFO, "%s: %s", package, line)


def import_module_of(env: str) -> None:
    """Imports the module that an id names, because it may add the encoder or the planner of an agent in it.

    One that cannot be imported is left to whoever makes the environment: an agent acts without it.
    """
    if (module := module_of(env)) is not None:
        with contextlib.suppress(EnvError):
            _import(module, env)


def _import(module: str, env: str) -> ModuleType:
    """Imports the user's module, from the working directory too, as `python file.py` does. Raises EnvError."""
    look_here()
    try:
        return call(importlib.import_module, module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(error.name + ".")):
            raise _no_module(module, error.name, env) from error
        raise EnvError(
            f"{env}: importing {module!r} needs the package {error.name!r}, not installed"
        ) from error
    except Exception as error:
        raise EnvError(f"{env}: importing {module!r} {described(error)}") from error


def _no_module(module: str, missing: str, env: str) -> EnvError:
    """The refusal of a module of which `missing`, itself or a package around it, does not exist."""
    sentence = f"{env}: there is no module {missing!r} on the path or in this folder"
    if "." in missing:
        top = missing.partition(".")[0]
        found, here = getattr(sys.modules.get(top), "__file__", None), os.path.join(os.getcwd(), top)
        if found is not None and os.path.isdir(here) and os.path.dirname(found) != here:
            return EnvError(
                f"{env}: the package {top!r} in {os.path.dirname(found)} hides the one here; rename yours"
            )
        return EnvError(sentence)
    file = missing if "." in module else f"{missing}.py"
    return EnvError(f"{sentence}; run the command in the folder that holds {file}, or install your package")

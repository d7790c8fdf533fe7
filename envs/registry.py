"""The registry: from the id that a user types to a registered environment, or to a helpful refusal."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.metadata
import importlib.util
import io
import logging
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import gymnasium
from gymnasium.envs.registration import EnvSpec, find_highest_version, parse_env_id

from envs.faults.boundary import call
from envs.faults.errors import EnvError, described
from envs.physics import log

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_NAME = re.compile(r"([\w-]+/)?[\w.-]*\w(-v\d+)?")
_ROBOTICS = re.compile(
    r"(PointMaze|AntMaze|Fetch|Hand(Reach|Manipulate)|AdroitHand|FrankaKitchen|ShadowHand)", re.IGNORECASE
)
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


def resolve(env: str) -> Resolved:
    """Finds the environment that an id names, and imports the package that registers it.

    Args:
        env: an id in one of the `FORMS`.

    Raises:
        EnvError: for a malformed or unknown id (with the nearest ones), and for a package that is missing or
            fails.
    """
    if not isinstance(env, str) or not env.strip():
        raise EnvError(f"the environment id is empty: give one of the forms {FORMS}")
    if len(env) > LONGEST_ID:
        raise EnvError(f"malformed environment id: {len(env)} characters, {env[:40]!r} and so on")
    prefix, _, name = env.rpartition(":")
    if prefix == "dmc":
        _need("shimmy", "dm_control", extra="dmc", env=env)
        # dm_control's suite says domain-task; shimmy registers each as dm_control/domain-task-v0.
        name = f"dm_control/{name}"
    elif prefix and not _MODULE.fullmatch(prefix):
        raise EnvError(f"malformed environment id {env!r}: the forms are {FORMS}")
    if not _NAME.fullmatch(name):
        raise EnvError(f"malformed environment id {env!r}: the forms are {FORMS}")
    if prefix and prefix != "dmc":
        _import(prefix, env)
    spec = _find(name, env)
    return Resolved(spec, action_repeat=default_action_repeat(spec))


def default_action_repeat(spec: EnvSpec | None) -> int:
    """Simulator frames per decision: 2 for dm_control, 1 for all others."""
    return 2 if spec is not None and spec.namespace == "dm_control" else 1


def _find(name: str, env: str) -> EnvSpec:
    """The spec called `name`, in its newest version if none is given. Raises EnvError."""
    for attempt in (_registered, _after_optional_imports):
        spec = attempt(name, env)
        if spec is not None:
            return spec
    raise EnvError(f"unknown environment id {env!r}: {_nearest(name, env)}")


def _registered(name: str, env: str) -> EnvSpec | None:
    """The spec called `name` among those registered now, or None."""
    if name in gymnasium.registry:
        return gymnasium.registry[name]
    namespace, base, version = parse_env_id(name)
    if version is None:
        newest = find_highest_version(namespace, base)
        if newest is not None:
            full = f"{namespace}/{base}" if namespace else base
            return gymnasium.registry[f"{full}-v{newest}"]
    return None


def _after_optional_imports(name: str, env: str) -> EnvSpec | None:
    """The spec called `name` after an import of the package that registers it, or None. Raises EnvError."""
    if name.startswith("dm_control/"):
        _need("shimmy", "dm_control", extra="dmc", env=env)
        _register("shimmy", extra="dmc", env=env)
    elif _ROBOTICS.match(name):
        _need("gymnasium_robotics", extra="robotics", env=env)
        _register("gymnasium_robotics", extra="robotics", env=env)
    elif name.startswith("swm/"):
        _need("stable_worldmodel", extra="swm", env=env)
        _register("stable_worldmodel.envs", extra="swm", env=env)
    return _registered(name, env)


def _install(extra: str) -> str:
    """The command that installs an extra, for a checkout by its path."""
    checkout = Path(__file__).parents[1]
    if (checkout / "pyproject.toml").is_file():
        return f'pip install -e "{checkout}[{extra}]"'
    name = importlib.metadata.packages_distributions().get("joule", ["joule"])[0]
    return f'pip install "{name}[{extra}]"'


def _need(*packages: str, extra: str, env: str) -> None:
    """EnvError with the exact command to type if an optional package is not installed."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise EnvError(f"{env} needs the package {package}, install it with: {_install(extra)}")


def _register(package: str, *, extra: str, env: str) -> None:
    """Imports an optional package, which registers its ids. Raises EnvError where it fails to import.

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
            f"{_install(extra)}"
        ) from error
    for line in said.getvalue().splitlines():
        log.log(logging.WARNING if parse_env_id(env)[1] in line else logging.INFO, "%s: %s", package, line)


def _import(module: str, env: str) -> None:
    """Imports the user's module, from the working directory too, as `python file.py` does. Raises EnvError."""
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
    try:
        call(importlib.import_module, module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(error.name + ".")):
            raise EnvError(f"{env}: there is no module {module!r} on the path or in this folder") from error
        raise EnvError(
            f"{env}: importing {module!r} needs the package {error.name!r}, not installed"
        ) from error
    except Exception as error:
        raise EnvError(f"{env}: importing {module!r} {described(error)}") from error


def _nearest(name: str, env: str) -> str:
    """The end of a sentence, with the ids nearest to `name`."""
    namespace, base, version = parse_env_id(name)
    versions = sorted(
        spec.version
        for spec in gymnasium.registry.values()
        if (spec.namespace, spec.name) == (namespace, base) and spec.version is not None
    )
    if version is not None and versions:
        return f"{base} exists in versions " + ", ".join(f"v{v}" for v in versions)
    known = {spec.name.lower() + f"-v{spec.version}": spec.id for spec in gymnasium.registry.values()}
    known |= {spec.id.lower(): spec.id for spec in gymnasium.registry.values()}
    near = difflib.get_close_matches(name.lower(), known, n=4, cutoff=0.6)
    close = list(dict.fromkeys(known[key] for key in near))[:3]
    if env.startswith("dmc:"):
        close = ["dmc:" + c.removeprefix("dm_control/").removesuffix("-v0") for c in close]
    elif ":" in env:  # an id that a module registers is found only through that module
        close = [f"{env.rpartition(':')[0]}:{c}" for c in close]
    if not close:
        return f"no registered id is like it; for an environment of your own write module:{base}"
    return "did you mean " + " or ".join(close) + "?"

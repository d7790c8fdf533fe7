"""The origin of a run: the versions that made it, and whether this user made it."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import os
import platform
import subprocess
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.configurator.settings import Config
from joule.storage.errors import RunError
from joule.storage.files import open_append, why
from joule.storage.reader import read_plain

_LIBRARIES = ("torch", "mujoco", "gymnasium", "numpy", "stable-baselines3", "sb3-contrib", "safetensors")


@functools.cache
def version() -> str:
    """The short commit of the Joule checkout, or the package's version where there is no checkout."""
    root = Path(__file__).resolve().parents[2]
    if (root / ".git").exists():
        try:
            done = subprocess.run(
                ["git", "rev-parse", "--short", "HEAD"],
                cwd=root,
                capture_output=True,
                text=True,
                timeout=10,
                check=True,
            )
            return done.stdout.strip()
        except (OSError, subprocess.SubprocessError):
            pass  # no git, or a checkout that git does not trust: the package's version is used
    distributions = importlib.metadata.packages_distributions().get("joule", [])
    return _installed(distributions[0]) if distributions else "none"


def versions() -> dict[str, str]:
    """The versions on which an exact resume depends, by name. They contain no path and no host name."""
    return {
        "joule": version(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        **{name: _installed(name) for name in _LIBRARIES},
    }


def differences(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The entries that differ between a checkpoint's identity and the present one.

    Returns:
        One text an entry, for example "torch 2.12 -> 2.13".
    """
    found = []
    for name in sorted({*saved, *now}):
        old, new = saved.get(name), now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new)
        elif old != new:
            found.append(f"{name} {old} -> {new}")
    return found


def modules_named(config: Config) -> list[str]:
    """The modules that the config's environment imports: `my_pkg` for `my_pkg:Arm-v0`."""
    module, colon, _ = config.env.partition(":")
    return [module] if colon and module != "dmc" else []


def register(identifier: str, config: Config) -> None:
    """Adds a new run and its modules to this user's list of runs. A run without modules needs no entry.

    Warns when the list cannot be written.

    Args:
        identifier: the run's id.
        config: the run's settings.
    """
    modules = modules_named(config)
    path = _registry()
    if not modules:
        return
    try:
        if path is None:
            raise OSError("there is no home folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps([identifier, module]) + "\n" for module in modules)
        with os.fdopen(open_append(path), "a", encoding="utf-8") as file:
            file.write(lines)
    except OSError as error:
        flags = " ".join(f"--trust-module {module}" for module in modules)
        warnings.warn(
            f"this run is not on your list of runs ({why(error)}): opening it again will need {flags}",
            RuntimeWarning,
            stacklevel=3,
        )


def check_trust(folder: Path, config: Config, identifier: str, trust_modules: Sequence[str]) -> None:
    """Checks that the modules of a run's environment may be imported.

    Args:
        folder: the run folder.
        config: the run's settings.
        identifier: the run's id.
        trust_modules: modules that the user trusts for this run.

    Raises:
        RunError: for a module that is neither trusted nor on this user's list for this run.
    """
    for module in modules_named(config):
        # The message contains an option to copy: the name must not hide a second word or a terminal code.
        if not all(part.isidentifier() for part in module.split(".")):
            raise RunError(f"{folder}: env {config.env!r} names no module that could be imported")
        if module not in trust_modules and not _registered(identifier, module):
            raise RunError(
                f"{folder}: its environment {config.env} would import the module {module}; "
                f"if you trust it, add --trust-module {module}"
            )


def _registered(identifier: str, module: str) -> bool:
    path = _registry()
    if path is None:
        return False
    try:
        lines = read_plain(path, 64 << 20).decode("utf-8", "replace").splitlines()
    except OSError:
        return False  # without the list, only modules that the user names are trusted
    return json.dumps([identifier, module]) in lines


def _registry() -> Path | None:
    """The file with this user's list of runs; None where the user has no home folder."""
    state = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(state):
        return Path(state) / "joule" / "runs"
    try:
        return Path.home() / ".local" / "state" / "joule" / "runs"
    except RuntimeError:
        return None


def _installed(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "none"

"""Where a run comes from: the versions that made it, and whether this user made it on this machine."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import os
import platform
import subprocess
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.configurator.settings import Config
from joule.storage.files import read_plain, why

_LIBRARIES = ("torch", "mujoco", "gymnasium", "numpy", "stable-baselines3", "sb3-contrib", "safetensors")


@functools.cache
def version() -> str:
    """The short commit of the Joule checkout, or the package's version where there is none."""
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
            pass  # no git on this machine, or a checkout it does not trust: the package's version will do
    return _installed("joule")


def versions() -> dict[str, str]:
    """Versions that decide whether a resumed run can be bit-exact. Names no path and no machine."""
    return {
        "joule": version(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        **{name: _installed(name) for name in _LIBRARIES},
    }


def differences(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between a checkpoint's identity and this run's, e.g. "torch 2.12 -> 2.13"."""
    found = []
    for name in sorted({*saved, *now}):
        old, new = saved.get(name), now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new)
        elif old != new:
            found.append(f"{name} {old} -> {new}")
    return found


def modules_named(config: Config) -> list[str]:
    """The modules that making this config's environment would import: `my_pkg` of `my_pkg:Arm-v0`."""
    module, colon, _ = config.env.partition(":")
    return [module] if colon and module != "dmc" else []


def register(identifier: str, config: Config) -> None:
    """Remembers that this user made this run with these modules; a run that names none needs no entry."""
    modules = modules_named(config)
    path = _registry()
    if not modules:
        return
    try:
        if path is None:
            raise OSError("this user has no home folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps([identifier, module]) + "\n" for module in modules)
        with path.open("a", encoding="utf-8") as file:
            file.write(lines)
    except OSError as error:
        flags = " ".join(f"--trust-module {module}" for module in modules)
        warnings.warn(
            f"this run is not on your list of runs ({why(error)}): opening it again will need {flags}",
            RuntimeWarning,
            stacklevel=3,
        )


def registered(identifier: str, module: str) -> bool:
    path = _registry()
    if path is None:
        return False
    try:
        lines = read_plain(path, 64 << 20).decode("utf-8", "replace").splitlines()
    except OSError:
        return False  # no list: nothing is trusted without the user's word
    return json.dumps([identifier, module]) in lines


def _registry() -> Path | None:
    """This user's list of runs made here, or None where the user has no home."""
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

"""The versions that make a run, and on which its exact resume depends."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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


def _installed(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "none"

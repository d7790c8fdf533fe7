"""The command that installs an extra of Joule, for errors that name it."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path


def install_command(extra: str) -> str:
    """The command that installs an extra, for a checkout by its path."""
    checkout = Path(__file__).parents[1]
    if (checkout / "pyproject.toml").is_file():
        return f'pip install -e "{checkout}[{extra}]"'
    name = importlib.metadata.packages_distributions().get("joule", ["joule"])[0]
    return f'pip install "{name}[{extra}]"'

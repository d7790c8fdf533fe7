"""Optional libraries, and what is said where one is not installed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from agent.errors import ConfigError
from joule_errors.extras import install_command


def needed(module: str, extra: str, option: str) -> Any:
    """An optional library.

    Args:
        module: its name.
        extra: of Joule, which installs it.
        option: of the command, or the command itself, which needs it.

    Raises:
        ConfigError: where it is not installed; the sentence has the command that installs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise ConfigError(
            f"{option}: needs {module}, which is not installed; {install_command(extra)}"
        ) from None

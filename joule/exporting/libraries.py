"""The libraries of the extra `export`."""

from __future__ import annotations

import importlib.util

from agent.errors import ConfigError

LIBRARIES = ("onnx", "onnxruntime")


def check_libraries() -> None:
    """Raises ConfigError where one of them is not installed, with the command that installs it."""
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        verb, them = ("is", "it") if len(missing) == 1 else ("are", "them")
        raise ConfigError(
            f"export: {' and '.join(missing)} {verb} not installed; install {them} with "
            f"`pip install {' '.join(missing)}`"
        )

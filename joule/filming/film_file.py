"""The file of a film: which names it may have."""

from __future__ import annotations

from pathlib import Path

from agent.errors import ConfigError
from joule.storage.files import why
from joule.storage.links import check_plain

SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".mpg", ".mpeg", ".wmv", ".h264")
"""Ends of the names of films that `envs.rendering.video` can write."""


def check_film(path: Path) -> None:
    """Refuses a file that no film can be written to, before an agent is loaded or plays.

    Raises:
        ConfigError: for a folder, a link and the like, and for a name with another end than those of SUFFIXES.
    """
    try:
        check_plain(path)
    except OSError as error:
        raise ConfigError(f"--out: {path} cannot be written: {why(error)}") from error
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"--out: {path} is no film; give a name that ends in {', '.join(SUFFIXES)}")

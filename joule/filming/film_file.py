"""The file of a film: which names it may have, and where it can be written."""

from __future__ import annotations

import os
from pathlib import Path

from agent.errors import ConfigError
from joule.storage.files import why
from joule.storage.links import check_plain

SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".mpg", ".mpeg", ".wmv", ".h264")
"""Ends of the names of films that `envs.rendering.video` can write."""


def check_film(path: Path) -> None:
    """Refuses a file that no film can be written to, before an agent is loaded or plays.

    Raises:
        ConfigError: for a folder, a link and the like, for a name with another end than those of SUFFIXES, and as
            `check_folder`.
    """
    try:
        check_plain(path)
    except OSError as error:
        raise ConfigError(f"--out: {path} cannot be written: {why(error)}") from error
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"--out: {path} is no film; give a name that ends in {', '.join(SUFFIXES)}")
    check_folder(path.parent)


def check_folder(folder: Path) -> None:
    """Refuses a folder in which no film can be written; one that is missing will be made, with those around it.

    Raises:
        ConfigError: for such a folder.
    """
    there = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise ConfigError(
            f"--out: {folder} cannot be written; give a file in a folder that can be written to"
        )

"""The settings of a run before anything is imported that takes long, or reads its number of threads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from joule.storage.errors import RunError
from joule.storage.json_files import read_object
from joule.storage.links import CONFIG, run_around
from joule.storage.shipped import folder_of


def plain_settings(path: str | Path) -> dict[str, Any]:
    """What `config.json` of a run holds, of which nothing is checked.

    Args:
        path: a run folder, one of its checkpoints, or the address of a shipped agent.

    Raises:
        RunError: where it cannot be read.
    """
    path = folder_of(path) or Path(path)
    if not os.path.isdir(path):
        raise RunError(f"{path}: is not a run folder")
    folder = path if (path / CONFIG).exists() else run_around(path)
    return read_object(folder / CONFIG)

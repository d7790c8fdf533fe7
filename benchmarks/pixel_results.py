"""benchmarks/results/pixels.json: what is measured of agents that observe pictures, by two commands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.training import RESULTS

RESULT = RESULTS / "pixels.json"


def read(path: Path = RESULT) -> dict[str, Any]:
    """What the file holds; nothing where it does not exist."""
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def update(figures: Mapping[str, Any], path: Path = RESULT) -> dict[str, Any]:
    """Writes figures into the file; those of the other command stay as they are.

    Args:
        figures: by key.
        path: of the file.

    Returns:
        All that the file holds now.
    """
    record = {**read(path), **figures}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    return record

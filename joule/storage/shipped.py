"""Trained agents that come with Joule, by addresses such as `joule://halfcheetah`.

Each is a run folder in its shared form (see `joule.sharing`) among the files of the package, where nothing is
written: what a command makes of it goes to `runs/<name>`.
"""

from __future__ import annotations

import os
from pathlib import Path

from joule.storage.errors import RunError
from joule.storage.links import RUN_FILE

SHIPPED = Path(__file__).resolve().parents[1] / "shipped"
_SCHEME = "joule:"
RUNS = Path("runs")
"""The parent of run folders that were given no path, and of what commands make of shipped agents."""
MOST_NAMED = 3
"""Runs at most that a sentence names."""


def names() -> list[str]:
    """The names of the agents that come with Joule."""
    return sorted(entry.parent.name for entry in SHIPPED.glob(f"*/{RUN_FILE}"))


def address(name: str) -> str:
    """The address of a shipped agent."""
    return f"{_SCHEME}//{name}"


def folder_of(path: str | os.PathLike[str]) -> Path | None:
    """The run folder that an address names; None for any other path.

    Args:
        path: an address, or a path. `Path` makes one slash of the two, which is an address as well.

    Raises:
        RunError: for an address that names no shipped agent, or a part of one.
    """
    scheme, *rest = Path(path).parts or ("",)
    if scheme != _SCHEME:
        return None
    if len(rest) > 1 and rest[0] in names():
        raise RunError(
            f"{_SCHEME}//{'/'.join(rest)}: an agent that comes with Joule has no checkpoints to name; give "
            f"{address(rest[0])}"
        )
    if len(rest) != 1 or rest[0] not in names():
        there_are = ", ".join(map(address, names()))
        raise RunError(
            f"{_SCHEME}//{'/'.join(rest)}: is no agent that comes with Joule; there are {there_are}"
        )
    return SHIPPED / rest[0]


def outputs_of(folder: Path) -> Path:
    """Where commands write what they make of the run in a folder: there, or `runs/<name>` for a shipped agent."""
    return RUNS / folder.name if folder.parent == SHIPPED else folder


def shown(folder: Path) -> str:
    """What a message calls the run in a folder: the address of a shipped agent, whose path nobody typed."""
    return address(folder.name) if folder.parent == SHIPPED else str(folder)


def instead_of(missing: Path) -> str:
    """What may be meant by a run folder that does not exist, as the end of a sentence.

    A trained agent that comes with Joule and has this name, else the newest runs in `runs`, else how one is made.
    """
    if missing.name in names():
        return f"; give {address(missing.name)} for the agent that comes with Joule"
    try:
        made = [entry.parent for entry in RUNS.glob(f"*/{RUN_FILE}")]
        newest = sorted(made, key=lambda run: (run.stat().st_mtime, run.name), reverse=True)[:MOST_NAMED]
    except OSError:
        newest = []
    if newest:
        return f"; the newest runs here are {', '.join(map(str, newest))}"
    return f"; joule train --out {missing} makes one"

"""The files of a run's shared form, their largest sizes, and which names a repository may give to files."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from joule.storage.links import CONFIG, RUN_FILE
from joule.storage.manifest import LIMITS
from joule.storage.reader import COMMAND_BYTES, EVALUATIONS_BYTES, JSON_BYTES
from joule.storage.run_entries import CHECKPOINTS, COMMAND, CURVE, VERSIONS
from joule.storage.run_logs import EVALUATIONS
from joule_errors import Refused

CARD, PROVENANCE = "README.md", "provenance.json"
CARD_BYTES = 1 << 20
CURVE_BYTES = 4 << 20
_LARGEST = {
    RUN_FILE: JSON_BYTES,
    CONFIG: JSON_BYTES,
    VERSIONS: JSON_BYTES,
    PROVENANCE: JSON_BYTES,
    COMMAND: COMMAND_BYTES,
    EVALUATIONS: EVALUATIONS_BYTES,
    CURVE: CURVE_BYTES,
    CARD: CARD_BYTES,
}
_STEP = re.compile(rf"{CHECKPOINTS}/step-(?:0|[1-9][0-9]{{0,15}})")


class SharingError(Refused):
    """A run that cannot be shared, or a repository that cannot be used; the message is one sentence."""


def largest(name: str) -> int | None:
    """The most bytes that a file of a shared form may hold; None for a name that no such file has."""
    folder, _, file = name.rpartition("/")
    if _STEP.fullmatch(folder):
        return LIMITS.get(file)
    return _LARGEST.get(name)


def is_of_run(name: str) -> bool:
    """Whether a file of a repository is of a shared run, and not of the people to whom the repository belongs."""
    return name.startswith(f"{CHECKPOINTS}/") or (name != CARD and name in _LARGEST)


def check_name(source: str, name: str) -> None:
    """Checks that a name from a repository lies in the folder that it is downloaded to.

    Args:
        source: begins the message.
        name: with slashes.

    Raises:
        SharingError: for an absolute path, one with `..`, and one that another system would take for either.
    """
    path = PurePosixPath(name)
    outside = path.is_absolute() or ".." in path.parts or not path.parts
    if outside or "\\" in name or "\0" in name or ":" in name:
        raise SharingError(
            f"{source}: its file {name!r:.120} would lie outside of the run folder; nothing is kept"
        )

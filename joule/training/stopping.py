"""Which errors end a run with a sentence, and which are defects."""

from __future__ import annotations

from joule.storage.errors import CheckpointError, ReplayLogError, RunError
from joule_errors import Stopped
from joule_errors.memory import is_short

STOPPING = (Stopped, FloatingPointError, CheckpointError, ReplayLogError, RunError)
"""Errors that a run may meet; any other one is a defect."""


def why_stopped(error: Exception) -> str | None:
    """The cause in words when an error is one that a run may meet, or None when it is a defect."""
    if isinstance(error, STOPPING):
        return str(error)
    if is_short(error):
        return "memory is short"
    return None

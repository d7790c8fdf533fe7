"""Folders of the runs that a benchmark trains for itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from benchmarks.training import slug


def folder_name(title: str, words: Iterable[str]) -> str:
    """The name of a folder: a title without its signs, and a hash of all words that make the run another one."""
    unique = hashlib.sha256(" ".join(words).encode()).hexdigest()[:8]
    return f"{slug(title)}-{unique}"

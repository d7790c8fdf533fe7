"""Fixtures of the storage tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def no_flush() -> Iterator[None]:
    """Skips flushing: it is slow, and only `UnflushedDisk` tests its order."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("joule.storage.files.os.fsync", lambda handle: None)
        yield


@pytest.fixture(autouse=True)
def _own_list_of_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the user's list of runs out of the home folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

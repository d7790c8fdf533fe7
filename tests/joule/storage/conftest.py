"""Fixtures of the storage tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def no_flush() -> Iterator[None]:
    """Skips flushing: it is slow, and only `UnflushedDisk` tests its order."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("joule.storage.files.os.fsync", lambda handle: None)
        yield

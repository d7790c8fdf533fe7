"""What tests of goals share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Path:
    """A run folder that may be written to."""
    return Path(shutil.copytree(trained_run, tmp_path / "run"))

"""The runs that a benchmark trains for itself: `train.py` in a process of its own, begun or gone on with."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def command(folder: Path, steps: int, new: Sequence[str], always: Sequence[str] = ()) -> list[str]:
    """What trains the run in `folder` to `steps` frames: on from its last checkpoint, or, where there is none,
    anew with the options `new`. The options `always` are given in both cases."""
    train = [sys.executable, str(ROOT / "train.py"), "--no-video", "--steps", str(steps), *always]
    if (folder / "checkpoints").exists():
        return [*train, "--resume", str(folder)]
    shutil.rmtree(folder, ignore_errors=True)  # died before its first checkpoint
    folder.parent.mkdir(parents=True, exist_ok=True)
    return [*train, "--out", str(folder), *new]

"""The runs that a benchmark trains for itself: `train.py` in a process of its own, begun or gone on with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def command(folder: Path, steps: int, new: Sequence[str], always: Sequence[str] = ()) -> list[str]:
    """What trains the run in `folder` to `steps` frames: on from its last checkpoint, or, where there is none,
    anew with the options `new`. The options `always` are given in both cases."""
    train = [sys.executable, str(ROOT / "train.py"), "--no-video", "--steps", str(steps), *always]
    if (folder / "checkpoints").exists():
        return [*train, "--resume", str(folder)]
    shutil.rmtree(folder, ignore_errors=True)  # died before its first checkpoint
    folder.parent.mkdir(parents=True, exist_ok=True)
    return [*train, "--out", str(folder), *new]


@dataclass(frozen=True)
class Training:
    """A run that is wanted: where, how long, with which options anew, and which in any case."""

    folder: Path
    steps: int
    new: tuple[str, ...]
    always: tuple[str, ...] = ()

    @property
    def log(self) -> Path:
        """What `train.py` says goes here."""
        return self.folder.with_name(self.folder.name + ".log")


def trained(wanted: Training) -> bool:
    """Trains a run, or trains it on; a finished one is not trained again. Returns whether it got to its end."""
    train = command(wanted.folder, wanted.steps, wanted.new, wanted.always)
    with wanted.log.open("a") as log:
        return not subprocess.run(
            train, check=False, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"}
        ).returncode


def all_trained(wanted: Sequence[Training], workers: int = 2) -> list[Path]:
    """Trains runs, some side by side. Returns their folders. Raises SystemExit, naming the logs of those that failed."""
    with ThreadPoolExecutor(workers) as pool:
        ended = list(pool.map(trained, wanted))
    if failed := [str(one.log) for one, well in zip(wanted, ended, strict=True) if not well]:
        raise SystemExit(f"training did not get to its end: see {', '.join(failed)}")
    return [one.folder for one in wanted]


def slug(text: str) -> str:
    """A text as the name of a folder."""
    return "-".join("".join(c if c.isalnum() else " " for c in text).split())

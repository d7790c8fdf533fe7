"""The runs that a benchmark trains for itself: the train command in a process of its own, resumable."""

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
RUNS = ROOT / "runs"
RESULTS = ROOT / "benchmarks" / "results"


def command(folder: Path, steps: int, new: Sequence[str], always: Sequence[str] = ()) -> list[str]:
    """The command that trains a run to a budget. It resumes the run where there is a checkpoint.

    Args:
        folder: the run folder; one without a checkpoint is removed.
        steps: budget in environment frames.
        new: options of a new run.
        always: options of a new and of a resumed run.
    """
    train = [sys.executable, str(ROOT / "train.py"), "--no-video", "--steps", str(steps), *always]
    if (folder / "checkpoints").exists():
        return [*train, "--resume", str(folder)]
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return [*train, "--out", str(folder), *new]


def single_thread() -> dict[str, str]:
    """The environment variables of a process that computes on one thread."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class TrainingRun:
    """A run that a benchmark needs."""

    folder: Path
    steps: int
    """Budget in environment frames."""
    new: tuple[str, ...]
    """Options of a new run."""
    always: tuple[str, ...] = ()
    """Options of a new and of a resumed run."""

    @property
    def log(self) -> Path:
        """The file with the output of the command."""
        return self.folder.with_name(self.folder.name + ".log")


def train(run: TrainingRun) -> bool:
    """Trains a run, or resumes it. Returns whether it reached its budget."""
    words = command(run.folder, run.steps, run.new, run.always)
    with run.log.open("a") as log:
        done = subprocess.run(words, check=False, stdout=log, stderr=log, env=single_thread())
    return done.returncode == 0


def train_all(runs: Sequence[TrainingRun], workers: int = 2) -> list[Path]:
    """Trains runs, `workers` at a time, and returns their folders.

    Raises:
        SystemExit: where a run does not reach its budget; the message names its log.
    """
    with ThreadPoolExecutor(workers) as pool:
        finished = list(pool.map(train, runs))
    if failed := [str(run.log) for run, done in zip(runs, finished, strict=True) if not done]:
        raise SystemExit(f"training did not reach its budget: see {', '.join(failed)}")
    return [run.folder for run in runs]


def slug(text: str) -> str:
    """A text as the name of a folder: letters, digits and hyphens."""
    return "-".join("".join(c if c.isalnum() else " " for c in text).split())

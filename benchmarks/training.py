"""The runs that a benchmark trains for itself: trials of a sweep on this machine, resumable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.run_settings import refuse_others
from joule.cli import signals
from joule.escaping import terminal
from joule.sweeping.display import Display
from joule.sweeping.job import Job
from joule.sweeping.local import LocalProcesses
from joule.sweeping.progress import Standings
from joule.sweeping.session import Listed, Sweep, failures
from joule.sweeping.trial import Trial

ROOT = Path(__file__).resolve().parents[1]
RUNS = ROOT / "runs"
RESULTS = ROOT / "benchmarks" / "results"


@dataclass(frozen=True)
class TrainingRun:
    """A run that a benchmark needs; a trial of a sweep."""

    folder: Path
    steps: int
    """Budget in environment frames."""
    new: tuple[str, ...]
    """Options of a new run."""
    always: tuple[str, ...] = ()
    """Options of a new and of a resumed run."""
    error: str = ""
    """See `joule.sweeping.trial.Trial`."""

    @property
    def name(self) -> str:
        """The run folder, which no other run has."""
        return str(self.folder)

    @property
    def title(self) -> str:
        """The run folder as a person names it."""
        inside = self.folder.is_relative_to(RUNS)
        return terminal(str(self.folder.relative_to(RUNS) if inside else self.folder))

    @property
    def log(self) -> Path:
        """The file with the output of the command."""
        return self.folder.with_name(self.folder.name + ".log")

    @property
    def result(self) -> Path:
        """Its evaluations stay where they are."""
        return self.folder / "evaluations.csv"

    @property
    def given(self) -> Mapping[str, Any]:
        """See `joule.sweeping.trial.Trial`: no results are collected from it."""
        return {}

    def job(self) -> Job:
        """The command that trains the run to its budget."""
        common = ("--no-video", "--steps", str(self.steps), *self.always)
        return Job(
            folder=str(self.folder), log=str(self.log), new=(*common, *self.new), resumed=common,
            directory=str(ROOT),
        )  # fmt: skip


def train(
    trials: Sequence[Trial], workers: int = 2, collect: Callable[[Trial], None] = lambda trial: None
) -> list[Trial]:
    """Trains runs, `workers` at a time, and shows how far they are. Returns those without their budget.

    Args:
        trials: the runs. Finished ones are not trained, and interrupted ones are resumed.
        workers: runs at a time.
        collect: copies the evaluations of a run; called while it trains and at its end.

    Raises:
        Refused: where one of the folders has a run with other settings.
        SystemExit: where a signal has ended the runs, after their checkpoints.
    """
    for trial in trials:
        refuse_others(trial)
    standings = Standings()
    with LocalProcesses(workers) as backend, Display(standings) as display:
        sweep = Sweep(Listed(trials), backend, display, standings, collect)
        sweep.run()
    if sweep.stop.number is not None:
        raise SystemExit(signals.exit_code(sweep.stop.number))
    return [standing.trial for standing in failures(standings)]


def train_all(runs: Sequence[TrainingRun], workers: int = 2) -> list[Path]:
    """Trains runs, `workers` at a time, and returns their folders.

    Raises:
        Refused: as `train`.
        SystemExit: where a run does not reach its budget; the message names its log.
    """
    if failed := [str(run.log) for run in train(runs, workers)]:
        raise SystemExit(f"training did not reach its budget: see {', '.join(failed)}")
    return [run.folder for run in runs]


def env_folder(env: str) -> str:
    """An environment as the name of a folder of results."""
    return env.replace(":", "-").replace("/", "-")


def slug(text: str) -> str:
    """A text as the name of a folder: letters, digits and hyphens."""
    return "-".join("".join(c if c.isalnum() else " " for c in text).split())

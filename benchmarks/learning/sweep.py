"""Trains agents on tasks with several seeds, two runs at a time, and collects their evaluations.

    python benchmarks/learning/sweep.py --suite gymnasium --agents joule sac --envs HalfCheetah-v5 \\
        --seeds 1 2 --steps 50000

It is `joule sweep` for the committed results. Each run is the train command in a process of its own, on one thread.
When the command is given again, it resumes interrupted runs and skips finished ones; a run folder with other settings is
refused. While a run trains, its evaluations are copied to benchmarks/results/<suite>/<agent>/<env>/seed<k>.csv. The suites
dmc, gymnasium and joule hold runs with default settings only; with --settings, choose another suite, whose name says what
differs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import raw_rows, training
from benchmarks.refusals import exit_code
from benchmarks.run_settings import refuse_others
from benchmarks.training import RESULTS, ROOT, RUNS, TrainingRun, env_folder
from joule.sweeping.job import Job as TrialJob
from joule.sweeping.session import collected
from joule.sweeping.trial import Trial

DEFAULT_SUITES = ("dmc", "gymnasium", "joule")
"""Suites whose runs have default settings."""


@dataclass(frozen=True)
class Job:
    """One run of the sweep; a `Trial`."""

    suite: str
    agent: str
    env: str
    seed: int
    steps: int
    settings: tuple[str, ...]
    """Further options of the train command."""
    tree: Path = RESULTS
    """The tree of results that its evaluations are copied to."""
    error: str = ""
    """See `Trial`."""

    @property
    def env_folder(self) -> str:
        """The environment as the name of a folder."""
        return env_folder(self.env)

    @property
    def run(self) -> TrainingRun:
        """The run in its folder."""
        folder = RUNS / "sweep" / self.suite / self.agent / self.env_folder / f"seed{self.seed}"
        new = ("--agent", self.agent, "--env", self.env, "--seed", str(self.seed), *self.settings)
        return TrainingRun(folder, self.steps, new)

    @property
    def name(self) -> str:
        """See `Trial`."""
        return self.run.name

    @property
    def title(self) -> str:
        """See `Trial`."""
        return f"{self.suite}: {self.agent} {self.env} seed {self.seed}"

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.run.folder

    @property
    def log(self) -> Path:
        """See `Trial`."""
        return self.run.log

    @property
    def result(self) -> Path:
        """The file that its evaluations are copied to."""
        return self.tree / self.suite / self.agent / self.env_folder / f"seed{self.seed}.csv"

    @property
    def given(self) -> Mapping[str, Any]:
        """See `Trial`: a suite of the benchmarks is named after what it is."""
        return {}

    def job(self) -> TrialJob:
        """See `Trial`."""
        return self.run.job()

    def finished(self) -> bool:
        """Whether the collected evaluations reach the budget."""
        rows = raw_rows.read(self.result)
        return bool(rows) and rows[-1]["agent"] == self.agent and int(rows[-1]["frames"]) >= self.steps


def execute(
    jobs: Sequence[Job], workers: int = 2, collect: Callable[[Trial], None] = collected
) -> list[Trial]:
    """Trains the runs whose evaluations do not reach their budget. Returns those that still do not.

    Args:
        jobs: the runs.
        workers: runs at a time.
        collect: copies the evaluations of a run; called while it trains and at its end.

    Raises:
        Refused: where the folder of a run, finished or not, has one with other settings.
    """
    for job in (job for job in jobs if job.finished()):
        refuse_others(job)
        print(f"finished before: {job.result.relative_to(ROOT)}", flush=True)
    return training.train([job for job in jobs if not job.finished()], workers, collect)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suite", required=True, help="name of the folder of results")
    parser.add_argument("--agents", nargs="+", required=True)
    parser.add_argument("--envs", nargs="+", required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--steps", type=int, required=True, help="budget of each run in frames")
    parser.add_argument("--workers", type=int, default=2, help="runs at a time")
    parser.add_argument(
        "--settings", nargs=argparse.REMAINDER, default=[], help="further options of train; must come last"
    )
    options = parser.parse_args()
    if options.settings and options.suite in DEFAULT_SUITES:
        parser.error(
            f"--suite {options.suite} holds runs with default settings; name another with --settings"
        )
    jobs = [
        Job(options.suite, agent, env, seed, options.steps, tuple(options.settings))
        for seed in options.seeds
        for env in options.envs
        for agent in options.agents
    ]
    return int(bool(execute(jobs, options.workers)))


if __name__ == "__main__":
    sys.exit(exit_code(main))

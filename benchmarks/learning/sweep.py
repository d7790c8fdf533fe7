"""Trains agents on tasks with several seeds, two runs at a time, and collects their evaluations.

    python benchmarks/learning/sweep.py --suite gymnasium --agents joule sac --envs HalfCheetah-v5 \\
        --seeds 1 2 --steps 50000

Each run is the train command in a process of its own, on one thread. When the command is given again, it resumes
interrupted runs and skips finished ones. While a run trains, its evaluations are copied to
benchmarks/results/<suite>/<agent>/<env>/seed<k>.csv. The suites dmc, gymnasium and joule hold runs with default
settings only; with --settings, choose another suite, whose name says what differs.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks import raw_rows, training
from benchmarks.training import RESULTS, ROOT, RUNS

DEFAULT_SUITES = ("dmc", "gymnasium", "joule")
"""Suites whose runs have default settings."""
COLLECT_SECONDS = 5.0
"""Seconds between two copies of the evaluations."""


@dataclass(frozen=True)
class Job:
    """One run of the sweep."""

    suite: str
    agent: str
    env: str
    seed: int
    steps: int
    settings: tuple[str, ...]
    """Further options of the train command."""
    tree: Path = RESULTS
    """The tree of results that its evaluations are copied to."""

    @property
    def env_folder(self) -> str:
        """The environment as the name of a folder."""
        return self.env.replace(":", "-").replace("/", "-")

    @property
    def folder(self) -> Path:
        """The run folder."""
        return RUNS / "sweep" / self.suite / self.agent / self.env_folder / f"seed{self.seed}"

    @property
    def result(self) -> Path:
        """The file that its evaluations are copied to."""
        return self.tree / self.suite / self.agent / self.env_folder / f"seed{self.seed}.csv"

    def command(self) -> list[str]:
        """The command that starts or resumes the run."""
        new = ["--agent", self.agent, "--env", self.env, "--seed", str(self.seed), *self.settings]
        return training.command(self.folder, self.steps, new)

    def finished(self) -> bool:
        """Whether the collected evaluations reach the budget."""
        rows = raw_rows.read(self.result)
        return bool(rows) and rows[-1]["agent"] == self.agent and int(rows[-1]["frames"]) >= self.steps


def collect(job: Job) -> None:
    """Copies the evaluations of a run to the results, unless those hold a longer run."""
    source = job.folder / "evaluations.csv"
    if len(raw_rows.read(source)) >= max(len(raw_rows.read(job.result)), 1):
        job.result.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, job.result)


def execute(job: Job, collect: Callable[[Job], None] = collect) -> int:
    """Trains one run to its budget and returns the exit code.

    Args:
        job: the run.
        collect: copies its evaluations; called while the run trains and at its end.
    """
    if job.finished():
        print(f"finished before: {job.result.relative_to(ROOT)}", flush=True)
        return 0
    job.folder.parent.mkdir(parents=True, exist_ok=True)
    log = job.folder.parent / f"seed{job.seed}.log"
    with log.open("a") as output:
        process = subprocess.Popen(
            job.command(), cwd=ROOT, env=training.single_thread(), stdout=output, stderr=subprocess.STDOUT
        )
        while process.poll() is None:
            time.sleep(COLLECT_SECONDS)
            collect(job)
    collect(job)
    print(f"exit {process.returncode}: {job.agent} {job.env} seed {job.seed} ({log})", flush=True)
    return process.returncode


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
    with ThreadPoolExecutor(options.workers) as pool:
        codes = list(pool.map(execute, jobs))
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())

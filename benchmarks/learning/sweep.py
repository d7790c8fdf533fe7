"""Runs agents on tasks over seeds, two at a time, resumable, and collects the protocol's CSVs.

    python benchmarks/sweep.py --suite gymnasium --agents joule sac --envs HalfCheetah-v5 \\
        --seeds 1 2 --steps 50000

Each run is `train.py` itself, in a process of its own on one thread. A run that was interrupted goes
on where it stopped when the command is given again; one that has finished is skipped. After every
run its evaluations are copied to benchmarks/results/<suite>/<agent>/<env>/seed<k>.csv. That is the place of the
default's: with --settings the suite must be one that is not among them, and its name says what is other.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks import training
from benchmarks.training import ROOT

OF_THE_DEFAULT = ("dmc", "gymnasium", "joule")
"""Suites whose runs are of the default settings."""


@dataclass(frozen=True)
class Job:
    """One run of the sweep."""

    suite: str
    agent: str
    env: str
    seed: int
    steps: int
    settings: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Where the run lives while it grows."""
        return ROOT / "runs" / "sweep" / self.suite / self.agent / self.safe_env / f"seed{self.seed}"

    @property
    def result(self) -> Path:
        """Where its evaluations are kept."""
        tree = ROOT / "benchmarks" / "results" / self.suite / self.agent / self.safe_env
        return tree / f"seed{self.seed}.csv"

    @property
    def safe_env(self) -> str:
        return self.env.replace(":", "-").replace("/", "-")

    def command(self) -> list[str]:
        """A new run, or the continuation of one that has begun."""
        new = ["--agent", self.agent, "--env", self.env, "--seed", str(self.seed), *self.settings]
        return training.command(self.folder, self.steps, new)

    def finished(self) -> bool:
        """Whether the stored result already reaches the budget."""
        if not self.result.exists():
            return False
        last = self.result.read_text().strip().splitlines()[-1].split(",")
        return last[0] == self.agent and int(last[3]) >= self.steps


def collect(job: Job) -> None:
    """Copies a run's evaluations to the results."""
    source = job.folder / "evaluations.csv"
    if source.exists():
        job.result.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, job.result)


def execute(job: Job, collect: Callable[[Job], None] = collect) -> int:
    """Runs one job to its end; `collect` keeps its evaluations as they come. Returns its exit code."""
    if job.finished():
        print(f"done already: {job.result.relative_to(ROOT)}", flush=True)
        return 0
    job.folder.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    log = job.folder.parent / f"seed{job.seed}.log"
    with log.open("a") as output:
        process = subprocess.Popen(
            job.command(), cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        while process.poll() is None:
            time.sleep(5.0)
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
    parser.add_argument("--steps", type=int, required=True, help="frames of each run")
    parser.add_argument("--workers", type=int, default=2, help="runs at a time")
    parser.add_argument(
        "--settings", nargs=argparse.REMAINDER, default=[], help="further options of train.py, last"
    )
    options = parser.parse_args()
    if options.settings and options.suite in OF_THE_DEFAULT:
        parser.error(f"--suite {options.suite} holds the default's runs; with --settings give another name")
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

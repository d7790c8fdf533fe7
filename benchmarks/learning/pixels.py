"""Trains joule and sac from pixels, and collects the return of their evaluation at the budget.

    python benchmarks/learning/pixels.py                 # benchmarks/results/pixels.json from the rows that are there
    python benchmarks/learning/pixels.py --run           # trains what is missing, resumably, two runs at a time; then that
    python benchmarks/learning/pixels.py --run --agents joule --envs joule/Reach-v0 --seeds 1

    python benchmarks/learning/pixels.py --run --suite pixels-small --steps 1500 --seeds 1 --settings --obs-size 36

Each run is the train command with `--obs pixels`, through benchmarks/learning/sweep.py; its evaluations are copied to
benchmarks/results_pixels/pixels/<agent>/<env>/seed<k>.csv while it trains: a tree apart, because tables of the default
settings are made from benchmarks/results. A figure is the mean return of each seed that has
reached the budget, by seed; null, with the reason, where none has. Another budget or other settings need a suite of their
own, whose name says what differs; its figures are in benchmarks/results_pixels/<suite>.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks import pixel_results
from benchmarks.learning import sweep
from benchmarks.pixel_results import RESULT
from benchmarks.raw_rows import return_at
from benchmarks.refusals import exit_code
from benchmarks.training import ROOT
from joule.report.evaluations import read_evaluations

TREE = ROOT / "benchmarks" / "results_pixels"
"""The tree of rows."""
SUITE = "pixels"
AGENTS = ("joule", "sac")
ENVS = {
    "joule/Reach-v0": "reach",
    "dmc:cartpole-swingup": "cartpole_swingup",
    "dmc:reacher-easy": "reacher_easy",
}
"""Environment -> its name in the figures."""
BUDGET = 100_000
"""Frames of a run."""
PIXELS = ("--obs", "pixels")


def jobs(
    suite: str,
    agents: Sequence[str],
    envs: Sequence[str],
    seeds: Sequence[int],
    steps: int,
    settings: Sequence[str],
) -> list[sweep.Job]:
    """The runs, in the order in which they are to be trained.

    Args:
        suite: the folder of results.
        agents: kinds.
        envs: ids.
        seeds: of the runs.
        steps: budget of each in frames.
        settings: further options of train.
    """
    every = itertools.product(seeds, envs, agents)
    return [
        sweep.Job(suite, agent, env, seed, steps, (*PIXELS, *settings), TREE) for seed, env, agent in every
    ]


def figures(suite: str = SUITE, steps: int = BUDGET) -> dict[str, Any]:
    """The returns at the budget by key, with a reason for each that is missing.

    Args:
        suite: the folder of results.
        steps: the budget in frames.
    """
    found: dict[str, Any] = {"frames": steps, "reasons": {}}
    for agent, (env, name) in itertools.product(AGENTS, ENVS.items()):
        key = name if agent == "joule" else f"{agent}_{name}"
        folder = sweep.Job(suite, agent, env, 1, steps, (), TREE).result.parent
        runs = [read_evaluations(path) for path in sorted(folder.glob("seed*.csv"))]
        at_budget = {str(run.seed): return_at(run, steps) for run in runs}
        finished = {seed: round(value, 3) for seed, value in at_budget.items() if value is not None}
        found[key] = finished or None
        if not finished:
            most = max((int(run.frames[-1]) for run in runs), default=0)
            so_far = f"; the longest run has {most:,}" if runs else ""
            found["reasons"][key] = (
                f"no evaluation of {agent} in {env} with pixels at {steps:,} frames yet{so_far}"
            )
    return found


def main(arguments: list[str] | None = None) -> int:
    """Trains where it is asked to, and collects.

    Args:
        arguments: the options; default those of the process.
    """
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--run", action="store_true", help="train the missing runs first")
    p.add_argument("--suite", default=SUITE, help=f"folder of results (default: {SUITE})")
    p.add_argument("--agents", nargs="+", choices=AGENTS, default=AGENTS)
    p.add_argument("--envs", nargs="+", choices=list(ENVS), default=list(ENVS))
    p.add_argument("--seeds", nargs="+", type=int, default=[1, 2])
    p.add_argument(
        "--steps", type=int, default=BUDGET, help=f"budget of each run in frames (default: {BUDGET:,})"
    )
    p.add_argument("--workers", type=int, default=2, help="runs at a time")
    p.add_argument(
        "--settings", nargs=argparse.REMAINDER, default=[], help="further options of train; must come last"
    )
    options = p.parse_args(arguments)
    if options.suite == SUITE and (options.settings or options.steps != BUDGET):
        p.error(f"--suite {SUITE} holds runs of {BUDGET:,} frames with default settings; name another")
    failed = []
    if options.run:
        wanted = jobs(
            options.suite, options.agents, options.envs, options.seeds, options.steps, options.settings
        )
        failed = sweep.execute(wanted, options.workers)
    path = RESULT if options.suite == SUITE else TREE / f"{options.suite}.json"
    record = pixel_results.update(figures(options.suite, options.steps), path)
    print(json.dumps(record, indent=1))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(exit_code(main))

"""What each ingredient is worth: the default with one of them removed, on two tasks and two seeds.

    python benchmarks/ablation.py                      trains into runs/sweep/; -> benchmarks/results/ablation.csv
    python benchmarks/ablation.py --only "no early boost" --seeds 3
    python benchmarks/ablation.py --table docs/ablation.md     writes the table of what is there, and trains nothing

Every run is one of benchmarks/sweep.py's, so that it goes on where it stopped. What only evaluations do otherwise is
measured on the default's own agents. A row of the CSV is one evaluation, as in the protocol, with the name of the
variant before it. The table shows the last evaluation at the budget.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch

import joule
from agent.configurator.settings import Config
from agent.configurator.validation import flatten
from benchmarks import pages, tables
from benchmarks.learning import sweep
from benchmarks.training import slug
from joule.environment import make_env
from joule.training.evaluation import evaluate

RESULT = sweep.ROOT / "benchmarks" / "results" / "ablation.csv"
TASKS = ("dmc:cheetah-run", "dmc:walker-walk")
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "no planning while learning": {"explore.plan_from_decisions": 100_000_000},
    "planning in every episode from 8,000 decisions on": {"explore.plan-every-episodes": 1},
    "one-step returns": {"learning.n_step": 1},
    "prediction of one step, not three": {"learning.window_decisions": 1},
    "no curiosity": {"explore.curiosity": 0.0},
    "no early boost": {"learning.initial_utd": 1.0},
    "no bonus of entropy": {"actor.target_entropy": -10.0},
    "SimNorm gives way to a moving target": {"regularizer.kind": "ema"},
    "SimNorm gives way to a penalty": {"regularizer.kind": "sigreg"},
    "SimNorm gives way to nothing": {"regularizer.kind": "none"},
    "twice the hidden units": {"model.hidden_dim": 256, "model.head-width": 128},
    "half the batch": {"learning.batch_size": 32},
}
"""Name -> the settings that remove an ingredient, or put back what the default does without."""
SEARCHES: dict[str, dict[str, Any]] = {
    "no search: the policy acts": {"planner.kind": "policy"},
    "a search over the whole range": {"actor.prior_std": 0.0},
    "a search without the policy's proposals": {"actor.proposals": 0},
    "a search one decision ahead": {"planner.horizon-decisions": 1},
    "one iteration, not three": {"planner.iterations": 1},
    "four times the samples": {"planner.samples": 256, "planner.elites": 48},
}
"""Name -> settings of the search: evaluations of the default's agents, which learned without any."""
MARKERS = "<!-- ablation:begin -->", "<!-- ablation:end -->"


def job_of(variant: str, env: str, seed: int, steps: int) -> sweep.Job:
    """The run of one variant."""
    changes = VARIANTS[variant]
    if unknown := changes.keys() - flatten(Config()).keys():
        raise SystemExit(f"{variant}: no such settings: {', '.join(sorted(unknown))}")
    typed = [word for name, value in changes.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    return sweep.Job(f"ablation/{slug(variant)}", "joule", env, seed, steps, tuple(typed))


def collector(variant: str, lock: Lock) -> Callable[[sweep.Job], None]:
    """Keeps the evaluations of a run under its variant's name, in place of those that were there."""

    def collect(job: sweep.Job) -> None:
        new = [{"variant": variant, **row} for row in tables.read(job.folder / "evaluations.csv")]
        if not new:
            return
        with lock:
            key = ("variant", "env", "seed")
            run = [str(new[0][name]) for name in key]
            rows = [row for row in tables.read(RESULT) if [row[name] for name in key] != run]
            tables.write(RESULT, list(new[0]), [*rows, *new])

    return collect


def searched(folder: Path, variant: str, default: dict[str, Any]) -> dict[str, Any]:
    """The row of another search by the agent in `folder`, whose evaluation was `default`."""
    trained = joule.load(folder, overrides=SEARCHES[variant])
    found = evaluate(trained, lambda: make_env(trained.config), int(default["episodes"]))
    return {**default, "variant": variant, "return_mean": found.mean, "return_std": found.std}


def search(envs: list[str], seeds: list[int], steps: int) -> None:
    """Evaluates every search that has no row yet, where the default's run is at hand and ends at `steps`."""
    torch.set_num_threads(1)
    for env, seed in itertools.product(envs, seeds):
        rows = [
            row for row in tables.read(RESULT)
            if (row["env"], int(row["seed"]), int(row["frames"])) == (env, seed, steps)
        ]  # fmt: skip
        default = next((row for row in rows if row["variant"] == "default"), None)
        folder = job_of("default", env, seed, steps).folder
        lived = [int(row["frames"]) for row in tables.read(folder / "evaluations.csv")]
        if default is None or not lived or lived[-1] != steps:
            print(f"{env}, seed {seed}: no searches, because no run of the default ends here", flush=True)
            continue
        known = {row["variant"] for row in rows}
        for variant in (name for name in SEARCHES if name not in known):
            row = searched(folder, variant, default)
            tables.write(RESULT, list(row), [*tables.read(RESULT), row])


def table(rows: list[dict[str, Any]], steps: int) -> str:
    """Markdown: a line for each variant; returns at `steps` frames by task, and CPU time beside the default's."""
    envs = list(dict.fromkeys(row["env"] for row in rows))
    last = [row for row in rows if int(row["frames"]) == steps]

    def figures(variant: str, env: str, name: str) -> list[float]:
        return [float(row[name]) for row in last if (row["variant"], row["env"]) == (variant, env)]

    def spent(variant: str) -> dict[tuple[str, str], float]:
        return {
            (row["env"], row["seed"]): float(row["cpu_seconds"]) for row in last if row["variant"] == variant
        }

    def cost_fn(variant: str) -> str:
        """A run costs more on a busy machine: of the same task and seed."""
        beside = spent("default")
        ratios = [cost / beside[run] for run, cost in spent(variant).items() if run in beside]
        return f"{np.mean(ratios):.2f}" if ratios else "—"

    rows_shown = [
        [
            variant,
            *(pages.mean_and_each(figures(variant, env, "return_mean"), ",.0f") for env in envs),
            cost_fn(variant),
        ]
        for variant in (*VARIANTS, *SEARCHES)
        if any(row["variant"] == variant for row in last)
    ]
    return pages.markdown(["variant", *envs, "CPU time"], rows_shown)


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS), metavar="VARIANT")
    p.add_argument("--envs", nargs="+", default=list(TASKS))
    p.add_argument("--seeds", nargs="+", type=int, default=[1, 2])
    p.add_argument("--steps", type=int, default=50_000, help="frames of each run (default: 50000)")
    p.add_argument("--workers", type=int, default=2, help="runs at a time")
    p.add_argument(
        "--table", type=Path, metavar="PAGE", help="write the table into this page, and train nothing"
    )
    options = p.parse_args()
    if options.table is not None:
        pages.write(options.table, table(tables.read(RESULT), options.steps), MARKERS)
        return 0
    jobs = [
        (variant, job_of(variant, env, seed, options.steps))
        for seed, variant, env in itertools.product(options.seeds, options.only, options.envs)
    ]
    done = {
        (row["variant"], row["env"], int(row["seed"]))
        for row in tables.read(RESULT)
        if int(row["frames"]) >= options.steps
    }
    wanted = [(v, job) for v, job in jobs if (v, job.env, job.seed) not in done]
    lock = Lock()
    with ThreadPoolExecutor(options.workers) as pool:
        codes = list(pool.map(lambda one: sweep.execute(one[1], collector(one[0], lock)), wanted))
    search(options.envs, options.seeds, options.steps)
    print(table(tables.read(RESULT), options.steps))
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())

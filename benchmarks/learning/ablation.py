"""Measures what each ingredient is worth: the default without one of them, on two tasks with two seeds.

    python benchmarks/learning/ablation.py             trains into runs/sweep/; -> benchmarks/results/ablation.csv
    python benchmarks/learning/ablation.py --only "no curiosity" --seeds 3

Every run is one of sweep.py's, so that it is resumed when the command is given again. A variant that differs only in
how it plans when it is evaluated is measured on the agents of the default. A row of the CSV is one evaluation with
the name of its variant. The table shows the last evaluation at the budget. A variant with rows at the budget is not
measured again, whatever version measured them; the table marks what is of another version than its default.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

import joule
from agent.configurator.dotted_names import known_names
from benchmarks import markdown_tables, raw_rows
from benchmarks.learning import sweep
from benchmarks.refusals import exit_code
from benchmarks.training import RESULTS, slug
from joule.environment import make_env
from joule.storage.provenance import version
from joule.sweeping.trial import Trial
from joule.training.evaluation import evaluate

RESULT = RESULTS / "ablation.csv"
TASKS = ("dmc:cheetah-run", "dmc:walker-walk")
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "no planning in training": {"explore.plan_from_decisions": 100_000_000},
    "planning in every episode from 8,000 decisions on": {"explore.plan_every_episodes": 1},
    "one-step returns": {"learning.n_step": 1},
    "one-step prediction, not three": {"learning.window_decisions": 1},
    "no curiosity": {"explore.curiosity": 0.0},
    "no higher initial UTD": {"learning.initial_utd": 1.0},
    "no entropy bonus": {"actor.target_entropy": -10.0},
    "moving-average target in place of SimNorm": {"regularizer.kind": "ema"},
    "SIGReg in place of SimNorm": {"regularizer.kind": "sigreg"},
    "no regulariser": {"regularizer.kind": "none"},
    "twice the hidden units": {"model.hidden_dim": 256, "model.head_width": 128},
    "half the batch": {"learning.batch_size": 32},
}
"""Variant -> the settings in which its runs differ from the default."""
PLANNING_VARIANTS: dict[str, dict[str, Any]] = {
    "no planner: the policy acts": {"planner.kind": "policy"},
    "planning over the whole action range": {"actor.prior_std": 0.0},
    "planning without the policy's proposals": {"actor.proposals": 0},
    "planning one decision ahead": {"planner.horizon_decisions": 1},
    "one planner iteration, not three": {"planner.iterations": 1},
    "four times the planner's samples": {"planner.samples": 256, "planner.elites": 48},
}
"""Variant -> settings with which the agents of the default are evaluated."""
MARK, NOTE = (
    " †",
    "One or more of its rows are of another version than the default's row of the same task and seed.",
)


def job_of(variant: str, env: str, seed: int, steps: int) -> sweep.Job:
    """The run of a variant.

    Raises:
        SystemExit: for a variant with an unknown setting.
    """
    changes = VARIANTS[variant]
    if unknown := changes.keys() - set(known_names()):
        raise SystemExit(f"{variant}: no such settings: {', '.join(sorted(unknown))}")
    words = [word for name, value in changes.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    return sweep.Job(f"ablation/{slug(variant)}", "joule", env, seed, steps, tuple(words))


def collector(variants: Mapping[str, str]) -> Callable[[Trial], None]:
    """Copies the evaluations of a run into the table under the name of its variant.

    Args:
        variants: the name of a run -> its variant.
    """

    def collect(run: Trial) -> None:
        new = [
            {"variant": variants[run.name], **row} for row in raw_rows.read(run.folder / "evaluations.csv")
        ]
        if not new:
            return
        key = ("variant", "env", "seed")
        own = [str(new[0][name]) for name in key]
        rows = [row for row in raw_rows.read(RESULT) if [row[name] for name in key] != own]
        raw_rows.write(RESULT, list(new[0]), [*rows, *new])

    return collect


def evaluate_variant(folder: Path, variant: str, default: dict[str, Any]) -> dict[str, Any]:
    """The row of a planning variant.

    Args:
        folder: the run of the default.
        variant: one of `PLANNING_VARIANTS`.
        default: the row of the default's last evaluation.
    """
    agent = joule.load(folder, settings=PLANNING_VARIANTS[variant])
    found = evaluate(agent, lambda: make_env(agent.config), int(default["episodes"]))
    measured = {"return_mean": found.mean, "return_std": found.std, "version": version()}
    return {**default, "variant": variant, **measured}


def evaluate_variants(variants: list[str], envs: list[str], seeds: list[int], steps: int) -> None:
    """Adds a row for every one of these planning variants that has none, where the default's run ends at `steps`."""
    if not variants:
        return
    torch.set_num_threads(1)
    for env, seed in itertools.product(envs, seeds):
        rows = [
            row for row in raw_rows.read(RESULT)
            if (row["env"], int(row["seed"]), int(row["frames"])) == (env, seed, steps)
        ]  # fmt: skip
        default = next((row for row in rows if row["variant"] == "default"), None)
        folder = job_of("default", env, seed, steps).folder
        frames = [int(row["frames"]) for row in raw_rows.read(folder / "evaluations.csv")]
        if default is None or frames[-1:] != [steps]:
            print(f"{env}, seed {seed}: no planning variants, as no default run ends at {steps}", flush=True)
            continue
        known = {row["variant"] for row in rows}
        for variant in (name for name in variants if name not in known):
            row = evaluate_variant(folder, variant, default)
            raw_rows.write(RESULT, list(row), [*raw_rows.read(RESULT), row])


def table(rows: list[dict[str, Any]], steps: int) -> str:
    """The table in Markdown: a line for each variant, with returns by task and CPU time relative to the default.

    Args:
        rows: the rows of the CSV.
        steps: the budget in frames.
    """
    envs = list(dict.fromkeys(row["env"] for row in rows))
    last = [row for row in rows if int(row["frames"]) == steps]

    def returns(variant: str, env: str) -> list[float]:
        found = [row for row in last if (row["variant"], row["env"]) == (variant, env)]
        return [float(row["return_mean"]) for row in found]

    def cpu_seconds(variant: str) -> dict[tuple[str, str], float]:
        found = [row for row in last if row["variant"] == variant]
        return {(row["env"], row["seed"]): float(row["cpu_seconds"]) for row in found}

    default_seconds = cpu_seconds("default")

    def cpu_ratio(variant: str) -> str:
        """The mean over runs, each divided by the default's run of the same task and seed."""
        seconds = cpu_seconds(variant).items()
        ratios = [spent / default_seconds[run] for run, spent in seconds if run in default_seconds]
        return f"{np.mean(ratios):.2f}" if ratios else "—"

    default_version = {
        (row["env"], row["seed"]): row["version"] for row in last if row["variant"] == "default"
    }
    of_other_version = {
        row["variant"]
        for row in last
        if row["version"] != default_version.get((row["env"], row["seed"]), row["version"])
    }
    measured = {row["variant"] for row in last}
    lines = [
        [
            variant + MARK * (variant in of_other_version),
            *(markdown_tables.mean_and_each(returns(variant, env), ",.0f") for env in envs),
            cpu_ratio(variant),
        ]
        for variant in (*VARIANTS, *PLANNING_VARIANTS)
        if variant in measured
    ]
    note = f"\n\n{MARK.strip()} {NOTE}" if of_other_version else ""
    return markdown_tables.markdown(["variant", *envs, "CPU time"], lines) + note


def main(arguments: list[str] | None = None) -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = [*VARIANTS, *PLANNING_VARIANTS]
    p.add_argument("--only", nargs="+", choices=every, default=every, metavar="VARIANT")
    p.add_argument("--envs", nargs="+", default=list(TASKS))
    p.add_argument("--seeds", nargs="+", type=int, default=[1, 2])
    p.add_argument("--steps", type=int, default=50_000, help="budget of each run in frames (default: 50000)")
    p.add_argument("--workers", type=int, default=2, help="runs at a time")
    options = p.parse_args(arguments)
    trained, planned = ([name for name in options.only if name in of] for of in (VARIANTS, PLANNING_VARIANTS))
    done = {
        (row["variant"], row["env"], int(row["seed"]))
        for row in raw_rows.read(RESULT)
        if int(row["frames"]) >= options.steps
    }
    jobs = [
        (variant, job_of(variant, env, seed, options.steps))
        for seed, variant, env in itertools.product(options.seeds, trained, options.envs)
        if (variant, env, seed) not in done
    ]
    variants = {job.name: variant for variant, job in jobs}
    failed = sweep.execute([job for _, job in jobs], options.workers, collector(variants))
    evaluate_variants(planned, options.envs, options.seeds, options.steps)
    print(table(raw_rows.read(RESULT), options.steps))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(exit_code(main))

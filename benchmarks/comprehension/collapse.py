"""Compares what keeps the representation from collapsing: the same agent with each regulariser.

    python benchmarks/comprehension/collapse.py                  trains into runs/collapse/
    python benchmarks/comprehension/collapse.py --seeds 1 2 3    more seeds; finished runs are not repeated

-> runs/comprehension/collapse.csv; --published: in benchmarks/results/

A row is one run: the return of its last evaluation (ten held-out episodes), the health of its latent as last
measured in training, R² of the readouts, and the area under the ROC curve with which surprise tells impossible clips
from real ones, over gross violations (see intuition.py), by the error of the latent alone and by all terms. R² is
that of a readout that is predicted from the latent of an observation (`readout_r2`), or from the latent predicted one
step ahead (`predicted_r2`): the mean over readouts, on real episodes that were not learned from. A readout that the
latent does not determine counts as 0.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import envs
from agent.agent import WorldModelAgent
from agent.configurator.kinds import REGULARIZERS
from benchmarks import markdown_tables, raw_rows, training
from benchmarks.comprehension import outputs
from benchmarks.comprehension.clip_pairs import pairs_of
from benchmarks.comprehension.detector_scores import ALL_GROSS, rows_of
from benchmarks.comprehension.mixed_episodes import (
    CALIBRATION_SEED,
    TEST_SEED,
    Episode,
    loaded,
    mixed_episodes,
)
from benchmarks.comprehension.surprise_calibration import ALL_TERMS
from benchmarks.comprehension.surprise_detectors import world_model_detector
from benchmarks.comprehension.violations import GROSS, stage_of
from benchmarks.refusals import exit_code
from joule.storage.provenance import version

RESULT = training.RESULTS / "collapse.csv"
TASKS = ("HalfCheetah-v5", "joule/Push-v0")
COLUMNS = (
    "env", "regularizer", "seed", "frames", "return_mean", "return_std", "rank", "std", "dead", "relative_error",
    "readout_r2", "predicted_r2", "auroc_latent", "auroc_all", "pairs", "real_steps", "cpu_seconds", "commit",
)  # fmt: skip
HEALTH = ("rank", "std", "dead", "relative_error")
SHOWN = {
    "return_mean": ("return", ",.0f"), "rank": ("rank", ".1f"), "readout_r2": ("R² observed", ".2f"),
    "predicted_r2": ("R² predicted", ".2f"), "auroc_latent": ("surprise, latent", ".3f"),
    "auroc_all": ("surprise, all", ".3f"),
}  # fmt: skip
"""Column -> its heading and its format in the tables of the page."""
LEAST_VARIANCE = 1e-6
"""Variance of a normalised readout below which it has no R²."""


def run_of(env: str, regularizer: str, seed: int, steps: int) -> training.TrainingRun:
    """The run of a task, a regulariser and a seed."""
    folder = training.RUNS / "collapse" / env.replace("/", "-") / regularizer / f"seed{seed}"
    new = ("--env", env, "--regularizer.kind", regularizer, "--seed", str(seed))
    return training.TrainingRun(folder, steps, new, always=("--eval-every-frames", str(steps)))


def last_row(table: Path, column: str) -> dict[str, str]:
    """The last row of a CSV in which a column is filled."""
    return [row for row in raw_rows.read(table) if row[column]][-1]


def readout_r2(agent: WorldModelAgent, episodes: Sequence[Episode]) -> tuple[float, float]:
    """R² of the readouts on real episodes: the mean over the readouts that vary.

    Returns:
        R² from the latents of observations, and from the latents predicted one step ahead.
    """
    m = agent.modules.networks
    from_observed, from_predicted, truth = [], [], []
    with torch.inference_mode():
        for episode in episodes:
            clip = episode.clip
            z = m.encoder(m.normalizer(torch.from_numpy(clip.obs)))
            predicted = m.world_model.expect(z[:-1], torch.from_numpy(clip.action))
            from_observed.append(m.readout(z[1:]))
            from_predicted.append(m.readout(predicted))
            truth.append(m.readout_normalizer(torch.from_numpy(clip.readout[1:].astype(np.float32))))
    true = torch.cat(truth)
    varies = true.var(0) > LEAST_VARIANCE

    def mean_r2(read: list[torch.Tensor]) -> float:
        error = (torch.cat(read) - true).square().mean(0)[varies]
        return float((1.0 - error / true.var(0)[varies]).clamp_min(0.0).mean())

    return mean_r2(from_observed), mean_r2(from_predicted)


def row_of(run: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The row of one run."""
    agent = loaded(run)
    config = agent.config
    env = envs.make(config.env)
    calibration = mixed_episodes(env, run, options.real_steps, CALIBRATION_SEED, watch=False)
    test = mixed_episodes(env, run, options.real_steps, TEST_SEED)
    kinds = [kind for kind in GROSS if kind in stage_of(env).kinds]
    pairs = {kind: pairs_of(env, test, kind, options.pairs, TEST_SEED) for kind in kinds}
    scores = rows_of(world_model_detector(agent), calibration, test, pairs)
    by_term = {row["term"]: row for row in scores if row["violation"] == ALL_GROSS}
    evaluation = last_row(run / "evaluations.csv", "return_mean")
    health = last_row(run / "metrics.csv", "latent/rank")
    observed, predicted = readout_r2(agent, test)
    row = {
        "env": config.env, "regularizer": config.regularizer.kind, "seed": config.seed, "frames": agent.frames,
        "return_mean": evaluation["return_mean"], "return_std": evaluation["return_std"],
        **{name: f"{float(health[f'latent/{name}']):.4g}" for name in HEALTH},
        "readout_r2": f"{observed:.4f}", "predicted_r2": f"{predicted:.4f}",
        "auroc_latent": by_term["latent"]["auroc"], "auroc_all": by_term[ALL_TERMS]["auroc"],
        "pairs": by_term[ALL_TERMS]["pairs"], "real_steps": by_term[ALL_TERMS]["real_steps"],
        "cpu_seconds": evaluation["cpu_seconds"], "commit": version(),
    }  # fmt: skip
    print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    return row


def write(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Writes the table at `path`, in the order of tasks, regularisers and seeds."""
    kinds = list(REGULARIZERS)
    ordered = sorted(rows, key=lambda row: (row["env"], kinds.index(row["regularizer"]), int(row["seed"])))
    raw_rows.write(path, COLUMNS, ordered)


def report(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown: a table for each environment, a line for each regulariser, with the mean and each seed."""
    parts = []
    for env in dict.fromkeys(row["env"] for row in rows):
        lines = []
        for kind in REGULARIZERS:
            own = [row for row in rows if (row["env"], row["regularizer"]) == (env, kind)]
            if own:
                cells = [
                    markdown_tables.mean_and_each([float(row[name]) for row in own], form)
                    for name, (_, form) in SHOWN.items()
                ]
                lines.append([f"`{kind}`", *cells])
        parts.append(markdown_tables.markdown([env, *(heading for heading, _ in SHOWN.values())], lines))
    return "\n\n".join(parts)


def main() -> int:
    """Trains and measures what is missing; 1 where a run did not reach its budget."""
    kinds = list(REGULARIZERS)
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--envs", nargs="+", default=list(TASKS), metavar="ENV")
    compared = [kind for kind in kinds if kind != "contrast"]  # it needs settings of its own
    p.add_argument("--regularizers", nargs="+", choices=kinds, default=compared, metavar="KIND")
    p.add_argument("--seeds", nargs="+", type=int, default=[1, 2])
    p.add_argument("--steps", type=int, default=15_000, help="frames of each run (default: 15000)")
    p.add_argument("--pairs", type=int, default=40, help="pairs of each kind, at most (default: 40)")
    p.add_argument("--real-steps", type=int, default=4_000, metavar="N",
                   help="real steps to calibrate on, and as many to test on (default: 4000)")  # fmt: skip
    p.add_argument("--workers", type=int, default=2, help="runs at a time")
    outputs.add_options(p)
    options = p.parse_args()
    options.out = outputs.table(options, RESULT.name)
    torch.set_num_threads(1)
    done = {
        (row["env"], row["regularizer"], int(row["seed"]))
        for row in raw_rows.read(options.out)
        if int(row["frames"]) >= options.steps
    }
    runs = [
        run_of(env, kind, seed, options.steps)
        for seed, env, kind in itertools.product(options.seeds, options.envs, options.regularizers)
        if (env, kind, seed) not in done
    ]
    failed = {run.folder for run in training.train(runs, options.workers)}
    for run in runs:
        if run.folder in failed:
            print(f"a run did not reach its budget: see {run.log}", flush=True)
            continue
        row = row_of(run.folder, options)
        rows = raw_rows.replaced(raw_rows.read(options.out), row, ("env", "regularizer", "seed"))
        write(rows, options.out)
    print(report(raw_rows.read(options.out)))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(exit_code(main))

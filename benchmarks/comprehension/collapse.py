"""What keeps a representation from collapsing, compared: the same agent with each regulariser.

    python benchmarks/collapse.py                     trains into runs/collapse/; -> benchmarks/results/collapse.csv
    python benchmarks/collapse.py --seeds 1 2 3       more seeds; runs that are finished are not run again
    python benchmarks/collapse.py --table docs/collapse.md     writes the tables of what is there, and trains nothing

A line is one run: the return of its last evaluation (ten held-out episodes), the health of its latent as last
measured in training, how well named quantities are read off the latent of what is seen and of what is foreseen
one step ahead (R², mean over readouts, 0 for one that is not told at all, on real episodes not learned from), and
how well the world model's surprise tells impossible clips from real ones (area under the ROC curve over gross
violations, as in intuition.py: by the prediction error of the latent alone, and by all terms).
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from benchmarks.comprehension.watchers import TOGETHER, WorldModel

import envs
from agent.agent import WorldModelAgent
from agent.configurator.settings import RegularizerKind
from benchmarks import pages, tables, training
from benchmarks.comprehension.intuition import (
    CALIBRATION_SEED,
    TEST_SEED,
    Episode,
    lines_of,
    loaded,
    mixed_life,
    pairs_of,
)
from benchmarks.comprehension.violations import GROSS, STAGES
from benchmarks.training import ROOT
from joule.storage.provenance import version

RESULT = ROOT / "benchmarks" / "results" / "collapse.csv"
TASKS = ("HalfCheetah-v5", "joule/Push-v0")
COLUMNS = (
    "env", "regularizer", "seed", "frames", "return_mean", "return_std", "rank", "std", "dead", "relative_error",
    "readout_r2", "foreseen_r2", "auroc_latent", "auroc_all", "pairs", "real_steps", "cpu_seconds", "commit",
)  # fmt: skip
HEALTH = ("rank", "std", "dead", "relative_error")
SHOWN = {
    "return_mean": ("return", ",.0f"), "rank": ("rank", ".1f"), "readout_r2": ("R² seen", ".2f"),
    "foreseen_r2": ("R² foreseen", ".2f"), "auroc_latent": ("surprise, latent", ".3f"),
    "auroc_all": ("surprise, all", ".3f"),
}  # fmt: skip
"""Column -> its head and its format in the tables of the page."""
MARKERS = "<!-- collapse:begin -->", "<!-- collapse:end -->"


def run_of(job: tuple[str, str, int], steps: int) -> training.Training:
    """The run of a task, a regulariser and a seed."""
    env, regularizer, seed = job
    folder = ROOT / "runs" / "collapse" / env.replace("/", "-") / regularizer / f"seed{seed}"
    new = ("--env", env, "--regularizer.kind", regularizer, "--seed", str(seed))
    return training.Training(folder, steps, new, always=("--eval-every-frames", str(steps)))


def last_row(table: Path, name: str) -> dict[str, str]:
    """The last row of a CSV in which column `name` is filled."""
    return [row for row in tables.read(table) if row[name]][-1]


def determination(learner: WorldModelAgent, episodes: Sequence[Episode]) -> tuple[float, float]:
    """R² of the readouts, seen and foreseen one step ahead: means over the readouts that vary.

    One that the latent tells nothing of counts 0, however far off: a cheetah does not see how far it has run.
    """
    m = learner.modules.networks
    seen, predicted, truth = [], [], []
    with torch.inference_mode():
        for episode in episodes:
            clip = episode.clip
            z = m.encoder(m.normalizer(torch.from_numpy(clip.obs)))
            ahead = m.world_model.expect(z[:-1], torch.from_numpy(clip.action))
            seen.append(m.readout(z[1:]))
            predicted.append(m.readout(ahead))
            truth.append(m.readout_normalizer(torch.from_numpy(clip.readout[1:].astype(np.float32))))
    real = torch.cat(truth)
    varies = real.var(0) > 1e-6
    r2 = [
        (1.0 - (torch.cat(read) - real).square().mean(0)[varies] / real.var(0)[varies]).clamp_min(0.0)
        for read in (seen, predicted)
    ]
    return float(r2[0].mean()), float(r2[1].mean())


def examined(run: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The line of one run."""
    learner = loaded(run)
    env = learner.config.env
    body = envs.make(env)
    calibration = mixed_life(body, run, options.real_steps, CALIBRATION_SEED)
    test = mixed_life(body, run, options.real_steps, TEST_SEED)
    kinds = [kind for kind in GROSS if kind not in STAGES[env].without]
    pairs = {kind: pairs_of(body, test, kind, options.pairs, TEST_SEED) for kind in kinds}
    watcher = WorldModel("world model", learner.modules.networks, learner.env_spec.readout_sizes)
    watched = lines_of(watcher, {}, calibration, test, pairs)
    whole = {line["term"]: line for line in watched if line["violation"] == "all gross"}
    evaluation = last_row(run / "evaluations.csv", "return_mean")
    health = last_row(run / "metrics.csv", "latent/rank")
    seen, predicted = determination(learner, test)
    line = {
        "env": env, "regularizer.kind": learner.config.regularizer, "seed": learner.config.seed,
        "frames": learner.frames, "return_mean": evaluation["return_mean"], "return_std": evaluation["return_std"],
        **{name: f"{float(health[f'latent/{name}']):.4g}" for name in HEALTH},
        "readout_r2": f"{seen:.4f}", "foreseen_r2": f"{predicted:.4f}",
        "auroc_latent": whole["latent"]["auroc"], "auroc_all": whole[TOGETHER]["auroc"],
        "pairs": whole[TOGETHER]["pairs"], "real_steps": whole[TOGETHER]["real_steps"],
        "cpu_seconds": evaluation["cpu_seconds"], "commit": version(),
    }  # fmt: skip
    print("  ".join(f"{name} {value}" for name, value in line.items()), flush=True)
    return line


def write(lines: Sequence[dict[str, Any]]) -> None:
    """The table, in the order of tasks, regularisers and seeds."""
    kinds = list(get_args(RegularizerKind))
    lines = sorted(lines, key=lambda x: (x["env"], kinds.index(x["regularizer"]), int(x["seed"])))
    tables.write(RESULT, COLUMNS, lines)


def shown(lines: Sequence[dict[str, Any]]) -> str:
    """Markdown: a table for each body, a line for each regulariser; the mean of the seeds, and each of them."""
    parts = []
    for env in dict.fromkeys(line["env"] for line in lines):
        rows = []
        for kind in get_args(RegularizerKind):
            found = [line for line in lines if (line["env"], line["regularizer"]) == (env, kind)]
            if found:
                cells = [
                    pages.mean_and_each([float(line[name]) for line in found], form)
                    for name, (_, form) in SHOWN.items()
                ]
                rows.append([f"`{kind}`", *cells])
        parts.append(pages.markdown([env, *(head for head, _ in SHOWN.values())], rows))
    return "\n\n".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--envs", nargs="+", choices=list(STAGES), default=list(TASKS), metavar="ENV")
    parser.add_argument("--regularizers", nargs="+", choices=get_args(RegularizerKind),
                        default=list(get_args(RegularizerKind)), metavar="KIND")  # fmt: skip
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--steps", type=int, default=15_000, help="frames of each run (default: 15000)")
    parser.add_argument("--pairs", type=int, default=40, help="pairs of each kind at most (default: 40)")
    parser.add_argument("--real-steps", type=int, default=4_000, metavar="N",
                        help="real steps to calibrate on, and as many to test on (default: 4000)")  # fmt: skip
    parser.add_argument("--workers", type=int, default=2, help="runs at a time")
    parser.add_argument(
        "--table", type=Path, metavar="PAGE", help="write the tables into this page, and train nothing"
    )
    options = parser.parse_args()
    if options.table is not None:
        pages.write(options.table, shown(tables.read(RESULT)), MARKERS)
        return 0
    torch.set_num_threads(1)
    done = {
        (line["env"], line["regularizer"], int(line["seed"]), int(line["frames"]))
        for line in tables.read(RESULT)
    }
    wanted = [
        (env, kind, seed)
        for seed, env, kind in itertools.product(options.seeds, options.envs, options.regularizers)
        if not any(key[:3] == (env, kind, seed) and key[3] >= options.steps for key in done)
    ]
    with ThreadPoolExecutor(options.workers) as pool:
        runs = [run_of(job, options.steps) for job in wanted]
        for run, well in zip(runs, pool.map(training.trained, runs), strict=True):
            if not well:
                print(f"a run did not get to its end: see {run.log}", flush=True)
                continue
            line = examined(run.folder, options)
            write(tables.replaced(tables.read(RESULT), line, ("env", "regularizer", "seed")))
    for env, kind in itertools.product(options.envs, options.regularizers):
        of_kind = [x for x in tables.read(RESULT) if (x["env"], x["regularizer"]) == (env, kind)]
        if of_kind:
            mean = {name: math.fsum(float(x[name]) for x in of_kind) / len(of_kind) for name in COLUMNS[4:14]}
            print(env, kind, f"seeds {len(of_kind)}", *(f"{n} {v:.4g}" for n, v in mean.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

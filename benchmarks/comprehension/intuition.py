"""Does the world model know physics? Violation of expectation: pairs of episodes, one of them impossible.

    python benchmarks/comprehension/intuition.py                     trains its agents, into runs/intuition/
    python benchmarks/comprehension/intuition.py --runs runs/A runs/B          tests agents that are trained
    python benchmarks/comprehension/intuition.py --videos runs/intuition/videos   and a video of each kind

-> benchmarks/results/intuition.csv, and its summary intuition.json

Real episodes are of mixed behaviour: the exploring agent with and without its planner, actions that are held for some
steps, and actions that are drawn anew at each step. One set calibrates the detectors, another one, with other seeds,
tests them. A pair is a part of a real test episode and the same part, from the same state and with the same actions,
in which physics is violated from one step on (benchmarks/comprehension/violations.py). A detector does not know that
step: the score of a clip is its largest surprise over 20 steps before and 20 steps after it. Latency counts from the
step that violates physics, 1 being its own observation; it is infinite where there is no alarm within 20 steps. The
detectors are the trained world model, the same one untrained, and constant velocity, all calibrated in the same way.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import envs
from benchmarks import raw_rows, training
from benchmarks.comprehension.clip_pairs import pairs_of
from benchmarks.comprehension.detector_scores import ALL_GROSS, rows_of
from benchmarks.comprehension.mixed_episodes import CALIBRATION_SEED, TEST_SEED, loaded, mixed_episodes
from benchmarks.comprehension.surprise_calibration import ALL_TERMS, CalibratedDetector
from benchmarks.comprehension.surprise_detectors import (
    ConstantVelocityDetector,
    Detector,
    untrained_detector,
    world_model_detector,
)
from benchmarks.comprehension.violations import MEANINGS, STAGES
from joule.storage.provenance import version

RESULT = training.RESULTS / "intuition.csv"
COLUMNS = (
    "env", "agent_frames", "detector", "term", "violation", "pairs", "pairwise_accuracy", "auroc",
    "latency_median", "detected", "false_alarms_per_1000", "real_steps", "calibration_steps", "seed", "commit",
)  # fmt: skip
SHOWN = (
    "detector", "violation", "pairs", "pairwise_accuracy", "auroc", "latency_median", "detected",
    "false_alarms_per_1000",
)  # fmt: skip
"""Columns that are printed."""
FIGURES = ("pairwise_accuracy", "auroc", "latency_median", "false_alarms_per_1000")
"""Columns of the summary."""


def trained(env: str, steps: int) -> Path:
    """The folder of this benchmark's own agent for an environment, trained or resumed to `steps` frames."""
    folder = training.RUNS / "intuition" / env.replace("/", "-")
    # One short evaluation at the end: this benchmark asks what the model knows, not what the agent earns.
    always = ("--eval-every-frames", str(steps), "--eval-episodes", "3")
    run = training.TrainingRun(folder, steps, ("--env", env, "--seed", "1"), always)
    return training.train_all([run])[0]


def examine(run: Path, options: argparse.Namespace) -> None:
    """Tests all detectors in the environment of one run, and writes their rows, and videos where asked.

    Raises:
        SystemExit: for an environment without violations.
    """
    agent = loaded(run)
    env_id = agent.config.env
    if env_id not in STAGES:
        raise SystemExit(f"{run}: violations are staged in {', '.join(STAGES)}, not in {env_id}")
    env = envs.make(env_id)
    calibration = mixed_episodes(env, run, options.real_steps, CALIBRATION_SEED)
    test = mixed_episodes(env, run, options.real_steps, TEST_SEED)
    kinds = [kind for kind in MEANINGS if kind not in STAGES[env_id].without]
    pairs = {kind: pairs_of(env, test, kind, options.pairs, TEST_SEED) for kind in kinds}
    print(f"{env_id}: " + ", ".join(f"{len(found)} {kind}" for kind, found in pairs.items()), flush=True)
    model = world_model_detector(agent)
    detectors: list[Detector] = [
        model,
        untrained_detector(agent),
        ConstantVelocityDetector("constant velocity", scaled=True),
        ConstantVelocityDetector("constant velocity, errors unscaled", scaled=False),
    ]
    run_columns = {
        "env": env_id, "agent_frames": agent.frames, "seed": agent.config.seed, "commit": version()
    }  # fmt: skip
    rows = []
    for detector in detectors:
        for row in rows_of(detector, calibration, test, pairs):
            rows.append(run_columns | row)
            if row["term"] == ALL_TERMS:
                print("  ".join(str(row[name]) for name in SHOWN), flush=True)
    write(rows, options.out)
    if options.videos is not None:
        from benchmarks.comprehension.violation_video import write_video

        calibrated = CalibratedDetector(model, [episode.clip for episode in calibration])
        for kind, found in pairs.items():
            if found:
                print(write_video(env_id, kind, found[0], calibrated, options.videos), flush=True)


def write(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Writes rows into the table at `path`; those of other environments and seeds stay."""
    tried = {(row["env"], str(row["seed"])) for row in rows}
    kept = [row for row in raw_rows.read(path) if (row["env"], row["seed"]) not in tried]
    order = list(STAGES)
    raw_rows.write(path, COLUMNS, sorted([*kept, *rows], key=lambda row: order.index(row["env"])))


def summary(rows: Sequence[dict[str, str]]) -> dict[str, Any]:
    """The figures of the trained model for all gross kinds, by all its terms.

    They are given for each environment, as the mean over its seeds, and as the mean over environments.
    `latency_steps` is the largest median of an environment, in steps; None where the median violation of an
    environment is not detected.
    """
    wanted = ("world model", ALL_TERMS, ALL_GROSS)
    rows = [row for row in rows if (row["detector"], row["term"], row["violation"]) == wanted]
    figures = {
        env: {name: float(np.mean([float(r[name]) for r in rows if r["env"] == env])) for name in FIGURES}
        for env in dict.fromkeys(row["env"] for row in rows)
    }
    means = {
        name: float(np.mean([of_env[name] for of_env in figures.values()]))
        for name in FIGURES
        if name != "latency_median"
    }
    slowest = max(of_env["latency_median"] for of_env in figures.values())
    finite: dict[str, Any] = {
        env: {name: value if math.isfinite(value) else None for name, value in of_env.items()}
        for env, of_env in figures.items()
    }
    latency_steps = slowest if math.isfinite(slowest) else None
    return means | {"latency_steps": latency_steps, "environments": finite}


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--runs", nargs="+", type=Path, default=[], metavar="RUN", help="trained agents")
    p.add_argument("--envs", nargs="+", choices=list(STAGES), default=list(STAGES), metavar="ENV",
                   help="without --runs: train in these (default: %(default)s)")  # fmt: skip
    p.add_argument("--steps", type=int, default=15_000, help="frames of that training (default: 15000)")
    p.add_argument("--pairs", type=int, default=100, help="pairs of each kind, at most (default: 100)")
    p.add_argument("--real-steps", type=int, default=12_000, metavar="N",
                   help="real steps to calibrate on, and as many to test on (default: 12000)")  # fmt: skip
    p.add_argument("--videos", type=Path, metavar="FOLDER", help="write a video of each kind into it")
    p.add_argument("--out", type=Path, default=RESULT, help="the table; the summary is beside it")
    options = p.parse_args()
    torch.set_num_threads(1)
    for run in options.runs or (trained(env, options.steps) for env in options.envs):
        examine(run, options)
    found = summary(raw_rows.read(options.out))
    path = options.out.with_suffix(".json")
    path.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")
    print(options.out, path)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Does the world model know physics? Violation of expectation: pairs of episodes, one of them impossible.

    python benchmarks/comprehension/intuition.py runs/A runs/B              tests agents that are trained, of any robots
    python benchmarks/comprehension/intuition.py --envs dmc:finger-spin     trains its own agents, into runs/intuition/
    python benchmarks/comprehension/intuition.py runs/A --violations up teleport      these kinds alone
    python benchmarks/comprehension/intuition.py runs/A --videos FOLDER     and a video of each kind
    python benchmarks/comprehension/intuition.py --pixels                   from pictures: trains its own agents in joule/Cup-v0 and
                                                                            joule/Push-v0, or tests those of `--obs pixels`

-> runs/comprehension/intuition.csv, and its summary intuition.json; --published: in benchmarks/results/; with --pixels intuition_pixels.csv, and keys
`matched_...` of pixels.json (benchmarks/comprehension/pixel_intuition.py)

Real episodes are of mixed behaviour: the exploring agent with and without its planner, actions that are held for some
steps, and actions that are drawn anew at each step. One set calibrates the detectors, another one, with other seeds,
tests them. A pair is a part of a real test episode and the same part, from the same state and with the same actions,
in which physics is violated from one step on (benchmarks/comprehension/violations.py). A detector does not know that
step: the score of a clip is its largest surprise over 20 steps before and 20 steps after it. Latency counts from the
step that violates physics, 1 being its own observation; it is infinite where there is no alarm within 20 steps. The
detectors are the trained world model, the same one untrained, and constant velocity, all calibrated in the same way.

Gross violations are of full strength. Matched ones are so weak that their raw change is no larger than what happens
anyway in ordinary clips (benchmarks/comprehension/matched_pairs.py): there the untrained model and constant velocity
are near chance, 0.5.

Keys of the summary: `auroc`, `pairwise_accuracy` and `false_alarms_per_1000` of the trained model on gross violations;
`matched_trained`, `matched_untrained` and `matched_constant_velocity`, the pairwise accuracies on matched ones, and
`matched_trained_minus_untrained`. Each is the mean over robots, with the worst robot beside it, and in `by_robot` the
mean over the runs of a robot.
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

from benchmarks import raw_rows, training
from benchmarks.comprehension import outputs, pixel_intuition, pixel_training
from benchmarks.comprehension.choices import add_option, choices_for
from benchmarks.comprehension.clip_pairs import pairs_of
from benchmarks.comprehension.detector_scores import ALL_GROSS, ALL_MATCHED, MATCHED, rows_of
from benchmarks.comprehension.matched_pairs import RawChange, RawChangeDetector, matched_pairs
from benchmarks.comprehension.mixed_episodes import CALIBRATION_SEED, TEST_SEED, loaded, mixed_episodes
from benchmarks.comprehension.surprise_calibration import ALL_TERMS, CalibratedDetector
from benchmarks.comprehension.surprise_detectors import (
    ConstantVelocityDetector,
    Detector,
    untrained_detector,
    world_model_detector,
)
from benchmarks.comprehension.violations import Stage, check_kinds, stage_of
from benchmarks.counts import count, count_or_none
from benchmarks.refusals import exit_code
from envs.safe_env import SafeEnv
from joule.environment import make_env
from joule.storage.provenance import version
from joule_errors import Refused

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
ENVS = ("HalfCheetah-v5", "dmc:walker-walk", "Hopper-v5", "joule/Push-v0", "dmc:finger-spin")
"""Environments of its own agents, by default."""
STEPS, REAL_STEPS, PAIRS = 15_000, 12_000, 100
"""Frames of their training, real steps to calibrate and to test on, and pairs of each kind, by default."""
DETECTORS = {
    "trained": "world model",
    "untrained": "untrained world model",
    "constant_velocity": "constant velocity",
}
"""Name in the summary -> detector."""
LOWER_IS_BETTER = ("false_alarms_per_1000", "matched_untrained", "matched_constant_velocity")
"""Figures of which the worst is the largest."""


def trained(env: str, steps: int) -> Path:
    """The folder of this benchmark's own agent for an environment, trained or resumed to `steps` frames."""
    folder = training.RUNS / "intuition" / env.replace("/", "-")
    # One short evaluation at the end: this benchmark asks what the model knows, not what the agent earns.
    always = ("--eval-every-frames", str(steps), "--eval-episodes", "3")
    run = training.TrainingRun(folder, steps, ("--env", env, "--seed", "1"), always)
    return training.train_all([run])[0]


def kinds_for(env: SafeEnv, stage: Stage, options: argparse.Namespace) -> list[str]:
    """The kinds of violation to try. Refused for those that make no sense in this environment."""
    asked = options.violations or choices_for(options.choices, env.env_spec.env).violations
    if asked:
        check_kinds(env.env_spec.env, stage, list(asked))
        return list(asked)
    for kind, why in stage.without.items():
        print(f"{env.env_spec.env}: no {kind}, {why}", flush=True)
    return list(stage.kinds)


def examine(run: Path, options: argparse.Namespace) -> None:
    """Tests all detectors in the environment of one run, and writes their rows, and videos where asked.

    Raises:
        Refused: for an environment or a kind that there are no violations for.
    """
    agent = loaded(run)
    config = agent.config
    if config.obs in ("pixels", "pixels+state"):
        raise Refused(f"{run}: observes {config.obs}; --pixels tests agents with --obs pixels")
    env_id, env = config.env, make_env(config)
    env.reset(seed=CALIBRATION_SEED)
    kinds = kinds_for(env, stage_of(env), options)
    calibration = mixed_episodes(env, run, options.real_steps, CALIBRATION_SEED, watch=False)
    if len(calibration) < 2:
        length = len(calibration[0].clip.action)
        raise Refused(
            f"--real-steps: {options.real_steps:,} are one episode of {run}, whose surprises are judged by those of "
            f"another; give {length + 1:,} or more"
        )
    test = mixed_episodes(env, run, options.real_steps, TEST_SEED)
    pairs = {kind: pairs_of(env, test, kind, options.pairs, TEST_SEED) for kind in kinds}
    print(f"{env_id}: " + ", ".join(f"{len(found)} {kind}" for kind, found in pairs.items()), flush=True)
    raw = RawChange(calibration)
    matched = {kind: matched_pairs(env, test, kind, options.matched_pairs, TEST_SEED, raw) for kind in kinds}
    for kind, found in matched.items():
        strengths = f", mean strength {np.mean([pair.strength for pair in found]):.2f}" if found else ""
        print(f"{env_id}: {len(found)} {MATCHED}{kind}{strengths}", flush=True)
    model = world_model_detector(agent)
    detectors: list[Detector] = [
        model,
        untrained_detector(agent),
        ConstantVelocityDetector("constant velocity", scaled=True),
        ConstantVelocityDetector("constant velocity, errors unscaled", scaled=False),
        RawChangeDetector(),
    ]
    run_columns = {
        "env": env_id, "agent_frames": agent.frames, "seed": agent.config.seed, "commit": version()
    }  # fmt: skip
    rows = []
    print("  ".join(SHOWN), flush=True)
    for detector in detectors:
        for row in rows_of(detector, calibration, test, pairs, matched):
            rows.append(run_columns | row)
            if row["term"] == ALL_TERMS:
                print("  ".join(str(row[name]) for name in SHOWN), flush=True)
    write(rows, options.out)
    if options.videos is not None:
        from benchmarks.comprehension.violation_video import write_video

        calibrated = CalibratedDetector(model, [episode.clip for episode in calibration])
        for kind, found in pairs.items():
            if found:
                print(write_video(config, kind, found[0], calibrated, options.videos), flush=True)


def write(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Writes rows into the table at `path`; those of other environments and seeds stay."""
    tried = {(row["env"], str(row["seed"])) for row in rows}
    kept = [row for row in raw_rows.read(path) if (row["env"], row["seed"]) not in tried]
    order = list(ENVS)
    for row in (*kept, *rows):
        if row["env"] not in order:
            order.append(row["env"])
    raw_rows.write(path, COLUMNS, sorted([*kept, *rows], key=lambda row: order.index(row["env"])))


def figures_of(rows: Sequence[dict[str, str]]) -> dict[str, float | None]:
    """The figures of one robot, by all terms: means over its runs. None where there are no pairs."""

    def mean(column: str, detector: str, violation: str) -> float | None:
        wanted = (detector, ALL_TERMS, violation)
        found = [float(r[column]) for r in rows if (r["detector"], r["term"], r["violation"]) == wanted]
        value = float(np.mean(found)) if found else math.nan
        return value if math.isfinite(value) else None

    columns = ("pairwise_accuracy", "auroc", "false_alarms_per_1000", "latency_median")
    figures = {column: mean(column, "world model", ALL_GROSS) for column in columns}
    figures |= {"gross_untrained": mean("pairwise_accuracy", DETECTORS["untrained"], ALL_GROSS)}
    for name, detector in DETECTORS.items():
        figures[f"matched_{name}"] = mean("pairwise_accuracy", detector, ALL_MATCHED)
        figures[f"matched_auroc_{name}"] = mean("auroc", detector, ALL_MATCHED)
    trained, untrained = figures["matched_trained"], figures["matched_untrained"]
    known = trained is not None and untrained is not None
    figures["matched_trained_minus_untrained"] = trained - untrained if known else None  # type: ignore[operator]
    return figures


def summary(rows: Sequence[dict[str, str]]) -> dict[str, Any]:
    """The summary of the table; see the top of this file.

    `latency_median` is in steps, and None for a robot whose median violation is not detected.
    """
    robots = list(dict.fromkeys(row["env"] for row in rows))
    by_robot = {robot: figures_of([row for row in rows if row["env"] == robot]) for robot in robots}
    found: dict[str, Any] = {"robots": len(robots)}
    for name in next(iter(by_robot.values())):
        if name == "latency_median":
            continue
        values = {robot: value for robot, of in by_robot.items() if (value := of[name]) is not None}
        if not values:
            continue
        worst = (max if name in LOWER_IS_BETTER else min)(values, key=lambda robot: values[robot])
        found[name] = float(np.mean(list(values.values())))
        found[f"{name}_worst"] = {"robot": worst, "value": values[worst]}
    return found | {"by_robot": by_robot}


def parser() -> argparse.ArgumentParser:
    """The options."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("runs", nargs="*", type=Path, metavar="RUN", help="trained agents")
    p.add_argument("--pixels", action="store_true", help="test agents that observe pictures")
    p.add_argument("--envs", nargs="+", metavar="ENV",
                   help=f"without runs: train in these (default: {' '.join(ENVS)}; "
                        f"with --pixels {' '.join(pixel_training.ENVS)})")  # fmt: skip
    p.add_argument("--steps", type=count, help=f"frames of that training (default: {STEPS}; with --pixels "
                   f"{pixel_training.DECISIONS} decisions)")  # fmt: skip
    p.add_argument("--violations", nargs="+", metavar="KIND", help="default: all that make sense for a robot")
    add_option(p)
    p.add_argument(
        "--pairs",
        type=count_or_none,
        help=f"pairs of each kind, at most (default: {PAIRS}); not with --pixels",
    )
    p.add_argument("--matched-pairs", type=count_or_none, default=40, metavar="N",
                   help="matched pairs of each kind, at most (default: 40)")  # fmt: skip
    p.add_argument("--real-steps", type=count, metavar="N",
                   help=f"real steps to calibrate on, and as many to test on (default: {REAL_STEPS}; with --pixels "
                        f"{pixel_intuition.REAL_DECISIONS}, of which half calibrate)")  # fmt: skip
    p.add_argument("--videos", type=Path, metavar="FOLDER",
                   help="write a video of each kind into it; with --pixels a sheet of pairs")  # fmt: skip
    outputs.add_options(p)
    return p


def main() -> int:
    """Tests the runs that are given, or its own, and writes table and summary."""
    p = parser()
    options = p.parse_args()
    if options.runs and (options.envs or options.steps):
        p.error("--envs and --steps say which agents are trained; give them without RUN")
    if options.pixels and (options.pairs is not None or options.choices is not None):
        p.error("--pairs and --choices are not for --pixels; give --matched-pairs and --violations")
    torch.set_num_threads(1)
    if options.pixels:
        return pixel_intuition.run(options)
    options.out = outputs.table(options, RESULT.name)
    options.real_steps = options.real_steps or REAL_STEPS
    options.pairs = PAIRS if options.pairs is None else options.pairs
    for run in options.runs or (trained(env, options.steps or STEPS) for env in options.envs or ENVS):
        examine(run, options)
    found = summary(raw_rows.read(options.out))
    path = options.out.with_suffix(".json")
    path.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")
    print(options.out, path)
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main))

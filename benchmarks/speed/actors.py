"""Measures frames a second and the return of runs with 0, 1, 2, 4 and 8 actors.

    python benchmarks/speed/actors.py                                  # both environments; -> benchmarks/results/actors.csv
    python benchmarks/speed/actors.py --envs Humanoid-v5 --actors 0 2  # some of the runs
    python benchmarks/speed/actors.py --summary                        # only the table of what is measured

Runs are trained one after the other: each needs the machine for itself. A row is one run of `--steps` frames with one
update a decision from the end of warm-up on. Frames a second are those of the second half of the run, by wall time,
without the evaluation at its end, of three episodes. The CPU time of a frame is that of the process that learns, without
those of the actors. 0 actors act in the process that learns. A row replaces the one of a run that is alike; the summary
compares rows of the same seed, frames, cores and version.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import joule
from benchmarks import raw_rows
from benchmarks.refusals import exit_code
from benchmarks.speed.slow_env import ID as SLOW
from benchmarks.training import RESULTS
from joule.callbacks.callback import Callback, Measurement
from joule.storage.provenance import version
from joule_errors import Refused

COLUMNS = (
    "env", "seed", "actors", "frames", "frames_per_second", "learner_cpu_seconds_per_frame", "staleness_updates",
    "return_mean", "return_std", "cores", "version",
)  # fmt: skip
ALIKE = ("env", "seed", "frames", "cores", "version")
"""Columns in which rows that are compared are equal. Of each number of actors there is one such row, the newest."""
ENVS = (f"benchmarks.speed.slow_env:{SLOW}", "Humanoid-v5")
ACTORS = (0, 1, 2, 4, 8)


class Watch(Callback):
    """Keeps when each row of metrics was written: frames, wall seconds, CPU seconds of the learner, staleness."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, float, float, float]] = []

    def on_metrics(self, measurement: Measurement) -> None:
        """Keeps the time."""
        staleness = measurement.values.get("actors/staleness_updates", 0.0)
        self.rows.append((measurement.frames, measurement.seconds, time.process_time(), staleness))


def measured(env: str, seed: int, actors: int, steps: int, folder: Path) -> dict[str, Any]:
    """Trains a run and returns its row."""
    watch = Watch()
    run = joule.train(
        env=env, seed=seed, actors=actors, steps=steps, eval_every_frames=steps, eval_episodes=3, checkpoint_every_frames=steps,
        video=False, out=folder / f"{actors}", callbacks=[watch], progress=False,
        settings={"learning.initial_utd": 1.0},
    )  # fmt: skip
    later = [row for row in watch.rows if row[0] >= steps // 2]
    frames = later[-1][0] - later[0][0] if later else 0
    if not frames:
        raise Refused(
            f"--steps: the second half of {steps} frames has fewer than two rows of metrics; give more"
        )
    return {
        "env": env.rpartition(":")[2],
        "seed": seed,
        "actors": actors,
        "frames": run.agent.frames,
        "frames_per_second": round(frames / (later[-1][1] - later[0][1]), 1),
        "learner_cpu_seconds_per_frame": round((later[-1][2] - later[0][2]) / frames, 5),
        "staleness_updates": round(float(np.mean([row[3] for row in later])), 1),
        "return_mean": round(run.evaluation["return_mean"], 2),
        "return_std": round(run.evaluation["return_std"], 2),
        "cores": len(os.sched_getaffinity(0)),
        "version": version(),
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """A Markdown table, with the frames a second relative to those without actors in a run that is otherwise alike."""

    def alike(row: dict[str, Any]) -> tuple[str, ...]:
        return tuple(str(row[name]) for name in ALIKE)

    alone = {alike(row): float(row["frames_per_second"]) for row in rows if int(row["actors"]) == 0}
    lines = [
        "| environment | actors | frames a second | relative | updates behind | return |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        speed = float(row["frames_per_second"])
        relative = f"{speed / alone[alike(row)]:.2f}" if alike(row) in alone else "-"
        lines.append(
            f"| {row['env']} | {row['actors']} | {speed:.0f} | {relative} | {float(row['staleness_updates']):.0f} | "
            f"{float(row['return_mean']):,.0f} ± {float(row['return_std']):,.0f} |"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--envs", nargs="+", default=ENVS)
    p.add_argument("--actors", nargs="+", type=int, default=ACTORS)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--steps", type=int, default=4_000)
    p.add_argument("--out", type=Path, default=RESULTS / "actors.csv")
    p.add_argument("--summary", action="store_true", help="only print the table")
    options = p.parse_args(arguments)
    if not options.summary:
        for env in options.envs:
            for actors in options.actors:
                with tempfile.TemporaryDirectory() as folder:
                    row = measured(env, options.seed, actors, options.steps, Path(folder))
                rows = raw_rows.replaced(raw_rows.read(options.out), row, (*ALIKE, "actors"))
                raw_rows.write(options.out, COLUMNS, rows)
                print(row, flush=True)
    rows = raw_rows.read(options.out)
    if not rows:
        raise Refused(f"--summary: {options.out} has no rows; measure some first")
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main))

"""Compares sensor-fault inference with the plain encoder, where sensors are dead, noisy or healthy.

    python benchmarks/comprehension/sensors.py RUN [RUN ...]      resumes where it stopped; --quick for a first look
    python benchmarks/comprehension/sensors.py RUN --redraw       only draws the figure: returns from the CSV, and an
                                                                  episode of RUN, which may be another run

-> benchmarks/results/sensors.csv (a row per episode), sensors.json (the summary), docs/pictures/sensors.png

The seed of an episode draws which 30 % of the sensors are dead, so that both ways of perceiving get the same dead
sensors. Neither is told which they are. Beside the returns, the table has the error of the estimates of dead sensors,
in standard deviations of each, and the share of sensors that were wrongly trusted or distrusted.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

import joule
from agent.seeds import FIRST_SEED
from benchmarks import raw_rows, training
from benchmarks.comprehension.sensor_episodes import (
    COLUMNS,
    CONDITIONS,
    DROPOUT,
    WAYS,
    cpu_ms,
    loaded,
    name_of,
    play_episodes,
)
from benchmarks.comprehension.sensor_summary import draw, summary

RESULT = training.RESULTS / "sensors.csv"
PICTURE = training.ROOT / "docs" / "pictures" / "sensors.png"
QUICK_RESULT = training.RUNS / "sensors-quick.csv"
QUICK_DECISIONS, QUICK_EPISODES = 400, 2
Rows = list[dict[str, Any]]


def play_run(run: Path, options: argparse.Namespace, rows: Rows) -> Rows:
    """Plays the episodes of a run that have no row yet, and writes the table after each condition.

    Returns:
        All rows that belong to this environment, planner and length of episodes.
    """
    settings = {"planner.kind": "policy"} if options.quick else {}
    own: dict[str, str] = {}
    for condition, share in CONDITIONS.items():
        episodes = QUICK_EPISODES if options.quick else max(1, round(share * options.episodes))
        for way in WAYS:
            agent = loaded(run, way, **settings)
            limit = agent.env_spec.episode_limit
            if limit is None:
                raise SystemExit(f"{agent.env_spec.env}: its episodes have no limit")
            decisions = min(QUICK_DECISIONS, limit) if options.quick else limit
            config = agent.config
            own = {"env": config.env, "planner": config.planner.kind, "decisions": str(decisions)}
            key = own | {
                "run_seed": str(config.seed), "run_frames": str(agent.frames),
                "condition": name_of(condition), "perceive": way,
            }  # fmt: skip
            done = {int(r["episode_seed"]) for r in rows if all(str(r[name]) == key[name] for name in key)}
            seeds = [seed for seed in range(FIRST_SEED, FIRST_SEED + episodes) if seed not in done]
            if not seeds:
                continue
            new = play_episodes(agent, condition, seeds, decisions)
            rows += new
            raw_rows.write(options.out, COLUMNS, rows)
            returns = [row["return"] for row in new]
            print(f"{run.name} {name_of(condition):16} {way:8} {np.mean(returns):9.1f}", returns, flush=True)
    return [row for row in rows if all(str(row[name]) == own[name] for name in own)]


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    p.add_argument("--episodes", type=int, default=10, help="with dead sensors, for a run (default: 10)")
    p.add_argument(
        "--quick", action="store_true", help="two episodes of 400 decisions each, without the planner"
    )
    p.add_argument("--redraw", action="store_true", help="only draw the figure")
    p.add_argument(
        "--out", type=Path,
        help="the table (default: benchmarks/results/sensors.csv, or runs/sensors-quick.csv with --quick)",
    )  # fmt: skip
    p.add_argument(
        "--picture", type=Path, help="default: docs/pictures/sensors.png, or beside the table with --quick"
    )
    options = p.parse_args()
    options.out = options.out or (QUICK_RESULT if options.quick else RESULT)
    options.picture = options.picture or (options.out.with_suffix(".png") if options.quick else PICTURE)
    torch.set_num_threads(1)
    rows = raw_rows.read(options.out)
    if options.redraw:
        env = joule.load(options.runs[0]).config.env
        draw([row for row in rows if row["env"] == env], options.runs[0], options.picture)
        return 0
    for run in options.runs:
        own = play_run(run, options, rows)
    times = {name_of(condition): cpu_ms(options.runs[0], condition) for condition in ("", DROPOUT)}
    found = summary(own, times)
    options.out.with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n")
    draw(own, options.runs[0], options.picture)
    print(json.dumps({"ratio_to_plain_encoder": found["ratio_to_plain_encoder"], **times}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Compares sensor-fault inference with the plain encoder, where sensors are dead, noisy or healthy.

    python benchmarks/comprehension/sensors.py RUN [RUN ...]      resumes where it stopped, in the same version;
                                                                  --quick for a first look
    python benchmarks/comprehension/sensors.py RUN --conditions dead_sensor.torso_pitch dropout=0.3@100
                                                                  other perturbations of the sensors; "" is none
    python benchmarks/comprehension/sensors.py RUN --redraw       only draws the figure: returns from the CSV, and an
                                                                  episode of RUN, which may be another run

-> runs/comprehension/sensors.csv (a row per episode), sensors.json (the summary), sensors.png; --published: in
benchmarks/results/ and docs/pictures/

The runs may be of any robot; all must be of one. The seed of an episode draws which 30 % of the sensors are dead, so that both ways of perceiving get the same dead
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
from benchmarks.comprehension import outputs
from benchmarks.comprehension.choices import add_option, choices_for
from benchmarks.comprehension.sensor_episodes import (
    COLUMNS,
    CONDITIONS,
    DROPOUT,
    LONGEST,
    WAYS,
    cpu_ms,
    loaded,
    name_of,
    perturbed_config,
    play_episodes,
)
from benchmarks.comprehension.sensor_summary import draw, summary
from benchmarks.counts import count
from benchmarks.refusals import exit_code
from envs.changes.factors import parse
from joule.environment import make_env
from joule.storage.provenance import version
from joule_errors import Refused

RESULT = training.RESULTS / "sensors.csv"
PICTURE = training.ROOT / "docs" / "pictures" / "sensors.png"
QUICK_RESULT = "sensors-quick.csv"
QUICK_DECISIONS, QUICK_EPISODES = 400, 2
OF_SENSORS = ("dropout", "noise", "dead_sensor")
"""Factors of variation that sensors have."""
Rows = list[dict[str, Any]]


def conditions_for(run: Path, options: argparse.Namespace) -> dict[str, float]:
    """Condition -> share of --episodes: of the command line, of a file, or the default ones.

    Raises:
        Refused: for a perturbation that is malformed, that is none of sensors, or of a sensor that is not there.
    """
    config = joule.load(run).config
    given = options.conditions or choices_for(options.choices, config.env).sensors
    if given is None:
        return CONDITIONS
    for condition in given:
        if condition and parse(condition).factor not in OF_SENSORS:
            raise Refused(f"condition {condition!r}: sensors have {', '.join(OF_SENSORS)}")
        make_env(perturbed_config(config, condition)).close()
    return dict.fromkeys(given, 1.0)


def play_run(run: Path, options: argparse.Namespace, rows: Rows) -> Rows:
    """Plays the episodes of a run that have no row of this version yet, and writes the table after each condition.

    Args:
        run: the run folder.
        options: of the command line.
        rows: of the table; new ones are added, in place of those of another version or length.

    Returns:
        The rows of this run.
    """
    settings = {"planner.kind": "policy"} if options.quick else {}
    own: dict[str, str] = {}
    for condition, share in conditions_for(run, options).items():
        episodes = QUICK_EPISODES if options.quick else max(1, round(share * options.episodes))
        for way in WAYS:
            agent = loaded(run, way, **settings)
            decisions = agent.env_spec.episode_limit or LONGEST
            if options.quick:
                decisions = min(QUICK_DECISIONS, decisions)
            config = agent.config
            own = {
                "env": config.env, "planner": config.planner.kind, "run_seed": str(config.seed),
                "run_frames": str(agent.frames),
            }  # fmt: skip
            before = having(rows, own | {"condition": name_of(condition), "perceive": way})
            now = having(before, {"commit": version(), "most_decisions": str(decisions)})
            done = {int(row["episode_seed"]) for row in now}
            seeds = [seed for seed in range(FIRST_SEED, FIRST_SEED + episodes) if seed not in done]
            if not seeds:
                continue
            new = play_episodes(agent, condition, seeds, decisions)
            rows[:] = [row for row in rows if row not in before or row in now] + new
            raw_rows.write(options.out, COLUMNS, rows)
            returns = [row["return"] for row in new]
            print(f"{run.name} {name_of(condition):16} {way:8} {np.mean(returns):9.1f}", returns, flush=True)
    return having(rows, own)


def having(rows: Rows, columns: dict[str, str]) -> Rows:
    """The rows with these values."""
    return [row for row in rows if all(str(row.get(name, "")) == value for name, value in columns.items())]


def parser() -> argparse.ArgumentParser:
    """The options."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    p.add_argument(
        "--conditions",
        nargs="+",
        metavar="PERTURBATION",
        help='of the sensors; "" is none (default: see the guide)',
    )
    add_option(p)
    p.add_argument("--episodes", type=count, default=10, help="with dead sensors, for a run (default: 10)")
    p.add_argument(
        "--quick", action="store_true", help="two episodes of 400 decisions each, without the planner"
    )
    p.add_argument("--redraw", action="store_true", help="only draw the figure")
    outputs.add_options(p)
    outputs.add_picture(p)
    return p


def main() -> int:
    """Plays the runs, and writes table, summary and figure."""
    p = parser()
    options = p.parse_args()
    if options.quick and options.published:
        p.error("--quick: a first look is not published")
    options.out = outputs.table(options, QUICK_RESULT if options.quick else RESULT.name)
    options.picture = outputs.picture(options, options.out, PICTURE)
    torch.set_num_threads(1)
    if options.redraw:
        env = joule.load(options.runs[0]).config.env
        draw(outputs.rows_to_show(options.out, env), options.runs[0], options.picture)
        return 0
    if len(robots := {joule.load(run).config.env for run in options.runs}) > 1:
        raise Refused(f"the runs are of {', '.join(sorted(robots))}; give runs of one robot")
    rows = raw_rows.read(options.out)
    own = [row for run in options.runs for row in play_run(run, options, rows)]
    conditions = conditions_for(options.runs[0], options)
    times = {
        name_of(condition): cpu_ms(options.runs[0], condition)
        for condition in conditions
        if condition in ("", DROPOUT)
    }
    found = summary(own, times)
    options.out.with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n")
    draw(own, options.runs[0], options.picture)
    print(json.dumps({"ratio_to_plain_encoder": found["ratio_to_plain_encoder"], **times}))
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main))

"""How well trained agents read the named quantities of their robots: R² per readout, on held-out episodes.

    python benchmarks/comprehension/readouts.py runs/walker runs/cheetah    -> runs/comprehension/readouts.json
    python benchmarks/comprehension/readouts.py RUN --episodes 20 --out FILE

The agents act as in an evaluation, on seeds that no run has used, from 30,000 on. R² is measured on at most 2,000 steps
spread over the episodes; see docs/guide/readouts.md. A readout that no sensor shows, such as how far a cheetah has run, is
not legible. `legible_share` is the share of the readouts that vary with R² of at least 0.8, the mean over robots, and
`worst_robot` the robot with the least. Several runs of one robot are averaged by readout, each with the same weight.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import joule
from agent.cost.legibility import FEWEST_ROWS, LEGIBLE
from agent.interface import Agent, Legible
from benchmarks import training
from benchmarks.comprehension import outputs
from benchmarks.counts import count
from joule.environment import make_env
from joule.storage.provenance import version
from joule.training.evaluation import evaluate
from joule_errors import Refused

RESULT = training.RESULTS / "readouts.json"
FIRST_SEED = 30_000
EPISODES = 10


def measured(agent: Agent, episodes: int) -> dict[str, float]:
    """R² of each readout of an agent, NaN where a readout does not vary.

    Refused for an agent that reads none, and for too few decisions.
    """
    if not isinstance(agent, Legible):
        raise Refused(f"{agent.config.agent} reads no readouts; joule does")
    found = evaluate(agent, lambda: make_env(agent.config), episodes, FIRST_SEED, read=True)
    assert found.read_steps is not None
    legibility = agent.legibility(*found.read_steps)
    if not legibility:
        raise Refused(
            f"its {episodes} episodes have fewer than {FEWEST_ROWS} decisions whose readouts are finite; give more --episodes"
        )
    return legibility


def by_readout(runs: Sequence[Mapping[str, float]]) -> dict[str, float | None]:
    """The mean R² of each readout over runs of one robot; None where it varies in none of them."""
    means = {}
    for name in dict.fromkeys(name for run in runs for name in run):
        values = [run[name] for run in runs if not math.isnan(run.get(name, math.nan))]
        means[name] = float(np.mean(values)) if values else None
    return means


def summary(robots: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The share of legible readouts: of each robot, their mean, and the robot with the least."""
    shares = {}
    for robot, of in robots.items():
        known = [value for value in of["r_squared"].values() if value is not None]
        shares[robot] = float(np.mean([value >= LEGIBLE for value in known])) if known else 0.0
    worst = min(shares, key=lambda robot: shares[robot])
    return {
        "legible_share": float(np.mean(list(shares.values()))),
        "robots": len(shares),
        "worst_robot": worst,
        "legible_share_by_robot": shares,
    }


def main(arguments: Sequence[str]) -> int:
    """Measures the runs that are given, and writes the table."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders of joule's agent")
    p.add_argument("--episodes", type=count, default=EPISODES, help=f"per run (default: {EPISODES})")
    outputs.add_options(p)
    options = p.parse_args(arguments)
    options.out = outputs.table(options, RESULT.name)
    found: dict[str, list[tuple[Agent, dict[str, float]]]] = {}
    for path in options.runs:
        try:
            agent = joule.load(path)
            of_run = measured(agent, options.episodes)
        except Refused as error:
            print(f"{path}: {error}", file=sys.stderr)
            return 2
        found.setdefault(agent.config.env, []).append((agent, of_run))
        vary = [value for value in of_run.values() if not math.isnan(value)]
        legible = sum(value >= LEGIBLE for value in vary)
        print(f"{agent.config.env}, {agent.frames:,} frames: {legible} of {len(vary)} legible", flush=True)
    robots = {
        robot: {
            "frames": [agent.frames for agent, _ in runs],
            "seeds": [agent.config.seed for agent, _ in runs],
            "r_squared": by_readout([of_run for _, of_run in runs]),
        }
        for robot, runs in sorted(found.items())
    }
    result = {**summary(robots), "episodes": options.episodes, "commit": version(), "by_robot": robots}
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

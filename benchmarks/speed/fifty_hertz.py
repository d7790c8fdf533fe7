"""Measures how long the decisions of a loop at 50 Hz take on one core of this computer.

    python benchmarks/speed/fifty_hertz.py                  # -> benchmarks/results/fifty_hertz.csv
    python benchmarks/speed/fifty_hertz.py --out mine.csv

An agent of the default size that has not learned drives HalfCheetah-v5 with a deadline of 15 ms, once with the default
search and once with a search that only the deadline ends. A row has the latencies of 1,000 decisions after 20 that
prepare, by wall time. Leave the core to it: `taskset -c 0 python benchmarks/speed/fifty_hertz.py`.
"""

from __future__ import annotations

import argparse
import csv
import gc
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import joule
from benchmarks.training import RESULTS
from joule.storage.provenance import version

DEADLINE_MS, DECISIONS, TRIALS = 15.0, 1_000, 3
ITERATIONS = {"default": 3, "until the deadline": 100}
"""Name -> iterations at most."""
COLUMNS = (
    "search",
    "trial",
    "median_ms",
    "p99_ms",
    "longest_ms",
    "missed_share",
    "fell_back_share",
    "iterations",
    "version",
)


def timed(iterations: int, decisions: int = DECISIONS) -> dict[str, float]:
    """The timing of a new agent that acts by the deadline."""
    agent: Any = joule.make(
        "joule", env="HalfCheetah-v5", seed=1, settings={"planner.iterations": iterations}
    )
    # Disagreement is computed only where its usual size is known, and an agent that has not learned does not know.
    agent.modules.networks.usual_disagreement.fill_(1.0)
    obs, _ = agent.env.reset(seed=1)
    for _ in range(20):
        agent.act(obs, deadline_ms=DEADLINE_MS, episode_start=True)
    gc.collect()
    gc.freeze()
    agent.timing.clear()
    for _ in range(decisions):
        obs, *_ = agent.env.step(agent.act(obs, deadline_ms=DEADLINE_MS))
    agent.env.close()
    summary: dict[str, float] = agent.timing.summary()
    return summary


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command. Returns its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, default=RESULTS / "fifty_hertz.csv", help="CSV (default: %(default)s)"
    )
    out = parser.parse_args(arguments).out
    rows = []
    for name, iterations in ITERATIONS.items():
        for trial in range(1, TRIALS + 1):
            timing = {key: round(value, 3) for key, value in timed(iterations).items() if key in COLUMNS}
            rows.append({"search": name, "trial": trial, **timing, "version": version()})
            print(", ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    with out.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    print(f"wrote {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

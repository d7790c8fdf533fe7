"""Two time scales against one: goals behind walls in joule/LongMaze-v0, with sub-goals and without.

    python benchmarks/learning/hierarchy.py                        # the newest rows, and the ratio
    python benchmarks/learning/hierarchy.py --run --seeds 1        # trains what is missing, resumably, and evaluates

An agent collects experience without a reward, by smooth random actions, learns perception and dynamics from it, then
to reach goals. The same agent is evaluated on the same pairs of a start and a goal in three ways: `hierarchy` acts towards
sub-goals on the remembered way to the goal, `flat` plans for the goal itself, and `flat_longer` does so with a larger
search, which takes at least as much time as a decision of `hierarchy`. Every evaluation adds its rows to
benchmarks/results/hierarchy.csv; the newest rows of a seed count.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import joule
from agent.cost.goal import SUB_GOAL_DECISIONS
from benchmarks import raw_rows
from benchmarks.learning.goal_rows import GOAL_FIGURES, rounded_figures
from benchmarks.training import RESULTS, RUNS, TrainingRun, train_all
from joule.storage.provenance import version

ENV = "joule/LongMaze-v0"
FRAMES, GOAL_UPDATES, PAIRS = 30_000, 6_000, 50
RAW = RESULTS / "hierarchy.csv"
COLUMNS = (
    "env", "seed", "frames", "goal_updates", "way", "sub_goal_decisions", "planner_samples", "planner_iterations",
    "acts", "pairs", "decisions", *GOAL_FIGURES, "train_cpu_seconds", "goal_cpu_seconds", "version",
)  # fmt: skip
LONGER: dict[str, Any] = {"planner.samples": 256, "planner.iterations": 4}
"""A search of several times the candidates."""
WAYS: dict[str, tuple[int, dict[str, Any]]] = {
    "hierarchy": (SUB_GOAL_DECISIONS, {}),
    "flat": (0, {}),
    "flat_longer": (0, LONGER),
}
"""Name -> how far ahead sub-goals lie, in decisions, and settings of the planner."""


def measure(seed: int, pairs: int = PAIRS, ways: Sequence[str] = tuple(WAYS)) -> list[dict[str, Any]]:
    """Trains one agent, evaluates it in some of the ways, and returns its rows."""
    options = ("--env", ENV, "--seed", str(seed), "--reward", "none", "--explore.kind", "smooth")
    (run,) = train_all([TrainingRun(RUNS / "hierarchy" / f"seed{seed}", FRAMES, options)], 1)
    first: Any = joule.load(run)
    begun = time.process_time()
    first.learn_goals(GOAL_UPDATES)
    learned = time.process_time() - begun
    rows = []
    for way in ways:
        ahead, settings = WAYS[way]
        agent: Any = joule.load(run, settings=settings)
        agent.modules.networks.goals = first.modules.networks.goals
        record = joule.evaluate_goals(agent, pairs, sub_goal_decisions=ahead)
        planner = agent.modules.actor.planner(1).settings
        for acts, result in record["results"].items():
            rows.append({
                "env": ENV, "seed": seed, "frames": agent.frames, "goal_updates": GOAL_UPDATES, "way": way,
                "sub_goal_decisions": ahead, "planner_samples": planner.samples,
                "planner_iterations": planner.iterations, "acts": acts, "pairs": record["pairs"],
                "decisions": record["decisions"], "train_cpu_seconds": round(agent.clock.seconds()["cpu"], 1),
                "goal_cpu_seconds": round(learned, 1), "version": version(), **rounded_figures(result),
            })  # fmt: skip
    return rows


def newest(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The newest rows of each seed."""
    return list({(row["seed"], row["way"], row["acts"]): row for row in rows}.values())


def ratio(rows: Sequence[Mapping[str, Any]]) -> tuple[float | None, str]:
    """Success with sub-goals over that without, for plans; and why there is none.

    Of the two ways of flat planning, the one that reached more goals counts.
    """
    shares = {
        way: [float(row["success"]) for row in newest(rows) if (row["way"], row["acts"]) == (way, "plan")]
        for way in WAYS
    }
    if not all(shares.values()):
        return None, "not measured yet"
    flat = max(float(np.mean(shares[way])) for way in ("flat", "flat_longer"))
    if not flat:
        return None, "the flat planner reached no goal"
    return round(float(np.mean(shares["hierarchy"])) / flat, 2), ""


def main(arguments: list[str] | None = None) -> int:
    """Trains and evaluates where it is asked to, and shows the newest rows.

    Args:
        arguments: the options; default those of the process.
    """
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--run", action="store_true", help="train what is missing, and evaluate")
    p.add_argument("--seeds", nargs="+", type=int, default=[1])
    p.add_argument("--pairs", type=int, default=PAIRS)
    p.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    options = p.parse_args(arguments)
    for seed in options.seeds if options.run else ():
        raw_rows.add(RAW, COLUMNS, measure(seed, options.pairs, options.ways))
    rows = raw_rows.read(RAW)
    for row in newest(rows):
        print(", ".join(f"{name} {row[name]}" for name in ("seed", "way", "acts", *GOAL_FIGURES)))
    found, why = ratio(rows)
    print(f"with sub-goals over without: {why if found is None else found}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

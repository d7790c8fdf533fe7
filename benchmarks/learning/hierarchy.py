"""Two time scales against one: goals behind walls in joule/LongMaze-v0, with sub-goals and without.

    python benchmarks/learning/hierarchy.py                        # the rows that are compared, and the ratio
    python benchmarks/learning/hierarchy.py --run --seeds 1        # trains what is missing, resumably, and evaluates

An agent collects experience without a reward, by smooth random actions, learns perception and dynamics from it, then
to reach goals. The same agent is evaluated on the same pairs of a start and a goal in three ways: `hierarchy` acts towards
sub-goals on the remembered way to the goal, `flat` plans for the goal itself, and `flat_longer` does so with a larger
search, which takes at least as much time as a decision of `hierarchy`. Every evaluation adds its rows to
benchmarks/results/hierarchy.csv. Only rows of one version, with as many pairs and updates, are compared: of the newest
version that has evaluated an agent in all three ways. The figure is the mean over its seeds.
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
from benchmarks.refusals import exit_code
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
ALIKE = ("version", "pairs", "goal_updates")
"""Columns in which compared rows are equal."""


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


def compared(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows of plans that may be compared: of the newest version, pairs and updates for which a seed has all ways.

    Seeds that do not have all ways are left out.
    """
    agents: dict[tuple[Any, ...], dict[str, Mapping[str, Any]]] = {}
    for row in (row for row in rows if row["acts"] == "plan"):
        agent = (*(row[name] for name in ALIKE), row["seed"])
        agents[agent] = {**agents.pop(agent, {}), row["way"]: row}  # at the end: it is the newest now
    complete = {agent: ways for agent, ways in agents.items() if ways.keys() == WAYS.keys()}
    newest = [*complete][-1][:-1] if complete else ()
    return [row for (*alike, _), ways in complete.items() if tuple(alike) == newest for row in ways.values()]


def shares(rows: Sequence[Mapping[str, Any]]) -> tuple[float, float] | None:
    """The share of goals that plans reach with sub-goals and without; None where they were not compared.

    Of the two ways of flat planning, the one that reached more goals counts.
    """
    found = compared(rows)
    if not found:
        return None
    mean = {
        way: float(np.mean([float(row["success"]) for row in found if row["way"] == way])) for way in WAYS
    }
    return mean["hierarchy"], max(mean["flat"], mean["flat_longer"])


def ratio(rows: Sequence[Mapping[str, Any]]) -> tuple[float | None, str]:
    """Success with sub-goals over that without, for plans; and why there is none."""
    found = shares(rows)
    if found is None:
        return None, "not measured yet"
    if not found[1]:
        return None, "the flat planner reached no goal"
    return round(found[0] / found[1], 2), ""


def main(arguments: list[str] | None = None) -> int:
    """Trains and evaluates where it is asked to, and shows the rows that are compared.

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
    for row in compared(rows):
        print(", ".join(f"{name} {row[name]}" for name in (*ALIKE, "seed", "way", *GOAL_FIGURES)))
    found, why = ratio(rows)
    print(f"with sub-goals over without: {why if found is None else found}")
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main))

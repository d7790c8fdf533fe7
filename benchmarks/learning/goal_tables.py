"""The tables of the report on goals, from the raw rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.learning import hierarchy
from benchmarks.learning.goal_rows import of_newest_version
from benchmarks.markdown_tables import markdown

Row = Mapping[str, Any]
Rows = Sequence[Row]

SUBJECTS = {
    "maze": "joule/Maze-v0",
    "umaze": "PointMaze_UMaze-v3",
    "reach": "joule/Reach-v0",
    "reach_pixels": "joule/Reach-v0, pictures of 64 x 64",
    "push": "joule/Push-v0",
}
"""Subject -> what the table calls it."""
BASELINES = ("her", "her_equal_cpu")
"""Endings of the names of the baseline's subjects."""
OBSERVED = {"pixels": "pictures, 48 x 48", "state": "state"}
WAYS = {
    "hierarchy": "sub-goals five decisions ahead",
    "flat": "no sub-goals",
    "flat_longer": "no sub-goals, more candidates",
}


def own_tasks(rows: Rows) -> str:
    """What acts towards goals in each environment; rows of goals.csv."""
    cells = []
    for name, title in SUBJECTS.items():
        newest = _newest(rows, name)
        plan = _of(newest, "plan")
        oracle = [row for row in rows if row["subject"] == name and row["acts"] == "oracle"]
        cells.append([
            title, f"{_mean(plan, 'frames'):,.0f}", _minutes(plan), reached(plan), reached(_of(newest, "policy")),
            reached(_of(newest, "random")), reached(oracle[-1:]), f"{_mean(plan, 'median_ms'):.0f}",
        ])  # fmt: skip
    return markdown(
        ("environment", "frames", "CPU-min", "plans", "goal's policy", "random actions", "true physics", "ms a plan"),
        cells,
    )  # fmt: skip


def baseline(rows: Rows) -> str:
    """SAC with hindsight beside Joule's plans; rows of goals.csv."""
    cells = []
    for name, title in SUBJECTS.items():
        cells.append([title, reached(_of(_newest(rows, name), "plan"))])
        for ending in BASELINES:
            policy = _of(_newest(rows, f"{name}_{ending}"), "policy")
            cells[-1] += [reached(policy), f"{_mean(policy, 'frames'):,.0f}" if policy else "—"]
    return markdown(
        ("environment", "Joule's plans", "baseline, as many frames", "its frames", "baseline, as much CPU time",
         "its frames"),
        cells,
    )  # fmt: skip


def recorded(rows: Rows) -> str:
    """The environments of stable-worldmodel, a row for each amount of data and learning; rows of swm_goals.csv."""
    every = [row for row in rows if row["goals"] == "recording"]
    cells = []
    for learned in sorted({_learned(row) for row in every}):
        of = [row for row in every if _learned(row) == learned]
        plan = _of(of, "plan")
        cells.append([
            plan[0]["env"], OBSERVED[plan[0]["observes"]],
            *(f"{_mean(plan, column):,.0f}" for column in ("data_transitions", "gradient_steps", "goal_updates")),
            _minutes(plan), *(reached(_of(of, acts)) for acts in ("plan", "policy", "random")),
            f"{_mean(plan, 'median_ms'):.0f}",
        ])  # fmt: skip
    return markdown(
        ("environment", "observes", "transitions", "gradient steps", "updates of `learn_goals`", "CPU-min", "plans",
         "goal's policy", "random actions", "ms a plan"),
        cells,
    )  # fmt: skip


def two_time_scales(rows: Rows) -> str:
    """Plans with sub-goals and without, of one version; rows of hierarchy.csv."""
    found = hierarchy.compared(rows)
    cells = []
    for way, title in WAYS.items():
        of = [row for row in found if row["way"] == way]
        candidates = int(of[0]["planner_samples"]) * int(of[0]["planner_iterations"])
        cells.append([title, str(candidates), f"{_mean(of, 'median_ms'):.0f}", reached(of)])
    return markdown(("way", "candidates a plan", "ms a plan", "goals reached"), cells)


def reached(rows: Rows) -> str:
    """A cell: the share of goals in percent, with its interval; a dash where nothing was measured."""
    if not rows:
        return "—"
    share, low, high = (100.0 * _mean(rows, column) for column in ("success", "low", "high"))
    return f"{share:.0f} % ({low:.0f} to {high:.0f})"


def _newest(rows: Rows, subject: str) -> list[Row]:
    return of_newest_version([row for row in rows if row["subject"] == subject and row["acts"] != "oracle"])


def _of(rows: Rows, acts: str) -> list[Row]:
    return [row for row in rows if row["acts"] == acts]


def _mean(rows: Rows, column: str) -> float:
    return float(np.mean([float(row[column]) for row in rows]))


def _minutes(rows: Rows) -> str:
    """A cell: CPU-minutes of training and of learning to reach goals."""
    return f"{sum(_mean(rows, column) for column in ('train_cpu_seconds', 'goal_cpu_seconds')) / 60.0:.0f}"


def _learned(row: Row) -> tuple[Any, ...]:
    """What tells two evaluations of swm_goals.csv apart, in the order of the table."""
    numbers = (
        int(row[name]) for name in ("data_transitions", "gradient_steps", "goal_updates", "pairs", "seed")
    )
    return (row["env"], row["observes"], *numbers)

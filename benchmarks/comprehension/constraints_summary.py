"""The summary of the rows of `constraints.py`: what a constraint prevents, and what it costs."""

from __future__ import annotations

from typing import Any

import numpy as np

SUMMARY = "guardrail.json"
"""Its file, beside the table."""
WAYS = ("no", "yes", "learned")
"""Values of the column `kept`."""
CEILING = "from scratch"
"""Its value for an agent that learned with the constraint from its first frame."""


def summary(rows: list[dict[str, Any]], horizon: int) -> dict[str, Any]:
    """The summary of a table; see the top of `constraints.py`."""
    ways = {way: figures_of(rows, horizon, way) for way in WAYS[1:]}
    return ways["learned"] | {"horizon": horizon, "planning_only": ways["yes"]}


def figures_of(rows: list[dict[str, Any]], horizon: int, way: str) -> dict[str, Any]:
    """The figures of one way, for each environment, their mean and the worst; the runs of an environment are averaged.

    A figure is None where it is not known: a ratio without violations to compare with, a loss without a ceiling.
    """
    figures: dict[str, dict[str, float | None]] = {}
    for env in dict.fromkeys(row["env"] for row in rows):
        own = [row for row in rows if row["env"] == env and int(row["horizon"]) == horizon]
        seeds = {row["seed"] for row in own if row["kept"] == way}
        own = [row for row in own if row["seed"] in seeds]
        measured = {(row["seed"], row["constraint"]) for row in own if row["kept"] == way}
        ceilings = {(row["seed"], row["constraint"]) for row in own if row["kept"] == CEILING}
        if not measured <= ceilings:  # of another constraint, or not of every seed
            own = [row for row in own if row["kept"] != CEILING]
        if not {"no", way} <= {row["kept"] for row in own}:
            continue

        def mean(column: str, kept: str, rows: list[dict[str, Any]] = own) -> float | None:
            values = [float(row[column]) for row in rows if row["kept"] == kept]
            return float(np.mean(values)) if values else None

        violations = {kept: mean("violations_per_1000", kept) for kept in ("no", way, CEILING)}
        returns = {kept: mean("return_mean", kept) for kept in ("no", way, CEILING)}
        figures[env] = {
            "violations_ratio": _ratio(violations[way], violations["no"]),
            "return_lost": _lost(returns[way], returns[CEILING]),
            "return_lost_of_free": _lost(returns[way], returns["no"]),
            "violations_ratio_from_scratch": _ratio(violations[CEILING], violations["no"]),
        }
    combined: dict[str, float | None] = {}
    for name in ("violations_ratio", "return_lost", "return_lost_of_free"):
        known = [x for of_env in figures.values() if (x := of_env[name]) is not None]
        combined[name] = float(np.mean(known)) if known else None
        combined[f"{name}_worst"] = max(known, default=None)
    return combined | {"environments": figures}


def _ratio(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole


def _lost(kept: float | None, ceiling: float | None) -> float | None:
    return None if kept is None or not ceiling else (ceiling - kept) / abs(ceiling)

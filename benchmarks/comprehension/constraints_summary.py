"""The summary of the rows of `constraints.py`: what a constraint prevents, and what it costs."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.markdown_tables import each_run, markdown

SUMMARY = "guardrail.json"
"""Its file, beside the table."""
WAYS = ("no", "yes", "learned")
"""Values of the column `kept`."""
CEILING = "from scratch"
"""Its value for an agent that learned with the constraint from its first frame."""
WITH_AGENT, WITH_CEILING = ("seed", "run_frames", "constraint"), ("seed", "constraint")
"""Columns in which rows of one agent are equal, and those of an agent and its ceiling, which is another run."""
SHOWN = {"no": "without the constraint", "yes": "planned", "learned": "learned", CEILING: CEILING}
"""Value of `kept` -> its text in the report."""


def summary(rows: list[dict[str, Any]], horizon: int) -> dict[str, Any]:
    """The summary of a table; see the top of `constraints.py`."""
    ways = {way: figures_of(rows, horizon, way) for way in WAYS[1:]}
    return ways["learned"] | {"horizon": horizon, "planning_only": ways["yes"]}


def figures_of(rows: list[dict[str, Any]], horizon: int, way: str) -> dict[str, Any]:
    """The figures of one way, for each environment, their mean and the worst; the runs of an environment are averaged.

    A figure is None where it is not known: a ratio without violations to compare with, a loss without a ceiling. What is
    lost of the ceiling's return is about the runs that have a ceiling under the same constraint.
    """
    figures: dict[str, dict[str, float | None]] = {}
    for env in dict.fromkeys(row["env"] for row in rows):
        own = [row for row in rows if row["env"] == env and int(row["horizon"]) == horizon]
        agents = _pairs(own, way, *WITH_AGENT) & _pairs(own, "no", *WITH_AGENT)
        if not agents:
            continue
        of_agents = [row for row in own if tuple(row[name] for name in WITH_AGENT) in agents]
        ceilings = _pairs(own, CEILING, *WITH_CEILING) & _pairs(of_agents, way, *WITH_CEILING)
        own = of_agents + [row for row in own if row["kept"] == CEILING]
        with_ceiling = [row for row in own if tuple(row[name] for name in WITH_CEILING) in ceilings]

        def mean(column: str, kept: str, rows: list[dict[str, Any]] = own) -> float | None:
            values = [float(row[column]) for row in rows if row["kept"] == kept]
            return float(np.mean(values)) if values else None

        violations, returns = "violations_per_1000", "return_mean"
        figures[env] = {
            "violations_ratio": _ratio(mean(violations, way), mean(violations, "no")),
            "return_lost": _lost(mean(returns, way, with_ceiling), mean(returns, CEILING, with_ceiling)),
            "return_lost_of_free": _lost(mean(returns, way), mean(returns, "no")),
            "violations_ratio_from_scratch": _ratio(
                mean(violations, CEILING, with_ceiling), mean(violations, "no", with_ceiling)
            ),
        }
    combined: dict[str, float | None] = {}
    for name in ("violations_ratio", "return_lost", "return_lost_of_free"):
        known = [x for of_env in figures.values() if (x := of_env[name]) is not None]
        combined[name] = float(np.mean(known)) if known else None
        combined[f"{name}_worst"] = max(known, default=None)
    return combined | {"environments": figures}


def _pairs(rows: list[dict[str, Any]], kept: str, *columns: str) -> set[tuple[Any, ...]]:
    """What rows of one way have in some columns."""
    return {tuple(row[name] for name in columns) for row in rows if row["kept"] == kept}


def _ratio(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole


def _lost(kept: float | None, ceiling: float | None) -> float | None:
    return None if kept is None or not ceiling else (ceiling - kept) / abs(ceiling)


def table(rows: list[dict[str, Any]], horizon: int) -> str:
    """The rows of a horizon in Markdown: a line for each agent and way to keep its constraint."""
    own = [row for row in rows if int(row["horizon"]) == horizon]
    agents = dict.fromkeys((row["env"], row["seed"], row["constraint"]) for row in own)
    lines = [
        [
            f"{env}, seed {seed}, `{constraint}`: {SHOWN[kept]}",
            f"{float(row['violations_per_1000']):.1f}",
            each_run([row]),
            f"{float(row['worst']):.2f}" if float(row["worst"]) else "—",
        ]
        for env, seed, constraint in sorted(agents)
        for kept in SHOWN
        for row in own
        if (row["env"], row["seed"], row["constraint"], row["kept"]) == (env, seed, constraint, kept)
    ]
    return markdown(["agent and constraint", "violations in 1,000", "return", "worst violation"], lines)

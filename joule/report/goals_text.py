"""An evaluation of goals as text: one row for everything that acts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joule.escaping import terminal
from joule.report.amounts import count

HEADER = f"{'acts':<10}{'reached':>10}{'95 % interval':>18}{'decisions':>12}{'ms each':>10}"


def distances(within: Mapping[str, float]) -> str:
    """Distances that are near enough, by readout, as words."""
    return " and ".join(f"{name} within {distance:g}" for name, distance in within.items())


def by_energy(record: Mapping[str, Any]) -> str:
    """The words that say how the one goal of a record is planned for; see `evaluation_record.plan_record`."""
    counted = distances(record["goal_within"] or {})
    return f"by {record['goal_energy']}{counted and f' ({counted})'}"


def heading(record: Mapping[str, Any]) -> str:
    """The line that says what is evaluated."""
    within = distances(record["within"]) or "reached where the environment says so"
    solved = record["solved_at_start"]
    already = f" ({solved} more {'was' if solved == 1 else 'were'} there at the start)" if solved else ""
    goals, decisions = count(record["pairs"], "goal"), count(record["decisions"], "decision")
    return terminal(
        f"{record['env']}, {record['agent']} after {record['frames']:,} {record['unit']}: {goals}"
        f"{already}, {within}, at most {decisions}"
    )


def row(name: str, result: Mapping[str, Any]) -> str:
    """The line of what acts, below `HEADER`."""
    interval = f"{100 * result['low']:.0f} to {100 * result['high']:.0f} %"
    decisions = "-" if result["mean_decisions"] is None else f"{result['mean_decisions']:.0f}"
    return f"{name:<10}{100 * result['success']:>8.0f} %{interval:>18}{decisions:>12}{result['median_ms']:>10.1f}"


def shown(record: Mapping[str, Any]) -> str:
    """The text of an evaluation of goals, from its JSON values."""
    return "\n".join([heading(record), "", HEADER, *(row(*item) for item in record["results"].items())])

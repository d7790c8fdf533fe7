"""What the tables of goal reaching have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

GOAL_FIGURES = ("success", "low", "high", "mean_decisions", "median_ms")
"""Columns of what acted: the share of goals that it reached with its interval, decisions until then, time a decision."""


def of_newest_version(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows of the version that measured last, without those that it measured again.

    Args:
        rows: of one subject, in the order in which they were measured.
    """
    newest = [row for row in rows if row["version"] == rows[-1]["version"]]
    return list({(row["seed"], row["acts"]): row for row in newest}.values())


def rounded_figures(result: Mapping[str, Any]) -> dict[str, float | None]:
    """These of one result of `joule.evaluate_goals`, to four digits."""
    return {name: None if result[name] is None else round(result[name], 4) for name in GOAL_FIGURES}

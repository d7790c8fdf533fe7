"""The tables of the report on violation of expectation, from the rows of `intuition.py`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks import markdown_tables
from benchmarks.comprehension.detector_scores import ALL_GROSS, ALL_MATCHED, MATCHED
from benchmarks.comprehension.surprise_calibration import ALL_TERMS

Row = dict[str, str]
MODEL, UNTRAINED, VELOCITY = "world model", "untrained world model", "constant velocity"


def tables(rows: Sequence[Row]) -> str:
    """Markdown: a table over all robots, and for each robot one of gross and one of matched violations."""
    rows = [row for row in rows if row["term"] == ALL_TERMS]
    robots = list(dict.fromkeys(row["env"] for row in rows))
    heads = [
        "robot", "frames", "pairs", "gross: correct", "AUROC", "untrained", "constant velocity",
        "matched pairs", "matched: correct", "untrained", "constant velocity", "false alarms per 1,000",
    ]  # fmt: skip
    lines = []
    for robot in robots:
        own = [row for row in rows if row["env"] == robot]
        frames = ", ".join(f"{int(n):,}" for n in dict.fromkeys(row["agent_frames"] for row in own))
        lines.append([
            f"`{robot}`", frames,
            _count(own, ALL_GROSS), _percent(own, MODEL, ALL_GROSS), _auroc(own, MODEL, ALL_GROSS),
            _percent(own, UNTRAINED, ALL_GROSS), _percent(own, VELOCITY, ALL_GROSS),
            _count(own, ALL_MATCHED), *(_percent(own, d, ALL_MATCHED) for d in (MODEL, UNTRAINED, VELOCITY)),
            _mean(own, MODEL, ALL_GROSS, "false_alarms_per_1000", ".2f"),
        ])  # fmt: skip
    parts = [markdown_tables.markdown(heads, lines)]
    for robot in robots:
        parts += [f"#### {robot}", _of_robot([row for row in rows if row["env"] == robot])]
    return "\n\n".join(parts)


def _of_robot(rows: Sequence[Row]) -> str:
    """One line for each kind of violation, gross beside matched."""
    kinds = [row["violation"] for row in rows if row["detector"] == MODEL]
    plain = [
        k for k in dict.fromkeys(kinds) if not k.startswith(MATCHED) and k not in (ALL_GROSS, ALL_MATCHED)
    ]
    heads = [
        "kind", "pairs", "correct", "untrained", "constant velocity", "latency", "alarm within 20 steps",
        "matched pairs", "correct", "untrained", "constant velocity",
    ]  # fmt: skip
    lines = []
    for name, gross, matched in [
        *((f"`{k}`", k, MATCHED + k) for k in plain),
        ("all", ALL_GROSS, ALL_MATCHED),
    ]:
        latency = _mean(rows, MODEL, gross, "latency_median", "g")
        lines.append([
            name, _count(rows, gross), *(_percent(rows, d, gross) for d in (MODEL, UNTRAINED, VELOCITY)),
            "never" if latency == "inf" else latency, _percent(rows, MODEL, gross, "detected"),
            _count(rows, matched), *(_percent(rows, d, matched) for d in (MODEL, UNTRAINED, VELOCITY)),
        ])  # fmt: skip
    return markdown_tables.markdown(heads, lines)


def _mean(rows: Sequence[Row], detector: str, violation: str, column: str, form: str) -> str:
    values = [
        float(row[column]) for row in rows if (row["detector"], row["violation"]) == (detector, violation)
    ]
    return format(float(np.mean(values)), form) if values else ""


def _percent(rows: Sequence[Row], detector: str, violation: str, column: str = "pairwise_accuracy") -> str:
    return _mean(rows, detector, violation, column, ".1%").replace("%", " %")


def _auroc(rows: Sequence[Row], detector: str, violation: str) -> str:
    return _mean(rows, detector, violation, "auroc", ".3f")


def _count(rows: Sequence[Row], violation: str) -> str:
    return _mean(rows, MODEL, violation, "pairs", ".0f") or "0"

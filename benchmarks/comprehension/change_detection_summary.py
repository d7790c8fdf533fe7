"""The summary of the rows of `change_detection.py`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS = (
    "env", "seed", "run_frames", "acts", "world", "sequence", "decisions", "changed_at", "detected_after",
    "signal", "episode_of_change", "false_alarms", "commit",
)  # fmt: skip
HOME = "home"
"""Stands in the column `world` where nothing changes."""
GOAL_DECISIONS = 20
Row = dict[str, Any]


def figures_of(rows: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """The figures of one agent that acts in one way."""
    worlds: dict[str, Any] = {}
    for world in dict.fromkeys(row["world"] for row in rows if row["world"] != HOME):
        own = [row for row in rows if row["world"] == world]
        delays = [float(row["detected_after"]) if row["detected_after"] else np.inf for row in own]
        median = float(np.median(delays))
        worlds[world] = {
            "detected_within_decisions": median if np.isfinite(median) else None,
            "sequences": len(own),
            "signals": dict(Counter(row["signal"] for row in own if row["signal"])),
        }
    medians = [figures["detected_within_decisions"] for figures in worlds.values()]
    finite = [np.inf if median is None else median for median in medians]
    # What comes before a change is at home, too.
    decisions = sum(int(row["decisions"] if row["world"] == HOME else row["changed_at"]) for row in rows)
    alarms = sum(int(row["false_alarms"]) for row in rows)
    return {
        "worlds_count": len(worlds),
        "noticed_share": round(float(np.isfinite(finite).mean()), 3) if worlds else None,
        "within_20_share": round(float(np.mean(np.array(finite) <= GOAL_DECISIONS)), 3) if worlds else None,
        "detected_within_decisions": float(np.median(finite)) if np.isfinite(np.median(finite)) else None,
        "home_decisions": decisions,
        "false_alarms": alarms,
        "false_alarms_per_50k": round(alarms * 50_000 / decisions, 2) if decisions else None,
        "worlds": worlds,
    }


def summary(rows: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """The figures of each agent, and the false alarms of all."""
    agents: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        name = f"{row['env']}, seed {row['seed']}, {int(row['run_frames']):,} frames, {row['acts']}"
        agents.setdefault(name, []).append(row)
    figures = {name: figures_of(own) for name, own in agents.items()}
    decisions = sum(each["home_decisions"] for each in figures.values())
    alarms = sum(each["false_alarms"] for each in figures.values())
    return {
        "goals": {"within_20_share": 0.8, "noticed_share": 0.8, "false_alarms_per_50k": 1},
        "home_decisions": decisions,
        "false_alarms_per_50k": round(alarms * 50_000 / decisions, 2) if decisions else None,
        "agents": figures,
    }


def write_summary(rows: Sequence[Mapping[str, str]], path: Path) -> None:
    """Writes the summary as JSON."""
    path.write_text(json.dumps(summary(rows), indent=2) + "\n")

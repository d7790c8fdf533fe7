"""The summary of the rows of `change_detection.py`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.comprehension.home_decisions import counted_once
from benchmarks.markdown_tables import markdown

COLUMNS = (
    "env", "seed", "run_frames", "acts", "world", "sequence", "first_seed", "decisions", "changed_at",
    "detected_after", "signal", "episode_of_change", "false_alarms", "commit",
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
        in_episode = float(np.median([float(row["episode_of_change"] or 0) for row in own]))
        worlds[world] = {
            "detected_within_decisions": median if np.isfinite(median) else None,
            "within_episode": in_episode >= 1.0,
            "sequences": len(own),
            "signals": dict(Counter(row["signal"] for row in own if row["signal"])),
        }
    medians = [figures["detected_within_decisions"] for figures in worlds.values()]
    finite = [np.inf if median is None else median for median in medians]
    # What comes before a change is at home, too. In rows without `first_seed`, which are older, the seed of a
    # sequence followed from its number alone.
    decisions, alarms = counted_once(
        (
            (row["world"] == HOME, row.get("first_seed") or row["sequence"]),
            int(row["decisions"] if row["world"] == HOME else row["changed_at"]),
            int(row["false_alarms"]),
        )
        for row in rows
    )
    return {
        "worlds_count": len(worlds),
        "noticed_share": round(float(np.isfinite(finite).mean()), 3) if worlds else None,
        "within_20_share": round(float(np.mean(np.array(finite) <= GOAL_DECISIONS)), 3) if worlds else None,
        "within_episode_share": _share([figures["within_episode"] for figures in worlds.values()]),
        "detected_within_decisions": float(np.median(finite)) if np.isfinite(np.median(finite)) else None,
        "home_decisions": decisions,
        "false_alarms": alarms,
        "false_alarms_per_50k": round(alarms * 50_000 / decisions, 2) if decisions else None,
        "worlds": worlds,
    }


def _share(marks: Sequence[bool]) -> float | None:
    return round(float(np.mean(marks)), 3) if marks else None


def by_robot(agents: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Robot -> means of the shares over its agents, and its rate of false alarms."""
    robots: dict[str, list[Mapping[str, Any]]] = {}
    for name, figures in agents.items():
        if figures["worlds_count"]:
            robots.setdefault(name.partition(",")[0], []).append(figures)
    return {
        robot: {
            "agents": len(own),
            "within_20_share": round(float(np.mean([each["within_20_share"] for each in own])), 3),
            "within_episode_share": round(float(np.mean([each["within_episode_share"] for each in own])), 3),
            "false_alarms_per_50k": round(
                50_000 * sum(each["false_alarms"] for each in own)
                / max(1, sum(each["home_decisions"] for each in own)), 2,
            ),
        }
        for robot, own in robots.items()
    }  # fmt: skip


def summary(rows: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """The figures of each agent and robot, the means over robots with the worst, and the false alarms of all."""
    agents: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        name = f"{row['env']}, seed {row['seed']}, {int(row['run_frames']):,} frames, {row['acts']}"
        agents.setdefault(name, []).append(row)
    figures = {name: figures_of(own) for name, own in agents.items()}
    decisions = sum(each["home_decisions"] for each in figures.values())
    alarms = sum(each["false_alarms"] for each in figures.values())
    robots = by_robot(figures)
    found: dict[str, Any] = {
        "goals": {"within_20_share": 0.8, "within_episode_share": 0.8, "false_alarms_per_50k": 1},
        "home_decisions": decisions,
        "false_alarms_per_50k": round(alarms * 50_000 / decisions, 2) if decisions else None,
        "robots": len(robots),
    }
    for key in ("within_20_share", "within_episode_share"):
        values = {robot: own[key] for robot, own in robots.items()}
        found[key] = round(float(np.mean(list(values.values()))), 3) if values else None
        worst = min(values, key=lambda robot: values[robot]) if values else None
        found[f"{key}_worst"] = None if worst is None else {"robot": worst, "value": values[worst]}
    return {**found, "by_robot": robots, "agents": figures}


def write_summary(rows: Sequence[Mapping[str, str]], path: Path) -> None:
    """Writes the summary as JSON."""
    path.write_text(json.dumps(summary(rows), indent=2) + "\n")


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """The figures in Markdown: a line for each world, a column for each agent.

    Worlds that stand for each other, such as the heaviest part of each robot or a latency of one decision, share a line.
    """
    agents = summary(rows)["agents"]
    worlds = {
        name: {_kind(world): _detected(own) for world, own in figures["worlds"].items()}
        for name, figures in agents.items()
    }
    lines = [
        [f"`{kind}`", *(worlds[name].get(kind, "") for name in agents)]
        for kind in dict.fromkeys(kind for own in worlds.values() for kind in own)
    ]
    for words, share in (
        ("within 20 decisions", "within_20_share"),
        ("within the episode", "within_episode_share"),
    ):
        counts = [
            (figures[share] * figures["worlds_count"], figures["worlds_count"]) for figures in agents.values()
        ]
        lines.append([words, *(f"{count:.0f} of {of}" for count, of in counts)])
    lines.append(["false alarms", *(f"{figures['false_alarms']}" for figures in agents.values())])
    names = [name.split(", ")[:2] for name in agents]
    return markdown(["world", *(f"{env}, {seed.removeprefix('seed ')}" for env, seed in names)], lines)


def _kind(world: str) -> str:
    """What worlds of different robots have in common."""
    name, _, value = world.partition("=")
    if name == "dead" or name == "latency":
        return name
    return f"{name.partition('.')[0]} of the heaviest part={value}" if "." in name else world


def _detected(figures: Mapping[str, Any]) -> str:
    median = figures["detected_within_decisions"]
    if median is None:
        return "—"
    return f"{median:.0f}" + "*" * (not figures["within_episode"])

"""The summary of the rows of `adaptation.py`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.comprehension.home_decisions import counted_once
from benchmarks.markdown_tables import markdown

COLUMNS = (
    "env", "perturbation", "method", "seed", "run_frames", "settings", "phase", "episode", "episode_seed", "return",
    "decisions", "changed_at", "detected_after", "false_alarms", "model_in_use", "cpu_ms", "commit",
)  # fmt: skip
GOALS = {"detected_within_decisions": 20, "regained_fraction": 0.9}
CEILINGS = ("joule ceiling", "sac ceiling", "joule taught")
"""Methods of agents that were trained in the changed environment."""
Row = dict[str, str]


def mean(rows: Iterable[Row], column: str = "return") -> float | None:
    """The mean of a column; None without rows."""
    values = [float(row[column]) for row in rows if row[column] != ""]
    return float(np.mean(values)) if values else None


def fraction(part: float | None, whole: float | None) -> float | None:
    """Part over whole; None where one is not known, or the whole is not positive."""
    return None if part is None or whole is None or whole <= 0.0 else round(part / whole, 3)


def at_home(rows: list[Row]) -> tuple[int, int]:
    """Decisions of adapting agents without a change, and their false alarms.

    Rows without `episode_seed` are older: there it followed from the number of the episode alone.
    """
    return counted_once(
        (
            (
                *(row[name] for name in ("env", "seed", "run_frames")),
                row.get("episode_seed") or row["episode"],
            ),
            min(int(row["decisions"]), int(row["changed_at"] or 10**9)),
            int(row["false_alarms"]),
        )
        for row in rows
        if row["method"] == "joule adapts" and row["phase"] in ("known", "change")
    )


def achievable_return(rows: list[Row]) -> float | None:
    """The return that agents achieve in a changed environment, mean over agents; None without a ceiling.

    What an agent reaches without learning is achievable for it too; without a ceiling it does not say what is.

    Args:
        rows: held-out episodes with the change, of all methods. A ceiling that an agent lacks is that of the others.
    """
    found: list[float] = []
    for seed in sorted({row["seed"] for row in rows if row["method"] == "joule adapts"} or {""}):
        of_methods = [mean(_own_or_all([r for r in rows if r["method"] == name], seed)) for name in CEILINGS]
        ceilings = [value for value in of_methods if value is not None]
        if not ceilings:
            return None
        frozen = mean(row for row in rows if (row["method"], row["seed"]) == ("joule frozen", seed))
        found.append(max(ceilings if frozen is None else [*ceilings, frozen]))
    return round(float(np.mean(found)), 1)


def _own_or_all(rows: list[Row], seed: str) -> list[Row]:
    """The rows of a seed, or all where it has none."""
    return [row for row in rows if row["seed"] == seed] or rows


def figures_of(rows: list[Row]) -> dict[str, Any]:
    """The figures of one change of one environment."""

    def returns(method: str, phase: str) -> float | None:
        found = mean(row for row in rows if (row["method"], row["phase"]) == (method, phase))
        return None if found is None else round(found, 1)

    adapting = [row for row in rows if row["method"] == "joule adapts"]
    # An episode that ended before its change says nothing of detection.
    reached = [r for r in adapting if not r["changed_at"] or int(r["decisions"]) > int(r["changed_at"])]
    changes = [row for row in reached if row["phase"] == "change" and row["false_alarms"] == "0"]
    seeds = {row["seed"] for row in changes}
    changed = [row for row in adapting if row["phase"] in ("change", "changed") and row["seed"] in seeds]
    back = [row for row in reached if row["phase"] == "back"]
    detected = [int(row["detected_after"]) for row in changed if row["detected_after"]]
    adapted, frozen = returns("joule adapts", "after"), returns("joule frozen", "after")
    achievable = achievable_return([row for row in rows if row["phase"] == "after"])
    loss = None if achievable is None or frozen is None else achievable - frozen
    regained = None if adapted is None or frozen is None else adapted - frozen
    all_detected = bool(changes) and len(detected) == len(changes)
    home_decisions, false_alarms = at_home(rows)
    return {
        "detected_within_decisions": float(np.median(detected)) if all_detected else None,
        "changes": len(changes),
        "changes_detected": len(detected),
        "home_decisions": home_decisions,
        "false_alarms": false_alarms,
        "change_back_detected_within_decisions": mean(back, "detected_after"),
        "achievable_return": achievable,
        "regained_fraction": fraction(adapted, achievable),
        "regained_of_loss": fraction(regained, loss),
        "kept_fraction": fraction(returns("joule adapts", "home"), returns("joule frozen", "home")),
        "returns": {
            f"{method}, {phase}": value
            for method in sorted({row["method"] for row in rows})
            for phase in ("known", "changed", "after", "home")
            if (value := returns(method, phase)) is not None
        },
    }


def summary(rows: list[Row]) -> dict[str, Any]:
    """The figures of every environment and change, and over all of them.

    A change that was not detected counts as one that is detected after infinitely many decisions. Over changes,
    detection is a median, because a change without an effect cannot be detected, and fractions are means. In the mean
    of what was regained none counts as more than all: what adapts may do better than what training there achieved.
    """
    environments: dict[str, Any] = {}
    everything: list[dict[str, Any]] = []
    for env in sorted({row["env"] for row in rows}):
        own = [row for row in rows if row["env"] == env]
        names = sorted({row["perturbation"] for row in own})
        figures = {name: figures_of([row for row in own if row["perturbation"] == name]) for name in names}
        seeds = {row["seed"] for row in own if row["method"] == "joule adapts"}
        environments[env] = {
            "seeds": len(seeds), **combined(list(figures.values()), own), "perturbations": figures
        }  # fmt: skip
        everything += figures.values()
    return {"goals": GOALS, **combined(everything, rows), "environments": environments}


def combined(figures: list[dict[str, Any]], rows: list[Row]) -> dict[str, Any]:
    """The figures of several changes as one; None where a mean needs one that is not known.

    Args:
        figures: of each change.
        rows: of all of them.
    """
    name = "detected_within_decisions"
    changes = sum(f["changes"] for f in figures)
    home, false_alarms = at_home(rows)
    # A change that never began, because every episode ended before it, is not one that was missed.
    decisions = [np.inf if f[name] is None else f[name] for f in figures if f["changes"]]

    def known(value: float) -> float | None:
        return round(float(value), 3) if np.isfinite(value) else None

    def fractions(name: str, reduce: Callable[[list[float]], Any]) -> float | None:
        values = [np.nan if f[name] is None else f[name] for f in figures]
        return known(reduce(values)) if values else None

    return {
        "noticed_share": known(sum(f["changes_detected"] for f in figures) / changes) if changes else None,
        "home_decisions": home,
        "false_alarms_per_50k": known(50_000 * false_alarms / home) if home else None,
        name: known(float(np.median(decisions))) if decisions else None,
        f"{name}_worst": known(max(decisions, default=np.inf)),
        "perturbations_tested": len(decisions),
        "perturbations_detected_within_goal": sum(count <= GOALS[name] for count in decisions),
        "regained_fraction": fractions("regained_fraction", lambda found: np.mean(np.minimum(found, 1.0))),
        "regained_fraction_worst": fractions("regained_fraction", np.min),
        "kept_fraction_worst": fractions("kept_fraction", np.min),
        "perturbations_count": len(figures),
    }


def write_summary(rows: list[Row], path: Path) -> None:
    """Writes the summary as JSON."""
    path.write_text(json.dumps(summary(rows), indent=2) + "\n")


def tables(rows: list[Row]) -> str:
    """The figures in Markdown: a table for each environment, a line for each change."""
    found = summary(rows)["environments"]
    return "\n\n".join(_table(env, figures) for env, figures in found.items())


def _table(env: str, figures: dict[str, Any]) -> str:
    heads = [
        f"{env}, {figures['seeds']} agent{'s' * (figures['seeds'] > 1)}", "detected after", "unadapted", "adapted",
        "achievable", "regained", "end detected after", "return kept", "SAC, unadapted", "SAC, learning",
    ]  # fmt: skip
    lines = []
    for change, own in figures["perturbations"].items():
        returns = own["returns"]
        of_method = [
            returns.get(f"{method}, after")
            for method in ("joule frozen", "joule adapts", "sac frozen", "sac learns on")
        ]
        frozen, adapted, sac, sac_learning = (_shown(value, ",.0f") for value in of_method)
        missed = f" ({own['changes_detected']} of {own['changes']})" if own["changes"] > 1 else ""
        lines.append([
            f"`{change}`",
            _shown(own["detected_within_decisions"], ".0f", "not detected" if own["changes"] else "not tested")
            + missed,
            frozen,
            adapted,
            _shown(own["achievable_return"], ",.0f"),
            _shown(own["regained_fraction"], ".2f"),
            _shown(own["change_back_detected_within_decisions"], ".0f"),
            _shown(own["kept_fraction"], ".2f"),
            sac,
            sac_learning,
        ])  # fmt: skip
    return markdown(heads, lines)


def _shown(value: float | None, form: str, missing: str = "—") -> str:
    return missing if value is None else f"{value:{form}}"

"""What `adapt.py` found, in figures and in a picture, from its raw rows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS = ("env", "world", "way", "seed", "run_frames", "phase", "episode", "return", "decisions",
           "changed_at", "noticed_after", "false_alarms", "world_in_use", "cpu_ms", "commit")  # fmt: skip
GOALS = {"detected_within_steps": 20, "regained_fraction": 0.9}
CEILINGS = ("joule ceiling", "sac ceiling", "joule taught")
"""Ways of agents that were trained in the changed world."""
Row = dict[str, str]


def mean(rows: Iterable[Row], column: str = "return") -> float | None:
    """The mean of a column; None of no rows."""
    values = [float(row[column]) for row in rows if row[column] != ""]
    return float(np.mean(values)) if values else None


def share(part: float | None, whole: float | None) -> float | None:
    """Part over whole; None where one is not known, or there is no whole to speak of."""
    return None if part is None or whole is None or whole <= 0.0 else round(part / whole, 3)


def of_world(rows: list[Row]) -> dict[str, Any]:
    """The figures of one changed world."""

    def returns(way: str, phase: str) -> float | None:
        found = mean(row for row in rows if (row["way"], row["phase"]) == (way, phase))
        return None if found is None else round(found, 1)

    lives = [row for row in rows if row["way"] == "joule adapts"]
    # A body that fell before its world changed has noticed nothing, and could not.
    lived = [row for row in lives if not row["changed_at"] or int(row["decisions"]) > int(row["changed_at"])]
    changes = [row for row in lived if row["phase"] == "change" and row["false_alarms"] == "0"]
    back = [row for row in lived if row["phase"] == "back"]
    seen = [int(row["noticed_after"]) for row in changes if row["noticed_after"]]
    adapted, frozen = returns("joule adapts", "after"), returns("joule frozen", "after")
    ceilings = [value for way in CEILINGS if (value := returns(way, "after")) is not None]
    # What is as good there untrained is achievable, too; without a ceiling it says nothing.
    achievable = max(ceilings if frozen is None else [*ceilings, frozen]) if ceilings else None
    gap = None if achievable is None or frozen is None else achievable - frozen
    return {
        "detected_within_steps": float(np.median(seen)) if changes and len(seen) == len(changes) else None,
        "changes": len(changes), "changes_noticed": len(seen),
        "false_alarms_in_known_episodes": sum(int(r["false_alarms"]) for r in lives if r["phase"] == "known"),
        "return_detected_within_steps": mean(back, "noticed_after"),
        "achievable_return": achievable,
        "regained_fraction": share(adapted, achievable),
        "regained_of_what_was_lost": None if adapted is None or frozen is None else share(adapted - frozen, gap),
        "kept_fraction": share(returns("joule adapts", "home"), returns("joule frozen", "home")),
        "returns": {
            f"{way}, {phase}": value
            for way in sorted({row["way"] for row in rows})
            for phase in ("known", "changed", "after", "home")
            if (value := returns(way, phase)) is not None
        },
    }  # fmt: skip


def summary(rows: list[Row]) -> dict[str, Any]:
    """Figures of every environment and world, over all of them, and of the worst.

    A change that was not noticed counts as one that takes for ever. Over worlds, detection is a median, because a
    change that changes nothing for a while cannot be seen, and fractions are means.
    """
    environments: dict[str, Any] = {}
    models: list[dict[str, Any]] = []
    for env in sorted({row["env"] for row in rows}):
        names = sorted({row["world"] for row in rows if row["env"] == env})
        by_world = {w: of_world([r for r in rows if (r["env"], r["world"]) == (env, w)]) for w in names}
        seeds = {r["seed"] for r in rows if (r["env"], r["way"]) == (env, "joule adapts")}
        environments[env] = {"seeds": len(seeds), **over(list(by_world.values())), "worlds": by_world}
        models += by_world.values()
    return {"goals": GOALS, **over(models), "environments": environments}


def over(models: list[dict[str, Any]]) -> dict[str, Any]:
    """Several worlds' figures as one; None where one of those that a mean needs is not known."""
    steps = [np.inf if w["detected_within_steps"] is None else w["detected_within_steps"] for w in models]

    def known(value: float) -> float | None:
        return round(float(value), 3) if np.isfinite(value) else None

    def fractions(name: str, of: Any) -> float | None:
        values = [np.nan if w[name] is None else w[name] for w in models]
        return known(of(values)) if values else None

    return {
        "detected_within_steps": known(np.median(steps)) if steps else None,
        "detected_within_steps_worst": known(max(steps, default=np.inf)),
        "worlds_detected_within_goal": sum(s <= GOALS["detected_within_steps"] for s in steps),
        "regained_fraction": fractions("regained_fraction", np.mean),
        "regained_fraction_worst": fractions("regained_fraction", np.min),
        "kept_fraction_worst": fractions("kept_fraction", np.min),
        "worlds_count": len(models),
    }


def written(rows: list[Row], path: Path) -> None:
    """The summary as JSON."""
    path.write_text(json.dumps(summary(rows), indent=2) + "\n")


def drawn(rows: list[Row], path: Path) -> None:
    """Returns of episode after episode, a panel a world: before, at and after the change."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    places = sorted({(row["env"], row["world"]) for row in rows})
    across = max(sum(env == e for e, _ in places) for env, _ in places)
    envs = sorted({env for env, _ in places})
    figure, axes = pyplot.subplots(
        len(envs), across, figsize=(2.6 * across, 2.6 * len(envs)), squeeze=False, layout="constrained"
    )
    for line, env in zip(axes, envs, strict=True):
        models = [world for e, world in places if e == env]
        for ax in line[len(models) :]:
            ax.axis("off")
        for ax, world in zip(line, models, strict=False):
            here = [row for row in rows if (row["env"], row["world"]) == (env, world)]
            for way, colour in (("joule adapts", "C0"), ("sac learns on", "C1")):
                lived = [
                    r
                    for r in here
                    if r["way"] == way and r["phase"] in ("known", "change", "changed", "back")
                ]
                if not lived:
                    continue
                first = 0 if way == "joule adapts" else 1
                episodes = sorted({int(row["episode"]) for row in lived})
                means = [mean(r for r in lived if int(r["episode"]) == number) for number in episodes]
                ax.plot(range(first, first + len(means)), means, "o-", color=colour, ms=3, label=way)
            for way, style in (("joule frozen", "C0:"), ("sac frozen", "C1:"), ("joule ceiling", "C0--"), ("sac ceiling", "C1--"), ("joule taught", "C2--")):  # fmt: skip
                level = mean(r for r in here if (r["way"], r["phase"]) == (way, "after"))
                if level is not None:
                    ax.axhline(level, color=style[:2], ls=style[2:], lw=1, label=way)
            ax.axvline(1, color="0.8", lw=4, zorder=0)
            ax.set_title(f"{env}\n{world}", fontsize=8)
            ax.tick_params(labelsize=7)
            ax.xaxis.get_major_locator().set_params(integer=True)
        line[0].set_ylabel("return of an episode", fontsize=8)
    axes[-1][0].set_xlabel("episode (grey: it changes; the last: it changes back)", fontsize=8)
    axes[0][0].legend(fontsize=6)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)

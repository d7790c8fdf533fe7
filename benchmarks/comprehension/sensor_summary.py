"""The summary and the figure of `sensors.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import bootstrap

from agent.seeds import FIRST_SEED
from benchmarks.comprehension.sensor_episodes import (
    CONDITIONS,
    DROPOUT,
    WAYS,
    dead_sensors,
    loaded,
    name_of,
    perturbed_config,
    perturbed_layer,
    true_readings,
)
from benchmarks.markdown_tables import markdown
from joule.environment import make_env
from joule.storage import provenance

GOAL = 2.0
"""Return of `energy` over that of `encoder` with 30 % dead sensors."""
RESAMPLES = 10_000
COLOURS = {"encoder": "#b0b0b0", "energy": "#1f6f8b"}
SHOWN_FROM, SHOWN_DECISIONS = 30, 110
"""The episode of the figure: its sensors die at this decision, and it is of this length."""


def ratio_interval(above: np.ndarray, below: np.ndarray) -> list[float] | None:
    """95 % bootstrap interval (percentiles) of the ratio of two means over the same episodes.

    Args:
        above: [episodes].
        below: [episodes].

    Returns:
        Low and high; None for fewer than three episodes, and where the lower mean is not positive.
    """
    if len(above) < 3 or below.mean() <= 0.0:
        return None

    def of_means(one: np.ndarray, other: np.ndarray, axis: int = -1) -> np.ndarray:
        return one.mean(axis) / other.mean(axis)

    found = bootstrap(
        (above, below), of_means, n_resamples=RESAMPLES, paired=True, vectorized=True, method="percentile",
        random_state=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    return [round(float(found.low), 3), round(float(found.high), 3)]


def ratio(above: np.ndarray, below: np.ndarray) -> float | None:
    """The ratio of two means; None where the lower one is not positive."""
    return round(float(above.mean() / below.mean()), 3) if below.mean() > 0.0 else None


def figures_of(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The figures of one condition, over the episodes that were played in both ways; None where there are none."""
    key = ("run_seed", "run_frames", "episode_seed")
    by_way = {
        way: {tuple(str(row[name]) for name in key): row for row in rows if row["perceive"] == way}
        for way in WAYS
    }
    both = sorted(by_way["encoder"].keys() & by_way["energy"].keys())
    if not both:
        return None
    returns = {way: np.array([float(by_way[way][episode]["return"]) for episode in both]) for way in WAYS}
    inferred = [by_way["energy"][episode] for episode in both]

    def mean(column: str) -> float | None:
        values = [float(row[column]) for row in inferred if row[column] != ""]
        return round(float(np.mean(values)), 5) if values else None

    return {
        "episodes": len(both),
        "runs": len({episode[:2] for episode in both}),
        **{f"return_{way}": round(float(returns[way].mean()), 1) for way in WAYS},
        **{f"std_{way}": round(float(returns[way].std()), 1) for way in WAYS},
        "ratio": ratio(returns["energy"], returns["encoder"]),
        "ratio_interval_95": ratio_interval(returns["energy"], returns["encoder"]),
        "better_episodes": int((returns["energy"] > returns["encoder"]).sum()),
        **{name: mean(name) for name in ("error_of_dead", "dead_trusted", "healthy_distrusted")},
    }


def names_in(rows: list[dict[str, Any]]) -> list[str]:
    """The conditions of rows: the default ones first, then the others."""
    known = [name_of(condition) for condition in CONDITIONS]
    found = list(dict.fromkeys(row["condition"] for row in rows))
    return [name for name in known if name in found] + [name for name in found if name not in known]


def summary(rows: list[dict[str, Any]], cpu_ms: dict[str, dict[str, float]]) -> dict[str, Any]:
    """The figures of every condition, and the ratio that the goal is about.

    Args:
        rows: rows of one environment and one planner.
        cpu_ms: condition -> CPU times.
    """
    conditions = {}
    for name in names_in(rows):
        figures = figures_of([row for row in rows if row["condition"] == name])
        if figures is not None:
            conditions[name] = figures
    return {
        "env": rows[0]["env"],
        "ratio_to_plain_encoder": conditions[DROPOUT]["ratio"] if DROPOUT in conditions else None,
        "goal": GOAL,
        "decisions": max(int(row["decisions"]) for row in rows),
        "conditions": conditions,
        "cpu_ms": cpu_ms,
        "versions": provenance.versions(),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The figures in Markdown: a line for each condition."""
    lines = []
    for name, figures in summary(rows, {})["conditions"].items():
        low, high = figures["ratio_interval_95"] or (None, None)
        interval = "" if low is None else f" ({low:.1f} to {high:.1f})"
        lines.append([
            f"`{name}`",
            f"{figures['episodes']}",
            f"{figures['return_encoder']:,.0f}",
            f"{figures['return_energy']:,.0f}",
            f"{figures['ratio']:.1f}{interval}",
            f"{figures['better_episodes']}",
        ])  # fmt: skip
    return markdown(
        ["sensors", "episodes", "encoder", "energy", "ratio (95 % interval)", "energy is better in"], lines
    )


def draw(rows: list[dict[str, Any]], run: Path, path: Path) -> None:
    """Writes the figure: returns of every episode, and the readings of two dead sensors in another episode.

    Args:
        rows: as for `summary`.
        run: the run folder of the agent that plays this other episode.
        path: where to.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    widths = {"width_ratios": [1.2, 1, 1]}
    figure, axes = pyplot.subplots(1, 3, figsize=(13, 3.6), gridspec_kw=widths, layout="constrained")
    _draw_returns(axes[0], rows)
    _draw_sensors(axes[1:], run)
    handles, labels = axes[1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=3, frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _draw_returns(ax: Any, rows: list[dict[str, Any]]) -> None:
    names = names_in(rows)
    for place, name in enumerate(names):
        for side, way in enumerate(WAYS):
            own = [r for r in rows if r["condition"] == name and r["perceive"] == way]
            returns = [float(row["return"]) for row in own]
            at = place + 0.36 * side - 0.18
            ax.bar(at, np.mean(returns), 0.34, color=COLOURS[way], label=way if place == 0 else None)
            ax.plot(np.full(len(returns), at), returns, ".", color="black", markersize=4)
    ax.set_xticks(range(len(names)), names, fontsize=8)
    ax.set_ylabel("return")
    ax.legend(frameon=False, fontsize=8)


def _draw_sensors(axes: Any, run: Path) -> None:
    agent = loaded(run, "energy")
    env = make_env(perturbed_config(agent.config, f"{DROPOUT}@{SHOWN_FROM}"))
    layer, state, decisions = perturbed_layer(env), None, []
    obs, _ = env.reset(seed=FIRST_SEED)
    for _ in range(SHOWN_DECISIONS):
        true = true_readings(layer)
        action, state = agent.predict(obs, state, np.array([state is None]))
        inferred = agent.modules.inferred_observation(obs[None], state)[0]
        decisions.append((true, obs.copy(), inferred))
        obs, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            break
    dead = np.flatnonzero(dead_sensors(layer))
    for panel, sensor in zip(axes, dead[[0, -1]] if len(dead) else (), strict=False):
        true, reading, inferred = np.array([[part[sensor] for part in parts] for parts in decisions]).T
        panel.plot(reading, color="#d98b5f", label="read")
        panel.plot(true, color="black", label="true")
        panel.plot(inferred, color=COLOURS["energy"], label="inferred")
        panel.axvline(SHOWN_FROM, color="#b0b0b0", linewidth=0.8)
        panel.set_title(f"sensor {sensor}, dead from decision {SHOWN_FROM} on", fontsize=9)
        panel.set_xlabel("decision")

"""Perception by energy against the plain encoder, where sensors are dead, noisy, or well.

    python benchmarks/sensors.py RUN [RUN ...]      goes on where it stopped; --quick for a first look

-> benchmarks/results/sensors.csv (a line an episode), sensors.json (the summary), docs/pictures/sensors.png

An episode's seed draws which 30 % of the sensors are dead, so that both ways of perceiving meet the same bodies
with the same dead sensors. Which they are is told to neither. Beside the returns stand the error of what was
believed of the dead sensors, in standard deviations of each, and how many were believed or doubted wrongly.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import joule
from agent.agent import WorldModelAgent
from agent.configurator.validation import replace
from benchmarks import tables
from benchmarks.comprehension.episodes import FIRST_SEED
from envs.changes.perturbation import Perturbed
from envs.wrappers import Flat
from joule.environment import make_env
from joule.storage import provenance

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PICTURE = ROOT / "docs" / "pictures" / "sensors.png"
QUICK = ROOT / "runs" / "sensors-quick.csv"
GOAL = "dropout=0.3"
CONDITIONS = {GOAL: 1.0, "dropout=0.3@300": 0.6, "": 0.4, "noise=0.1": 0.4}
"""What is done to the sensors, and the share of --episodes that is played of it."""
WAYS = ("encoder", "energy")
TIMED = 60
COLUMNS = ("env", "run_seed", "run_frames", "planner", "condition", "perceive", "episode_seed", "decisions", "return",
           "dead", "error_of_dead", "dead_believed", "healthy_doubted", "commit")  # fmt: skip


def sensors_of(body: Any) -> Perturbed:
    """The layer that perturbs a body's sensors."""
    while not isinstance(body, Perturbed):
        body = body.env
    return body


def true_readings(layer: Perturbed) -> np.ndarray:
    """What sensors that are well would read now."""
    below: Any = layer.env
    while not isinstance(below, Flat):
        below = below.env
    return below.observation.copy()


def lived(learner: WorldModelAgent, condition: str, seeds: list[int], decisions: int) -> list[dict[str, Any]]:
    """A line for the episode of each seed, played side by side; the body must not end its episodes early."""
    config = replace(learner.config, {"perturb": (condition,) if condition else ()})
    bodies = [make_env(config) for _ in seeds]
    obs = np.stack([body.reset(seed=seed)[0] for body, seed in zip(bodies, seeds, strict=True)])
    layers = [sensors_of(body) for body in bodies]
    count = len(seeds)
    returns, state = np.zeros(count), None
    square, dead_seen, inferred_observation, healthy, doubted = (np.zeros(count) for _ in range(5))
    for step in range(decisions):
        true = np.stack([true_readings(layer) for layer in layers])
        dead = np.stack([np.asarray(layer.state()["silent"]) for layer in layers])
        actions, state = learner.predict(obs, state, np.full(count, step == 0))
        if state.belief is None:
            mean, trusted = (
                learner.modules.networks.normalizer(torch.from_numpy(obs)).numpy(),
                np.ones_like(dead),
            )
        else:
            mean, trusted = state.belief.mean.numpy(), state.belief.trusted.numpy()
        error = np.square(mean - learner.modules.networks.normalizer(torch.from_numpy(true)).numpy())
        square += (error * dead).sum(1)
        dead_seen += dead.sum(1)
        inferred_observation += (dead & trusted).sum(1)
        healthy += (~dead).sum(1)
        doubted += (~dead & ~trusted).sum(1)
        for k, body in enumerate(bodies):
            obs[k], reward, terminated, truncated, _ = body.step(actions[k])
            returns[k] += float(reward)
            if terminated or (truncated and step + 1 < decisions):
                raise SystemExit(
                    f"{config.env} ends its episodes early; sensors.py is for bodies that do not"
                )
    silent = [np.flatnonzero(layer.state()["silent"]) for layer in layers]
    return [
        {
            "env": config.env, "run_seed": config.seed, "run_frames": learner.frames,
            "planner": config.planner.kind, "condition": condition or "healthy", "perceive": config.perceive,
            "episode_seed": seed, "decisions": decisions, "return": round(float(returns[k]), 2),
            "dead": " ".join(map(str, silent[k])),
            "error_of_dead": round(float(np.sqrt(square[k] / dead_seen[k])), 4) if dead_seen[k] else "",
            "dead_believed": round(float(inferred_observation[k] / dead_seen[k]), 5) if dead_seen[k] else "",
            "healthy_doubted": round(float(doubted[k] / healthy[k]), 5),
            "commit": provenance.version(),
        }
        for k, seed in enumerate(seeds)
    ]  # fmt: skip


def cost_fn(run: Path, condition: str) -> dict[str, float]:
    """Median CPU milliseconds of perceiving alone, one body at a time, by way; and of a whole decision."""
    found = {}
    for way in WAYS:
        learner = loaded(run, way)
        config = replace(learner.config, {"perturb": (condition,) if condition else ()})
        body = make_env(config)
        obs, _ = body.reset(seed=FIRST_SEED)
        state, spent, whole = None, [], []
        for _ in range(TIMED):
            starts = np.array([state is None])
            if state is not None:
                began = time.process_time()
                _ = (
                    learner.modules.perceive(obs[None])
                    if way == "encoder"
                    else learner.modules.infer_observation(obs[None], state, starts)
                )
                spent.append(1e3 * (time.process_time() - began))
            began = time.process_time()
            action, state = learner.predict(obs, state, starts)
            whole.append(1e3 * (time.process_time() - began))
            obs = body.step(action)[0]
        found[f"{way}_perceiving_ms"] = round(float(np.median(spent)), 3)
        found[f"{way}_decision_ms"] = round(float(np.median(whole[1:])), 3)
    return found


def loaded(run: Path, way: str, **changes: Any) -> WorldModelAgent:
    """A run's agent, perceiving in this way."""
    learner = joule.load(run, settings={"perceive": way, **changes})
    assert isinstance(learner, WorldModelAgent)
    return learner


def interval(ratio: tuple[np.ndarray, np.ndarray]) -> list[float] | None:
    """95 % bootstrap interval of the ratio of two means over the same episodes; None for fewer than three."""
    if len(ratio[0]) < 3:
        return None
    rng, (above, below) = np.random.default_rng(1), ratio
    drawn = rng.integers(0, len(above), (10_000, len(above)))
    return [
        round(float(q), 3) for q in np.quantile(above[drawn].mean(1) / below[drawn].mean(1), [0.025, 0.975])
    ]


def summary(rows: list[dict[str, Any]], prices: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Means by condition and way over the episodes that both played, and the ratio that the goal is about."""
    conditions = {}
    for condition in CONDITIONS:
        name = condition or "healthy"
        of = {
            way: {
                tuple(str(row[name]) for name in ("run_seed", "run_frames", "episode_seed")): row
                for row in rows
                if row["condition"] == name and row["perceive"] == way
            }
            for way in WAYS
        }
        both = sorted(of["encoder"].keys() & of["energy"].keys())
        if not both:
            continue
        returns = {way: np.array([float(of[way][key]["return"]) for key in both]) for way in WAYS}

        def mean(column: str, lines: Any = of, keys: Any = both) -> float | None:
            values = [
                float(lines["energy"][key][column]) for key in keys if lines["energy"][key][column] != ""
            ]
            return round(float(np.mean(values)), 5) if values else None

        conditions[name] = {
            "episodes": len(both), "runs": len({key[:2] for key in both}),
            **{f"return_{way}": round(float(returns[way].mean()), 1) for way in WAYS},
            **{f"std_{way}": round(float(returns[way].std()), 1) for way in WAYS},
            "ratio": round(float(returns["energy"].mean() / returns["encoder"].mean()), 3),
            "ratio_interval_95": interval((returns["energy"], returns["encoder"])),
            "better_in": int((returns["energy"] > returns["encoder"]).sum()),
            "error_of_dead": mean("error_of_dead"), "dead_believed": mean("dead_believed"),
            "healthy_doubted": mean("healthy_doubted"),
        }  # fmt: skip
    return {
        "env": rows[0]["env"],
        "ratio_to_plain_encoder": conditions[GOAL]["ratio"] if GOAL in conditions else None,
        "goal": 2.0,
        "decisions": int(rows[0]["decisions"]),
        "conditions": conditions,
        "price": prices,
        "versions": provenance.versions(),
    }


def picture(rows: list[dict[str, Any]], run: Path, path: Path) -> None:
    """Returns of every episode, and what was believed of two dead sensors of one of them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(13, 3.6), gridspec_kw={"width_ratios": [1.2, 1, 1]})
    colours = {"encoder": "#b0b0b0", "energy": "#1f6f8b"}
    names = [c or "healthy" for c in CONDITIONS if any(r["condition"] == (c or "healthy") for r in rows)]
    for place, name in enumerate(names):
        for side, way in enumerate(WAYS):
            of = [float(r["return"]) for r in rows if r["condition"] == name and r["perceive"] == way]
            at = place + 0.36 * side - 0.18
            axes[0].bar(at, np.mean(of), 0.34, color=colours[way], label=way if place == 0 else None)
            axes[0].plot(np.full(len(of), at), of, ".", color="black", markersize=4)
    axes[0].set_xticks(range(len(names)), names, fontsize=8)
    axes[0].set_ylabel("return")
    axes[0].legend(frameon=False, fontsize=8)
    learner = loaded(run, "energy")
    body = make_env(replace(learner.config, {"perturb": (f"{GOAL}@30",)}))
    layer, state = sensors_of(body), None
    obs, _ = body.reset(seed=FIRST_SEED)
    shown = []
    for _ in range(110):
        true = true_readings(layer)
        action, state = learner.predict(obs, state, np.array([state is None]))
        assert state.belief is not None
        shown.append((true, obs.copy(), learner.modules.inferred_observation(obs[None], state)[0]))
        obs = body.step(action)[0]
    silent = np.flatnonzero(layer.state()["silent"])
    for panel, sensor in zip(axes[1:], silent[[0, -1]], strict=True):
        lines = np.array([[part[sensor] for part in row] for row in shown])
        panel.plot(lines[:, 1], color="#d98b5f", label="reading")
        panel.plot(lines[:, 0], color="black", label="true")
        panel.plot(lines[:, 2], color=colours["energy"], label="believed")
        panel.axvline(30, color="#b0b0b0", linewidth=0.8)
        panel.set_title(f"sensor {sensor}, dead from step 30 on", fontsize=9)
        panel.set_xlabel("decision")
    axes[1].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    p.add_argument("--episodes", type=int, default=10, help="with dead sensors, a run (default: 10)")
    p.add_argument(
        "--quick", action="store_true", help="two episodes of 400 decisions each, without the planner"
    )
    p.add_argument(
        "--out", type=Path, help="(default: results/sensors.csv; of --quick runs/sensors-quick.csv)"
    )
    p.add_argument(
        "--picture", type=Path, help="(default: docs/pictures/sensors.png, or beside --quick's table)"
    )
    options = p.parse_args()
    options.out = options.out or (QUICK if options.quick else RESULTS / "sensors.csv")
    options.picture = options.picture or (QUICK.with_suffix(".png") if options.quick else PICTURE)
    torch.set_num_threads(1)
    changes = {"planner.kind": "policy"} if options.quick else {}
    rows = tables.read(options.out)
    prices: dict[str, dict[str, float]] = {}
    for run in options.runs:
        for condition, share in CONDITIONS.items():
            count = 2 if options.quick else max(1, round(share * options.episodes))
            for way in WAYS:
                learner = loaded(run, way, **changes)
                limit = learner.env_spec.episode_limit
                if limit is None:
                    p.error(f"{learner.env_spec.env} has no limit to its episodes")
                decisions = 400 if options.quick else limit
                mine = {
                    "env": learner.config.env, "run_seed": learner.config.seed, "run_frames": learner.frames,
                    "planner": learner.config.planner.kind, "condition": condition or "healthy",
                    "perceive": way, "decisions": decisions,
                }  # fmt: skip
                done = {
                    int(r["episode_seed"]) for r in rows if all(str(r[k]) == str(v) for k, v in mine.items())
                }
                seeds = [FIRST_SEED + k for k in range(count) if FIRST_SEED + k not in done]
                if not seeds:
                    continue
                rows += lived(learner, condition, seeds, decisions)
                tables.write(options.out, COLUMNS, rows)
                returns = [float(row["return"]) for row in rows[-len(seeds) :]]
                print(
                    f"{run.name} {condition or 'healthy':16} {way:8} {np.mean(returns):9.1f}",
                    returns,
                    flush=True,
                )
    for condition in ("", GOAL):
        prices[condition or "healthy"] = cost_fn(options.runs[0], condition)
    asked = {(learner.config.env, learner.config.planner.kind, str(decisions))}
    rows = [row for row in rows if (row["env"], row["planner"], str(row["decisions"])) in asked]
    found = summary(rows, prices)
    options.out.with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n")
    picture(rows, options.runs[0], options.picture)
    print(json.dumps({"ratio_to_plain_encoder": found["ratio_to_plain_encoder"], **prices}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What a guard costs and what it prevents: return against violations, with and without.

python benchmarks/guard.py runs/cheetah runs/maze     results/guard.csv, and its summary guardrail.json

Rows of other runs stay in the table.

The return is the environment's own, the violations are counted on true readouts, per 1,000 decisions. The
summary is of the default horizon, the first one given: violations with the guard over those without, and the
share of the return that was lost, for each body and, as the figure of all, the worst of them.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import tables
import torch
from episodes import played

import agent
from agent.barrier import parse_guard
from agent.loading import make_env
from agent.readouts import Readouts

GUARDS = {"HalfCheetah-v5": "speed<8", "joule/Maze-v0": "zone_distance>0"}
"""A cheetah that has learned to run is faster than 8 m/s a third of the time."""
COLUMNS = ["env", "seed", "run_frames", "guard", "kept", "horizon", "return_mean", "return_std", "episodes", "decisions",
           "violations_per_1000", "worst"]  # fmt: skip


def lived(learner: Any, text: str, episodes: int, decisions: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns [episodes], and how far the guard was overstepped [decisions that were taken]."""
    guard = parse_guard(text)
    bodies = [make_env(learner.config) for _ in range(episodes)]
    layout = Readouts(bodies[0].facts.readout_sizes, bodies[0].facts.readout_views)
    returns, over = np.zeros(episodes), []
    for k, action, reward in played(learner.predict, bodies, decisions):
        rows = torch.from_numpy(bodies[k].readouts())[None]
        named = layout.of(rows, torch.from_numpy(action)[None], lambda: torch.zeros(1))
        over.append(max(float(guard.cost(named)[0]), 0.0))
        returns[k] += reward
    return returns, np.array(over)


def summary(rows: list[dict[str, Any]], horizon: int) -> dict[str, Any]:
    """The worst body's figures, and each body's; its runs are averaged. A body that breaks no limit without a guard
    has no ratio."""
    bodies: dict[str, dict[str, float | None]] = {}
    for env in {row["env"]: None for row in rows}:
        of_body = [row for row in rows if row["env"] == env and int(row["horizon"]) == horizon]
        free, kept = (
            {
                name: float(
                    np.mean([float(row[name]) for row in of_body if str(row["kept"]) == str(guarded)])
                )
                for name in ("violations_per_1000", "return_mean")
            }
            for guarded in (False, True)
        )
        before, after = free["violations_per_1000"], kept["violations_per_1000"]
        bodies[env] = {
            "violations_ratio": after / before if before else None,
            "return_lost": (free["return_mean"] - kept["return_mean"]) / abs(free["return_mean"]),
        }
    worst = {
        name: max((x for body in bodies.values() if (x := body[name]) is not None), default=None)
        for name in ("violations_ratio", "return_lost")
    }
    return worst | {"horizon": horizon, "bodies": bodies}


def row_of(run: Path, kept: bool, horizon: int, options: argparse.Namespace) -> dict[str, Any]:
    """One agent's life with or without its guard."""
    learner: Any = agent.load(run, overrides={"planner.horizon": horizon})
    text = GUARDS[learner.config.env]
    if kept:
        learner.guard(parse_guard(text))
    returns, over = lived(learner, text, options.episodes, options.decisions)
    return {
        "env": learner.config.env, "seed": learner.config.seed, "run_frames": learner.frames, "guard": text,
        "kept": kept, "horizon": horizon, "return_mean": round(float(returns.mean()), 3),
        "return_std": round(float(returns.std()), 3), "episodes": options.episodes,
        "decisions": options.decisions, "violations_per_1000": round(1000 * float((over > 0).mean()), 2),
        "worst": round(float(over.max()), 4),
    }  # fmt: skip


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("runs", type=Path, nargs="+")
    p.add_argument("--episodes", type=int, default=5)
    p.add_argument("--decisions", type=int, default=1_000, help="of an episode, at most")
    p.add_argument("--horizons", type=int, nargs="+", default=[3, 6])
    p.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "guard.csv")
    options = p.parse_args()
    torch.set_num_threads(1)
    for run in options.runs:
        if (env := agent.load(run).config.env) not in GUARDS:
            raise SystemExit(f"{run}: guards are known for {', '.join(GUARDS)}, not for {env}")
    rows = tables.read(options.out)
    for run, horizon, kept in itertools.product(options.runs, options.horizons, (False, True)):
        row = row_of(run, kept, horizon, options)
        print(row, flush=True)
        rows = tables.replaced(rows, row, ("env", "seed", "horizon", "kept"))
        tables.write(options.out, COLUMNS, rows)
    found = summary(rows, options.horizons[0])
    options.out.with_name("guardrail.json").write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()

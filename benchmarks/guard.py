"""What a guard costs and what it prevents: return against violations, with and without.

python benchmarks/guard.py runs/cheetah runs/maze     results/guard.csv

The return is the environment's own, the violations are counted on true readouts, per 1,000 decisions.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch

import agent
from agent.barrier import parse_guard
from agent.loading import make_env
from agent.readouts import Readouts

GUARDS = {"HalfCheetah-v5": "speed<1", "joule/Maze-v0": "zone_distance>0"}
COLUMNS = ["env", "run_frames", "guard", "kept", "horizon", "return_mean", "return_std", "episodes", "decisions",
           "violations_per_1000", "worst"]  # fmt: skip


def lived(learner: Any, text: str, episodes: int, decisions: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns [episodes], and how far the guard was overstepped [decisions that were taken]."""
    guard = parse_guard(text)
    bodies = [make_env(learner.config) for _ in range(episodes)]
    layout = Readouts(bodies[0].facts.readout_sizes, bodies[0].facts.readout_views)
    obs = np.stack([body.reset(seed=10_000 + k)[0] for k, body in enumerate(bodies)])
    returns, over, state = np.zeros(episodes), [], None
    alive = np.ones(episodes, bool)
    for step in range(decisions):
        actions, state = learner.predict(obs, state, np.full(episodes, step == 0))
        for k in np.flatnonzero(alive):
            obs[k], reward, terminated, truncated, _ = bodies[k].step(actions[k])
            rows = torch.from_numpy(bodies[k].readouts())[None]
            named = layout.of(rows, torch.from_numpy(actions[k])[None], lambda: torch.zeros(1))
            over.append(max(float(guard.cost(named)[0]), 0.0))
            returns[k] += reward
            alive[k] = not (terminated or truncated)
    return returns, np.array(over)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("runs", type=Path, nargs="+")
    p.add_argument("--episodes", type=int, default=3)
    p.add_argument("--decisions", type=int, default=250)
    p.add_argument("--horizons", type=int, nargs="+", default=[3, 10])
    p.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "guard.csv")
    options = p.parse_args()
    torch.set_num_threads(1)
    with options.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for run in options.runs:
            for horizon in options.horizons:
                for kept in (False, True):
                    learner: Any = agent.load(run, overrides={"planner.horizon": horizon})
                    text = GUARDS[learner.config.env]
                    if kept:
                        learner.guard(parse_guard(text))
                    returns, over = lived(learner, text, options.episodes, options.decisions)
                    row = {
                        "env": learner.config.env, "run_frames": learner.frames, "guard": text, "kept": kept,
                        "horizon": horizon, "return_mean": round(float(returns.mean()), 3),
                        "return_std": round(float(returns.std()), 3), "episodes": options.episodes,
                        "decisions": options.decisions,
                        "violations_per_1000": round(1000 * float((over > 0).mean()), 1),
                        "worst": round(float(over.max()), 4),
                    }  # fmt: skip
                    writer.writerow(row)
                    file.flush()
                    print(row, flush=True)


if __name__ == "__main__":
    main()

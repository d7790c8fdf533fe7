"""Files of results as runs write them, small enough for a test."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from joule.storage.log_files import EVALUATION_COLUMNS, FORECAST_COLUMNS, SUCCESS_COLUMN


def write_evaluations(
    path: Path,
    returns: list[float],
    *,
    agent: str = "joule",
    env: str = "Hopper-v5",
    seed: int = 1,
    every: int = 10,
    success: list[float | str] | None = None,
) -> Path:
    """A CSV of evaluations, one per return, `every` frames apart; `success` adds the column of success rates."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*EVALUATION_COLUMNS, *([SUCCESS_COLUMN] if success else [])])
        for k, value in enumerate(returns, start=1):
            row = [agent, env, seed, k * every, k * every, value, 1.0, 10, 60 * k, 70 * k, 1, "cpu", "abc"]
            writer.writerow([*row, *([success[k - 1]] if success else [])])
    return path


def write_run(
    folder: Path,
    returns: list[float],
    *,
    settings: dict[str, object] | None = None,
    agent: str = "joule",
    env: str = "Hopper-v5",
    seed: int = 1,
    env_spec: dict[str, object] | None = None,
) -> Path:
    """A run folder with evaluations, settings, a command and what was found out of its environment."""
    write_evaluations(folder / "evaluations.csv", returns, agent=agent, env=env, seed=seed)
    (folder / "config.json").write_text(json.dumps(settings or {"planner": {"kind": "mppi"}}))
    (folder / "run.json").write_text(json.dumps({"env_spec": env_spec or {}}))
    (folder / "command.txt").write_text("python train.py --env <Hopper-v5>\n")
    return folder


def write_tree(root: Path) -> Path:
    """A tree of results: two agents on two tasks with three seeds each, and a trivial agent."""
    for seed in (1, 2, 3):
        for env in ("Hopper-v5", "joule/Push-v0"):
            for agent, level in (("joule", 100.0), ("sac", 50.0)):
                path = root / "main" / agent / env / f"seed{seed}.csv"
                write_evaluations(path, [level, 9_999.0, level + seed], agent=agent, env=env, seed=seed)
    write_evaluations(root / "main" / "random" / "Hopper-v5" / "seed1.csv", [7.0], agent="random")
    return root


def write_forecasts(folder: Path, returns: list[tuple[float, float | None]], frames: int = 20) -> None:
    """A forecast log in a run folder, with a predicted and an observed return per decision."""
    lines = [
        f"{frames},10000,{k},{predicted},{'' if observed is None else observed},-1.0,{-k}"
        for k, (predicted, observed) in enumerate(returns)
    ]
    (folder / "forecasts.csv").write_text("\n".join([",".join(FORECAST_COLUMNS), *lines]) + "\n")

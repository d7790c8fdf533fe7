"""What a guard costs and what it prevents: return against violations, with and without.

python benchmarks/guard.py runs/cheetah runs/maze     results/guard.csv, and its summary guardrail.json

Rows of other runs stay in the table. In the maze the guard keeps a zone free; a robot's limit of speed is the one that
it oversteps a third of the time while nobody minds. Maze's episodes are those that begin in its left part, from
where the way leads through the zone.

`kept` says whether the guard is kept: no, yes, or yes by an agent that has learned costs that know of it, inside its
model and without a step. The return is the environment's own, the violations are counted on true readouts, per
1,000 decisions. The summary is of the default horizon, the first one given: violations with the guard over those
without, and the share of the return that was lost, for each body and, as the figure of all, the worst of them; for
the last way, and under `alone` for a guard that the agent has not learned to live with.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

import joule
from agent.configurator.validation import replace
from agent.cost.constraint import parse_constraint
from agent.cost.constraint_monitor import ConstraintMonitor
from agent.cost.task import TaskReward
from agent.cost.task_terms import limit, parse
from agent.seeds import FIRST_SEED
from benchmarks import tables
from benchmarks.comprehension.episodes import played
from joule.environment import make_env

GUARDS = {"HalfCheetah-v5": "speed<{speed}", "joule/Maze-v0": "zone_distance>0"}
"""The guard of each body. A readout in braces stands for a limit of the agent's own: see `limit_of`."""
OFTEN = 1 / 3
"""Share of an unguarded agent's decisions that oversteps such a limit."""
CROSSING = {"joule/Maze-v0": "keep:ball.0<-0.5"}
"""Where a body's guard is in the way of few episodes: the limit that a start must keep, so that it is."""
LIMIT_SEED = 30_000
"""Of the episodes by which it is set, which are not those that are measured."""
WAYS = ("no", "yes", "learned")
COLUMNS = ["env", "seed", "run_frames", "guard", "kept", "horizon", "return_mean", "return_std", "episodes", "decisions",
           "violations_per_1000", "worst"]  # fmt: skip


def limit_of(run: Path, decisions: int) -> tuple[str, str]:
    """The guard of a run, and the costs that a critic and a policy learn inside the model to live with it.

    A limit on speed means nothing to an agent that is slower anyway, so that each agent gets the speed that it
    exceeds OFTEN: with one decimal, over two episodes without a guard. What is learned is a limit with room to
    the guard, as much as the agent keeps from it at the end of a plan.
    """
    learner: Any = joule.load(run)
    text = GUARDS[learner.config.env]
    if found := re.search(r"{(\w+)}", text):
        bodies = [make_env(replace(learner.config, {"task": ""})) for _ in range(2)]
        reading = TaskReward(parse(f"less:{found[1]}"))
        seen = [
            reading(bodies[k].env_spec, bodies[k].readouts(), action, -reward)
            for k, action, reward in played(learner.predict, bodies, decisions, (LIMIT_SEED, LIMIT_SEED + 1))
        ]
        text = text.format(**{found[1]: round(float(np.quantile(seen, 1 - OFTEN)), 1)})
    learner.constraint(parse_constraint(text))
    bound = limit("guard", text)
    assert bound is not None, f"{text} is no limit"
    return text, f"own+20*keep:{bound.tightened(float(learner.modules.margin()[-1, 0]))}"


def seeds_of(learner: Any, episodes: int) -> list[int]:
    """The first seeds of evaluation from whose starts the guard is in the way."""
    seeds = itertools.count(FIRST_SEED)
    if (limit := CROSSING.get(learner.config.env)) is None:
        return list(itertools.islice(seeds, episodes))
    body, over = make_env(replace(learner.config, {"task": ""})), TaskReward(parse(limit))
    still = np.zeros(body.env_spec.action_size, np.float32)

    def crosses(seed: int) -> bool:
        body.reset(seed=seed)
        return over(body.env_spec, body.readouts(), still, 0.0) == 0.0

    return list(itertools.islice(filter(crosses, seeds), episodes))


def lived(learner: Any, text: str, episodes: int, decisions: int) -> tuple[np.ndarray, ConstraintMonitor]:
    """Returns [episodes], and what overstepped the guard."""
    violations = ConstraintMonitor([parse_constraint(text)])
    bodies = [violations.observe(make_env(replace(learner.config, {"task": ""}))) for _ in range(episodes)]
    returns = np.zeros(episodes)
    for k, _, reward in played(learner.predict, bodies, decisions, seeds_of(learner, episodes)):
        returns[k] += reward
    return returns, violations


def summary(rows: list[dict[str, Any]], horizon: int) -> dict[str, Any]:
    """The worst body's figures, and each body's; its runs are averaged. A body that breaks no limit without a guard
    has no ratio."""
    ways = {way: worst_of(rows, horizon, way) for way in WAYS[1:]}
    return ways["learned"] | {"horizon": horizon, "alone": ways["yes"]}


def worst_of(rows: list[dict[str, Any]], horizon: int, way: str) -> dict[str, Any]:
    """One way of keeping the guard beside not keeping it."""
    bodies: dict[str, dict[str, float | None]] = {}
    for env in {row["env"]: None for row in rows}:
        of_body = [row for row in rows if row["env"] == env and int(row["horizon"]) == horizon]
        known = {row["seed"] for row in of_body if row["kept"] == way}
        of_body = [row for row in of_body if row["seed"] in known]
        if not {"no", way} <= {row["kept"] for row in of_body}:
            continue
        free, kept = (
            {
                name: float(np.mean([float(row[name]) for row in of_body if row["kept"] == one]))
                for name in ("violations_per_1000", "return_mean")
            }
            for one in ("no", way)
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
    return worst | {"bodies": bodies}


def row_of(
    run: Path, text: str, costs: str, kept: str, horizon: int, options: argparse.Namespace
) -> dict[str, Any]:
    """One agent's life without its guard, with it, or with it and costs that know of it."""
    learner: Any = joule.load(run, overrides={"planner.horizon-decisions": horizon})
    if kept == "learned":
        learner.learn_task(parse(costs), options.updates)
    if kept != "no":
        learner.constraint(parse_constraint(text))
    returns, violations = lived(learner, text, options.episodes, options.decisions)
    return {
        "env": learner.config.env, "seed": learner.config.seed, "run_frames": learner.frames, "constraint": text,
        "kept": kept, "horizon": horizon, "return_mean": round(float(returns.mean()), 3),
        "return_std": round(float(returns.std()), 3), "episodes": options.episodes,
        "decisions": options.decisions, "violations_per_1000": round(violations.per_thousand, 2),
        "worst": round(violations.worst, 4),
    }  # fmt: skip


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("runs", type=Path, nargs="+")
    p.add_argument("--episodes", type=int, default=5)
    p.add_argument("--decisions", type=int, default=1_000, help="of an episode, at most")
    p.add_argument("--updates", type=int, default=6_000, help="of the way that is learned (default: 6000)")
    p.add_argument("--horizons", type=int, nargs="+", default=[3, 6])
    p.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results" / "guard.csv")
    options = p.parse_args()
    torch.set_num_threads(1)
    for run in options.runs:
        if (env := joule.load(run).config.env) not in GUARDS:
            raise SystemExit(f"{run}: guards are known for {', '.join(GUARDS)}, not for {env}")
    rows = tables.read(options.out)
    constraints = {run: limit_of(run, options.decisions) for run in options.runs}
    for run, horizon, kept in itertools.product(options.runs, options.horizons, WAYS):
        row = row_of(run, *constraints[run], kept, horizon, options)
        print(row, flush=True)
        rows = tables.replaced(rows, row, ("env", "seed", "horizon", "kept"))
        tables.write(options.out, COLUMNS, rows)
    found = summary(rows, options.horizons[0])
    options.out.with_name("guardrail.json").write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()

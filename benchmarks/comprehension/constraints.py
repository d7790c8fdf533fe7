"""Measures what a constraint costs and what it prevents: return and violations, with and without it.

    python benchmarks/comprehension/constraints.py runs/cheetah runs/maze

-> benchmarks/results/constraints.csv, and its summary guardrail.json. Rows of other runs stay in the table.

In the maze the constraint keeps a zone free, and an episode begins in its left part, from where the way to the goal
leads through the zone. In HalfCheetah-v5 it is a speed that the agent exceeds in a third of its decisions without a
constraint.

The column `kept` says whether the constraint is kept: "no", "yes", or "learned", where the agent has also learned
costs that include the constraint, inside its model and without a step in the environment. The return is that of the
environment; violations are counted on true readouts, per 1,000 decisions.

The summary is about the first horizon given. `violations_ratio` is violations with the constraint over those without.
`return_lost` is the share of the return that is lost. Both are for "learned", and under `planning_only` for "yes":
for each environment, and the worst of them.
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
from agent.agent import WorldModelAgent
from agent.configurator.validation import replace
from agent.cost.constraint import parse_constraint
from agent.cost.constraint_monitor import ConstraintMonitor
from agent.cost.regions import parse_limit
from agent.cost.task import TaskReward
from agent.cost.task_text import parse
from agent.seeds import FIRST_SEED
from benchmarks import raw_rows
from benchmarks.comprehension.episodes import play
from benchmarks.training import RESULTS
from joule.environment import make_env

CONSTRAINTS = {"HalfCheetah-v5": "speed<{speed}", "joule/Maze-v0": "zone_distance>0"}
"""Environment -> its constraint. A readout in braces stands for a bound that depends on the agent."""
VIOLATED_SHARE = 1 / 3
"""Share of the decisions in which an agent without a constraint exceeds such a bound."""
START_LIMIT = {"joule/Maze-v0": "keep:ball.0<-0.5"}
"""Environment -> the limit that the start of an episode must keep, so that the constraint matters in it."""
BOUND_SEEDS = (30_000, 30_001)
"""Seeds of the episodes from which such a bound is chosen; none of them is measured."""
WAYS = ("no", "yes", "learned")
COLUMNS = (
    "env", "seed", "run_frames", "constraint", "kept", "horizon", "return_mean", "return_std", "episodes",
    "decisions", "violations_per_1000", "worst",
)  # fmt: skip


def loaded(run: Path, **settings: Any) -> WorldModelAgent:
    """The world-model agent of a run, with settings changed.

    Raises:
        SystemExit: for another agent, and for an environment without a constraint.
    """
    agent = joule.load(run, settings=settings)
    if not isinstance(agent, WorldModelAgent):
        raise SystemExit(f"{run}: {agent.kind} cannot keep a constraint; joule can")
    if agent.config.env not in CONSTRAINTS:
        known = ", ".join(CONSTRAINTS)
        raise SystemExit(f"{run}: there are constraints for {known}, and none for {agent.config.env}")
    return agent


def measured_env(agent: WorldModelAgent) -> Any:
    """An environment of the agent, with the environment's own reward."""
    return make_env(replace(agent.config, {"task": ""}))


def constraint_of(run: Path, decisions: int) -> tuple[str, str]:
    """The constraint of a run, and the costs with which its agent learns to keep it.

    A bound in braces is the speed that this agent exceeds in `VIOLATED_SHARE` of its decisions, to one decimal, over
    two episodes without a constraint: a bound above the agent's own speed would prevent nothing. The learned costs
    keep the safety margin that planning keeps at the end of its horizon.

    Args:
        run: the run folder.
        decisions: length of the two episodes, at most.

    Returns:
        The constraint and the costs, as text.
    """
    agent = loaded(run)
    text = CONSTRAINTS[agent.config.env]
    if found := re.search(r"{(\w+)}", text):
        envs = [measured_env(agent) for _ in BOUND_SEEDS]
        value = TaskReward(parse(f"less:{found[1]}"))  # the cost is the readout itself
        values = [
            value(envs[k].env_spec, envs[k].readouts(), action, -reward)
            for k, action, reward in play(agent.predict, envs, decisions, BOUND_SEEDS)
        ]
        text = text.format(**{found[1]: round(float(np.quantile(values, 1 - VIOLATED_SHARE)), 1)})
    agent.constrain(parse_constraint(text))
    bound = parse_limit("constraint", text)
    assert bound is not None, f"{text} is no limit"
    margin = float(agent.modules.margin()[-1, 0])
    return text, f"own+20*keep:{bound.tightened(margin)}"


def seeds_of(agent: WorldModelAgent, episodes: int) -> list[int]:
    """The first seeds of an evaluation with whose starts the constraint matters."""
    seeds = itertools.count(FIRST_SEED)
    if (text := START_LIMIT.get(agent.config.env)) is None:
        return list(itertools.islice(seeds, episodes))
    env, violation = measured_env(agent), TaskReward(parse(text))
    no_action = np.zeros(env.env_spec.action_size, np.float32)

    def keeps_limit(seed: int) -> bool:
        env.reset(seed=seed)
        return violation(env.env_spec, env.readouts(), no_action, 0.0) == 0.0

    return list(itertools.islice(filter(keeps_limit, seeds), episodes))


def measure(
    agent: WorldModelAgent, text: str, episodes: int, decisions: int
) -> tuple[np.ndarray, ConstraintMonitor]:
    """Plays episodes and counts violations of a constraint.

    Returns:
        The returns [episodes], and the monitor of violations.
    """
    monitor = ConstraintMonitor([parse_constraint(text)])
    envs = [monitor.observe(measured_env(agent)) for _ in range(episodes)]
    returns = np.zeros(episodes)
    for k, _, reward in play(agent.predict, envs, decisions, seeds_of(agent, episodes)):
        returns[k] += reward
    return returns, monitor


def row_of(
    run: Path, text: str, costs: str, kept: str, horizon: int, options: argparse.Namespace
) -> dict[str, Any]:
    """The row of an agent that keeps a constraint in one of WAYS."""
    agent = loaded(run, **{"planner.horizon_decisions": horizon})
    if kept == "learned":
        agent.learn_task(parse(costs), options.updates)
    if kept != "no":
        agent.constrain(parse_constraint(text))
    returns, monitor = measure(agent, text, options.episodes, options.decisions)
    return {
        "env": agent.config.env, "seed": agent.config.seed, "run_frames": agent.frames, "constraint": text,
        "kept": kept, "horizon": horizon, "return_mean": round(float(returns.mean()), 3),
        "return_std": round(float(returns.std()), 3), "episodes": options.episodes,
        "decisions": options.decisions, "violations_per_1000": round(monitor.per_thousand, 2),
        "worst": round(monitor.worst, 4),
    }  # fmt: skip


def summary(rows: list[dict[str, Any]], horizon: int) -> dict[str, Any]:
    """The summary of a table; see the top of this file."""
    ways = {way: figures_of(rows, horizon, way) for way in WAYS[1:]}
    return ways["learned"] | {"horizon": horizon, "planning_only": ways["yes"]}


def figures_of(rows: list[dict[str, Any]], horizon: int, way: str) -> dict[str, Any]:
    """The figures of one way, for each environment and for the worst; the runs of an environment are averaged.

    The ratio is None where there are no violations without a constraint.
    """
    figures: dict[str, dict[str, float | None]] = {}
    for env in dict.fromkeys(row["env"] for row in rows):
        own = [row for row in rows if row["env"] == env and int(row["horizon"]) == horizon]
        seeds = {row["seed"] for row in own if row["kept"] == way}
        own = [row for row in own if row["seed"] in seeds]
        if not {"no", way} <= {row["kept"] for row in own}:
            continue

        def mean(column: str, kept: str, rows: list[dict[str, Any]] = own) -> float:
            return float(np.mean([float(row[column]) for row in rows if row["kept"] == kept]))

        without = mean("violations_per_1000", "no")
        free, kept = mean("return_mean", "no"), mean("return_mean", way)
        figures[env] = {
            "violations_ratio": mean("violations_per_1000", way) / without if without else None,
            "return_lost": (free - kept) / abs(free),
        }
    worst = {
        name: max((x for of_env in figures.values() if (x := of_env[name]) is not None), default=None)
        for name in ("violations_ratio", "return_lost")
    }
    return worst | {"environments": figures}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    p.add_argument("--episodes", type=int, default=5, help="of each row (default: 5)")
    p.add_argument("--decisions", type=int, default=1_000, help="of an episode, at most (default: 1000)")
    p.add_argument("--updates", type=int, default=6_000, help='gradient steps of "learned" (default: 6000)')
    p.add_argument("--horizons", type=int, nargs="+", default=[3, 6], help="decisions (default: 3 6)")
    p.add_argument("--out", type=Path, default=RESULTS / "constraints.csv")
    options = p.parse_args()
    torch.set_num_threads(1)
    rows = raw_rows.read(options.out)
    constraints = {run: constraint_of(run, options.decisions) for run in options.runs}
    for run, horizon, kept in itertools.product(options.runs, options.horizons, WAYS):
        row = row_of(run, *constraints[run], kept, horizon, options)
        print(row, flush=True)
        rows = raw_rows.replaced(rows, row, ("env", "seed", "horizon", "kept"))
        raw_rows.write(options.out, COLUMNS, rows)
    found = summary(rows, options.horizons[0])
    options.out.with_name("guardrail.json").write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()

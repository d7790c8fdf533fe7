"""Measures what a constraint costs and what it prevents: return and violations, with and without it.

    python benchmarks/comprehension/constraints.py runs/cheetah runs/walker            any robots
    python benchmarks/comprehension/constraints.py runs/cheetah --from-scratch 100000  with the fair ceiling
    python benchmarks/comprehension/constraints.py runs/hopper --constraint "height>{height}"
    python benchmarks/comprehension/constraints.py runs/maze --choices benchmarks/comprehension/robots.json

-> runs/comprehension/constraints.csv, and its summary guardrail.json beside it; --published: in benchmarks/results/.
Rows of other runs stay in the table.

A readout in braces stands for a bound that this agent violates in a third of its decisions without a constraint. The
default is such a bound on the first of its speeds that the agent can read (default_tasks.py). In the maze of
robots.json the constraint keeps a zone free, and an episode begins in its left part (`start`), from where the way to the
goal leads through the zone.

The column `kept` says whether the constraint is kept: "no", "yes", or "learned", where the agent has also learned
costs that include the constraint, inside its model and without a step in the environment. With --from-scratch, another
agent is trained with these costs from its first frame, and then also plans within the constraint: "from scratch". What
it returns is the ceiling: where the reward grows with the speed, a speed limit must cost something. The return is that
of the environment; violations are counted on true readouts, per 1,000 decisions.

The summary is about the first horizon given. `violations_ratio` is violations with the constraint over those without.
`return_lost` is the share of the ceiling's return that is lost, `return_lost_of_free` that of the return without the
constraint. All are for "learned", and under `planning_only` for "yes": for each environment, their mean and the worst.
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
from agent.configurator.dotted_names import flatten, replace
from agent.configurator.settings import Config
from agent.cost.constraint import parse_constraint
from agent.cost.constraint_monitor import ConstraintMonitor
from agent.cost.task import CostFn, Task, TaskReward
from agent.cost.task_text import parse
from agent.readout_legibility import legibility_in_memory
from agent.seeds import FIRST_SEED
from benchmarks import raw_rows, training
from benchmarks.comprehension import outputs
from benchmarks.comprehension.choices import add_option, choices_for
from benchmarks.comprehension.constraints_summary import CEILING, SUMMARY, WAYS, summary
from benchmarks.comprehension.default_tasks import constraint_for
from benchmarks.comprehension.episodes import play
from benchmarks.comprehension.run_folders import folder_name
from benchmarks.counts import count
from benchmarks.refusals import exit_code
from joule.environment import make_env
from joule_errors import Refused

OF_ENV = ("action_repeat", "max_episode_frames")
"""Settings of the environment that a ceiling has from its run, beside perturbations."""
VIOLATED_SHARE = 1 / 3
"""Share of the decisions in which an agent without a constraint violates a bound in braces."""
MOST_STARTS = 10_000
"""Seeds that are tried for starts of episodes within a limit."""
BRACES = re.compile(r"{([\w.]+)}")
BOUND_SEEDS = (30_000, 30_001)
"""Seeds of the episodes from which such a bound is chosen; none of them is measured."""
COLUMNS = (
    "env", "seed", "run_frames", "constraint", "kept", "horizon", "return_mean", "return_std", "episodes",
    "decisions", "violations_per_1000", "worst",
)  # fmt: skip
KEY = ("env", "seed", "run_frames", "constraint", "horizon", "kept")
"""Columns in which a new row and the one that it replaces are equal."""


def loaded(run: Path, **settings: Any) -> WorldModelAgent:
    """The world-model agent of a run, with settings changed.

    Raises:
        Refused: for another agent.
    """
    agent = joule.load(run, settings=settings)
    if not isinstance(agent, WorldModelAgent):
        raise Refused(f"{run}: {agent.kind} cannot keep a constraint; joule can")
    return agent


def measured_env(agent: WorldModelAgent) -> Any:
    """An environment of the agent, with the environment's own reward."""
    return make_env(replace(agent.config, {"task": ""}))


def form_for(agent: WorldModelAgent, options: argparse.Namespace) -> str:
    """The constraint of an agent's environment, perhaps with a readout in braces.

    Raises:
        Refused: where there is none, and for one that does not fit the environment.
    """
    of_file = choices_for(options.choices, agent.config.env).constraint
    if options.constraint is not None:
        form = options.constraint
    elif of_file is not None:
        form = of_file
    else:
        form = constraint_for(measured_env(agent), legibility_in_memory(agent.modules))
    check_fits(measured_env(agent), form)
    return str(form)


def check_fits(env: Any, form: str) -> None:
    """Refused, with the constraint, for one that is malformed or that the environment has no readouts for."""
    spec = env.env_spec
    plain = re.sub(BRACES, "0", form)
    env.reset(seed=FIRST_SEED)
    try:
        costs: list[CostFn] = [parse_constraint(plain).cost]
        costs += [parse(f"less:{name}").cost for name in re.findall(BRACES, form)]
        for cost in costs:
            TaskReward(Task("it", cost))(spec, env.readouts(), np.zeros(spec.action_size, np.float32), 0.0)
    except Refused as error:
        raise Refused(f"constraint {form!r} does not fit {spec.env}: {error}") from error


def constraint_of(run: Path, form: str, decisions: int) -> tuple[str, str]:
    """The constraint of a run, and the costs with which its agent learns to keep it.

    A bound in braces is the value that this agent violates in `VIOLATED_SHARE` of its decisions, to three digits,
    over two episodes without a constraint: a bound beyond the agent's own values would prevent nothing.

    Args:
        run: the run folder.
        form: the constraint, perhaps with a readout in braces.
        decisions: length of the two episodes, at most.

    Returns:
        The constraint and the costs, as text.
    """
    agent, text = loaded(run), form
    if found := re.search(BRACES, text):
        envs = [measured_env(agent) for _ in BOUND_SEEDS]
        value = TaskReward(parse(f"less:{found[1]}"))  # the cost is the readout itself
        values = [
            value(envs[k].env_spec, envs[k].readouts(), action, -reward)
            for k, action, reward in play(agent.predict, envs, decisions, BOUND_SEEDS)
        ]
        share = VIOLATED_SHARE if ">" in text else 1 - VIOLATED_SHARE
        text = text.replace(found[0], digits(float(np.quantile(values, share))))
    agent.constrain(parse_constraint(text))
    return text, agent.configurator.task_within_constraints()


def digits(value: float) -> str:
    """A number with three significant digits, and without an exponent."""
    return str(np.format_float_positional(value, 3, unique=False, fractional=False, trim="-"))


def seeds_of(agent: WorldModelAgent, episodes: int, start: str | None) -> list[int]:
    """The first seeds of an evaluation with whose starts the constraint matters.

    Raises:
        Refused: where too few of the first `MOST_STARTS` begin within the limit `start`.
    """
    if start is None:
        return list(range(FIRST_SEED, FIRST_SEED + episodes))
    seeds = range(FIRST_SEED, FIRST_SEED + MOST_STARTS)
    env, violation = measured_env(agent), TaskReward(parse(start))
    no_action = np.zeros(env.env_spec.action_size, np.float32)

    def keeps_limit(seed: int) -> bool:
        env.reset(seed=seed)
        return violation(env.env_spec, env.readouts(), no_action, 0.0) == 0.0

    found = list(itertools.islice(filter(keeps_limit, seeds), episodes))
    if len(found) < episodes:
        raise Refused(
            f"start {start!r}: {len(found)} of {MOST_STARTS:,} episodes begin within it, not {episodes}"
        )
    return found


def measure(
    agent: WorldModelAgent, text: str, episodes: int, decisions: int, start: str | None
) -> tuple[np.ndarray, ConstraintMonitor]:
    """Plays episodes and counts violations of a constraint.

    Returns:
        The returns [episodes], and the monitor of violations.
    """
    monitor = ConstraintMonitor([parse_constraint(text)])
    envs = [monitor.observe(measured_env(agent)) for _ in range(episodes)]
    returns = np.zeros(episodes)
    for k, _, reward in play(agent.predict, envs, decisions, seeds_of(agent, episodes, start)):
        returns[k] += reward
    return returns, monitor


def ceiling(run: Path, text: str, costs: str, frames: int) -> Path:
    """The run of an agent that learned with the costs from scratch, trained or resumed."""
    config = loaded(run).config
    title = f"{config.env} {costs} seed {config.seed}"
    own, default = flatten(config), flatten(Config())
    same = [f"--{key.replace('_', '-')}={own[key]}" for key in OF_ENV if own.get(key) != default.get(key)]
    same += [f"--perturb={change}" for change in config.perturb]
    words = ("--env", config.env, "--seed", str(config.seed), "--task", costs, "--constraint", text, *same)
    folder, new = training.RUNS / "constraints" / folder_name(title, words), ("--agent", "joule", *words)
    (found,) = training.train_all([training.TrainingRun(folder, frames, new)])
    return found


def row_of(
    run: Path, text: str, costs: str, kept: str, horizon: int, options: argparse.Namespace
) -> dict[str, Any]:
    """The row of an agent that keeps a constraint in one of WAYS, or of its ceiling."""
    folder = ceiling(run, text, costs, options.from_scratch) if kept == CEILING else run
    agent = loaded(folder, **{"planner.horizon_decisions": horizon})
    if kept == "learned":
        agent.learn_task(parse(costs), options.updates)
    if kept != "no":
        agent.constrain(parse_constraint(text))
    start = options.start or choices_for(options.choices, agent.config.env).start
    returns, monitor = measure(agent, text, options.episodes, options.decisions, start)
    return {
        "env": agent.config.env, "seed": agent.config.seed, "run_frames": agent.frames, "constraint": text,
        "kept": kept, "horizon": horizon, "return_mean": round(float(returns.mean()), 3),
        "return_std": round(float(returns.std()), 3), "episodes": options.episodes,
        "decisions": options.decisions, "violations_per_1000": round(monitor.per_thousand, 2),
        "worst": round(monitor.worst, 4),
    }  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """The options."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    p.add_argument("--constraint", metavar="LIMIT", help="of all runs (default: by the robot's readouts)")
    p.add_argument(
        "--start", metavar="TERM", help="limit within which episodes begin, such as keep:ball.0<-0.5"
    )
    add_option(p)
    p.add_argument("--episodes", type=count, default=5, help="of each row (default: 5)")
    p.add_argument("--decisions", type=count, default=1_000, help="of an episode, at most (default: 1000)")
    p.add_argument("--updates", type=count, default=6_000, help='gradient steps of "learned" (default: 6000)')
    p.add_argument(
        "--from-scratch",
        type=count,
        metavar="FRAMES",
        help="also train the ceilings, for so many frames each",
    )
    p.add_argument("--horizons", type=count, nargs="+", default=[3, 6], help="decisions (default: 3 6)")
    outputs.add_options(p)
    return p


def main() -> int:
    """Measures the runs, and writes table and summary."""
    options = parser().parse_args()
    options.out = outputs.table(options, "constraints.csv")
    torch.set_num_threads(1)
    rows = raw_rows.read(options.out)
    forms = {run: form_for(loaded(run), options) for run in options.runs}
    constraints = {run: constraint_of(run, form, options.decisions) for run, form in forms.items()}
    ways = WAYS if options.from_scratch is None else (*WAYS, CEILING)
    for run, horizon, kept in itertools.product(options.runs, options.horizons, ways):
        row = row_of(run, *constraints[run], kept, horizon, options)
        print(row, flush=True)
        rows = raw_rows.replaced(rows, row, KEY)
        raw_rows.write(options.out, COLUMNS, rows)
    found = summary(rows, options.horizons[0])
    options.out.with_name(SUMMARY).write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(exit_code(main))

"""Evaluate a trained agent: episodes on held-out seeds, without learning and without exploring.

python evaluate.py RUN                               ten episodes, a table, and RUN/evaluation.json
python evaluate.py RUN --episodes 100 --seed 20000   more of them, on seeds of your own
python evaluate.py RUN --planner.kind icem           searched for by another planner
python evaluate.py RUN --perturb gravity=0.5@300     in a world that changes
python evaluate.py RUN --perturb mass=2 --adapt      noticing it, and learning the new world while acting
python evaluate.py RUN --task less:velocity          another task, planned for; --learn-task 4000 learns it first
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from agent.configurator.settings import Config
from agent.errors import ConfigError
from agent.seeds import FIRST_SEED
from joule.cli.options import (
    Parser,
    add_adapt,
    add_changes,
    check_adapt,
    check_planning,
    check_task,
    given_settings,
    in_names,
    whole_number,
)

if TYPE_CHECKING:
    from agent.interface import Agent, TrainingEnv
    from joule.storage.run_folder import Run
    from joule.training.evaluation import Evaluation, Predictor
    from joule.training.forecast_log import ForecastLog

TIMED_DECISIONS, UNTIMED_DECISIONS = 50, 5
"""Decisions that are timed one by one, after a few that warm up the machine."""


@dataclass(frozen=True)
class DecisionTime:
    """What one decision for one body takes, in milliseconds: medians over `decisions`."""

    wall_ms: float
    cpu_ms: float
    """Of this process, all its threads."""
    decisions: int


def time_decisions(learner: Predictor, make_env: Callable[[], TrainingEnv], seed: int) -> DecisionTime:
    """Times decisions alone, as a robot would make them: one body, each plan started from the one before.

    An evaluation plays episodes side by side, so its own duration says nothing about this.
    """
    import numpy as np

    env = make_env()
    spent: list[tuple[float, float]] = []
    while len(spent) < UNTIMED_DECISIONS + TIMED_DECISIONS:
        obs, _ = env.reset(seed=seed + len(spent))
        state, start, over = None, True, False
        while not over and len(spent) < UNTIMED_DECISIONS + TIMED_DECISIONS:
            before = time.perf_counter(), time.process_time()
            action, state = learner.predict(obs, state, np.array([start]), deterministic=True)
            spent.append((time.perf_counter() - before[0], time.process_time() - before[1]))
            obs, _, terminated, truncated, _ = env.step(action)
            start, over = False, terminated or truncated
    if (close := getattr(env, "close", None)) is not None:
        close()
    wall, cpu = np.median(np.array(spent[UNTIMED_DECISIONS:]), axis=0) * 1e3
    return DecisionTime(round(float(wall), 3), round(float(cpu), 3), TIMED_DECISIONS)


def record(
    learner: Agent, run: Run, evaluation: Evaluation, first_seed: int, timing: DecisionTime
) -> dict[str, Any]:
    """The evaluation as JSON values: what was evaluated, its scores, and how they came about."""
    import numpy as np

    from agent.configurator.validation import to_json
    from joule.report.statistics import interquartile_mean
    from joule.storage.run_folder import versions

    config, returns = learner.config, evaluation.returns
    plain = to_json(config)
    return {
        "run": run.id,
        "env": config.env,
        "agent": config.agent,
        "training_seed": config.seed,
        "frames": learner.frames,
        "planner": plain["planner"] if config.agent == "joule" else None,
        "perturb": plain["perturb"],
        "constraint": plain["constraint"],
        "perceive": plain["perceive"],
        "episodes": len(returns),
        "mean": evaluation.mean,
        "std": evaluation.std,
        "iqm": float(interquartile_mean([returns])),
        "surprise": evaluation.surprise,
        "foretold": None if evaluation.forecast_log is None else predicted(evaluation.forecast_log),
        "planning_ms": timing.wall_ms,
        "planning_cpu_ms": timing.cpu_ms,
        "planning_decisions": timing.decisions,
        "diverged": evaluation.diverged,
        "seeds": list(range(first_seed, first_seed + len(returns))),
        "returns": [float(value) for value in returns],
        "lengths": [int(value) for value in evaluation.lengths],
        "episode_frames": [int(value) for value in np.asarray(evaluation.frames)],
        "threads": config.threads,
        "device": config.device,
        "versions": versions(),
    }


def predicted(forecast_log: ForecastLog) -> dict[str, Any]:
    """How well returns to the episode's end, and the cost of the next step, were foretold, as JSON values."""
    from joule.report.forecasts import calibration

    found = {
        "returns": calibration(forecast_log.predicted_returns, forecast_log.returns),
        "costs": calibration(forecast_log.predicted_costs, forecast_log.costs),
    }
    return {
        name: {key: None if math.isnan(value) else value for key, value in vars(of).items()}
        for name, of in found.items()
    }


def shown(result: Mapping[str, Any]) -> str:
    """The result for a reader: a row an episode, and a line that sums up."""
    planner = "" if result["planner"] is None else f", planner {result['planner']['kind']}"
    world = f", with {' '.join(result['perturb'])}" if result["perturb"] else ""
    task = f", for {result['task']}" if result.get("task") else ""
    within = f", within {' and '.join(result['guard'])}" if result["constraint"] else ""
    by = ", perceiving by energy" if result["perceive"] == "energy" else ""
    who = f"{result['agent']} after {result['frames']:,} frames"
    lines = [f"{result['env']}, {who}{planner}{world}{by}{task}{within}", ""]
    lines.append(f"{'seed':>10}{'return':>14}{'decisions':>12}")
    for row in zip(result["seeds"], result["returns"], result["lengths"], strict=True):
        lines.append("{:>10}{:>14,.2f}{:>12,}".format(*row))
    sums = [f"mean {result['mean']:,.2f}, std {result['std']:,.2f}, IQM {result['iqm']:,.2f}"]
    if result["surprise"] is not None:
        sums.append(f"surprise {result['surprise']:.2f}")
    of_returns = (result["foretold"] or {}).get("returns", {})
    if of_returns.get("slope") is not None:
        sums.append(
            "returns foretold with correlation {correlation:.2f}, slope {slope:.2f}".format(**of_returns)
        )
    sums.append(f"{result['planning_ms']:.1f} ms a decision")
    if "violations_per_1000" in result:
        sums.append(
            f"{result['violations_per_1000']:.1f} violations in 1,000 decisions, the worst by "
            f"{result['worst_violation']:.2g}"
        )
        sums += [f"{margin:.2g} kept from {constraint}" for constraint, margin in result["room"].items()]
    for event in result.get("changes_noticed") or ():
        world = "a new world" if event["new"] else f"world {event['world']} again"
        sums.append(f"a change noticed at decision {event['decision']:,}: {world}")
    if result["diverged"]:
        sums.append(f"{result['diverged']} of {result['episodes']} ended in diverged physics")
    return "\n".join([*lines, "", "; ".join(sums)])


def parser() -> Parser:
    """The options of this door."""
    p = Parser(prog="evaluate.py", description=__doc__)
    p.add_argument("run", type=Path, metavar="RUN", help="a run folder, or one of its checkpoints/step-<n>")
    p.add_argument("--episodes", type=whole_number, default=10, metavar="N", help="episodes (default: 10)")
    p.add_argument("--seed", dest="first_seed", type=whole_number, default=FIRST_SEED, metavar="N",
                   help="seed of the first; the others follow (default: 10000)")  # fmt: skip
    p.add_argument(
        "--out", type=Path, metavar="FILE", help="the JSON (default: in RUN, named for what was changed)"
    )
    add_changes(p)
    add_adapt(p)
    return p


def check(run: Run, config: Config, changes: Mapping[str, Any], out: Path) -> None:
    """Refuses what cannot end well, before anything heavy is done. Raises ConfigError."""
    check_planning(changes, config)
    if out.is_dir() or not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise ConfigError(f"--out: {out} cannot be written; give a file in a folder that takes it")


def main(arguments: Sequence[str]) -> int:
    options = parser().parse(arguments)
    changes = given_settings(options)
    task = changes.pop("task", None)
    check_task(task, options.learn_task)
    for name, value, low in (("episodes", options.episodes, 1), ("seed", options.first_seed, 0)):
        if value < low:
            raise ConfigError(f"--{name}: {value} is less than {low}")

    from joule.storage.files import replace_file, why
    from joule.storage.run_folder import Run, located

    folder, checkpoint = located(options.run)
    run = Run.open(folder, trust_modules=options.trust_module)
    of = [] if checkpoint is None else [checkpoint.name]
    name = "-".join(["evaluation", *of, *in_names(options, options.first_seed)])
    out = options.out or run.folder / f"{name}.json"
    check(run, run.config, changes, out)
    check_adapt(options.adapt, run.config)

    # From here on it is heavy: torch and MuJoCo are imported once all of the above is settled.
    os.environ.setdefault("OMP_NUM_THREADS", str(run.config.threads))
    import torch

    from agent.agent import WorldModelAgent
    from agent.cost.constraint import parse_constraint
    from agent.cost.constraint_monitor import ConstraintMonitor
    from agent.training_env import check_spec
    from joule.environment import make_env
    from joule.storage.loading import load_changed
    from joule.training.evaluation import PARALLEL_EPISODES, evaluate

    torch.set_num_threads(run.config.threads)
    learner, world = load_changed(options.run, changes, task, options.learn_task, options.trust_module)
    world_model = learner if isinstance(learner, WorldModelAgent) else None
    adaptive = world_model.adapt() if options.adapt and world_model is not None else None

    violations = ConstraintMonitor([parse_constraint(text) for text in world.constraint])

    def body() -> TrainingEnv:
        made: TrainingEnv = check_spec(learner.env_spec, make_env(world), learner.config.agent)
        return made if adaptive is None else adaptive.observe(made)

    def judged() -> TrainingEnv:
        return cast("TrainingEnv", violations.observe(body())) if world.constraint else body()

    acting: Predictor = learner if adaptive is None else adaptive
    lanes = PARALLEL_EPISODES if adaptive is None else 1  # what an episode teaches is for the next one
    evaluation = evaluate(acting, judged, options.episodes, options.first_seed, lanes)
    noticed = None if adaptive is None else [vars(event) for event in adaptive.events]
    timing = time_decisions(acting, body, options.first_seed)
    result = record(learner, run, evaluation, options.first_seed, timing)
    result |= {"task": world.task, "retask": options.learn_task, "changes_noticed": noticed}
    if world.constraint:
        result |= {"violations_per_1000": violations.per_thousand, "worst_violation": violations.worst}
        result["room"] = dict(zip(world.constraint, world_model.modules.margin()[-1].tolist(), strict=True))
    if result["planner"] is not None:
        result["planner"]["horizon_decisions"] = (
            world_model.modules.actor.horizon
        )  # a task's own, if it is planned for
    print(shown(result))
    try:
        replace_file(out, (json.dumps(result, indent=2) + "\n").encode())
    except OSError as error:
        raise ConfigError(f"--out: {out} cannot be written: {why(error)}") from error
    print(out)
    return 0

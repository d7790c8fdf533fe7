"""One world model, several tasks: a trained agent acts for costs that it was not trained for, without new steps.

    python benchmarks/comprehension/tasks.py RUN       the default tasks of the run's robot, of any environment
    python benchmarks/comprehension/tasks.py RUN --tasks "run backwards=less:velocity" "stop=track:speed=0"
    python benchmarks/comprehension/tasks.py RUN --choices benchmarks/comprehension/robots.json     those of a file
    python benchmarks/comprehension/tasks.py RUN --init-from 10000
                                                       the run's agent trains on each task, for so many new frames
    python benchmarks/comprehension/tasks.py --env HalfCheetah-v5 --sac 100000
                                                       SAC, which learns each task from scratch in so many frames

-> runs/comprehension/tasks.csv, and its summary retask.json beside it; --published: in benchmarks/results/

Default tasks follow from the readouts that the robot has (default_tasks.py). One that needs a readout which the run's agent
cannot read off its observations is left out, and named.

A score is minus the task's cost, summed over the decisions of an episode, on true readouts. Methods:
`unmodified` is the agent as it was trained, `random` draws its actions, `plan` plans for the costs without learning,
`learn_task` plans with a critic and a policy that were learned in the model, `policy` is that policy alone, `init_from`
is a new run that began with what the agent has learned (`joule train --init-from`), `oracle` plans in true physics, and
`sac` is trained on the task from scratch.

The summary states which fraction of another method's score a method reaches, both measured above `random`: (method
- random) / (other - random), for every task on which the other is better than random, and the mean over these
tasks. The other is `sac` or `oracle`. The oracle plays one episode, beside which the first one of the other methods
counts. Scores are compared where costs and lengths are the same. Runs with several seeds are averaged. Tasks that
contain the environment's own cost are summarised apart from new ones: the agent had learned that cost before. One
task on which SAC fails can raise the mean of them all: in the capped mean no task counts more than 1. A run's rows
replace those that it had before; SAC's rows serve every later run. The oracle takes most of the time, and
--no-oracle leaves it out; it plans a short horizon in true physics, so that it is no ceiling.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

import joule
from agent.agent import WorldModelAgent
from agent.configurator.dotted_names import replace
from agent.configurator.settings import Config
from agent.cost.task import Task, TaskReward
from agent.cost.task_text import parse
from agent.readout_legibility import legibility_in_memory
from agent.seeds import FIRST_SEED
from benchmarks import raw_rows, training
from benchmarks.comprehension import outputs
from benchmarks.comprehension.choices import add_option, choices_for
from benchmarks.comprehension.default_tasks import tasks_for
from benchmarks.comprehension.episodes import Decide, play
from benchmarks.comprehension.run_folders import folder_name
from benchmarks.comprehension.tasks_summary import SUMMARY, has_own_cost, summary
from benchmarks.counts import count
from benchmarks.refusals import exit_code
from joule.environment import make_env
from joule.physics_oracle import oracle_for
from joule.storage.run_paths import located
from joule.storage.run_record import read_run
from joule_errors import Refused

COLUMNS = (
    "env", "seed", "run_frames", "task", "costs", "method", "return_mean", "return_std", "episodes", "decisions",
    "return_first", "updates", "cpu_seconds_to_prepare", "new_env_steps",
)  # fmt: skip


def scores(
    decide: Decide, envs: list[Any], tasks: list[Task], decisions: int
) -> Float[np.ndarray, "tasks episodes"]:
    """Scores of one episode in each environment by each task; the environments keep their own rewards."""
    rewards = [TaskReward(task) for task in tasks]
    totals = np.zeros((len(tasks), len(envs)))
    for k, action, reward in play(decide, envs, decisions):
        for row, cost in enumerate(rewards):
            totals[row, k] -= cost(envs[k].env_spec, envs[k].readouts(), action, -reward)
    return totals


def costs_for(env: Any, options: argparse.Namespace, legibility: Mapping[str, float]) -> dict[str, str]:
    """Task -> its costs: of the command line, of a file, or the default ones of the robot.

    Raises:
        Refused: for a text that is no `NAME=COSTS`, for a name that no task has, and where there is no default task.
    """
    if options.tasks:
        given = dict(text.split("=", 1) for text in options.tasks if "=" in text)
        if len(given) < len(options.tasks):
            raise Refused('--tasks: write NAME=COSTS, each name once, such as "run backwards=less:velocity"')
        costs = given
    elif (of_file := choices_for(options.choices, env.env_spec.env).tasks) is not None:
        costs = of_file
    else:
        costs, left = tasks_for(env, legibility)
        for name, why in left.items():
            print(f"{name}: left out, {why}", flush=True)
    if options.only is None:
        return costs
    if options.only not in costs:
        raise Refused(f"--only {options.only!r}: the tasks of {env.env_spec.env} are {', '.join(costs)}")
    return {options.only: costs[options.only]}


def check_fits(env: Any, name: str, text: str) -> None:
    """Refused, with the task's name, for costs that are malformed or that the environment has no readouts for."""
    spec, cost = env.env_spec, TaskReward(parse(text))
    env.reset(seed=0)
    try:
        cost(spec, env.readouts(), np.zeros(spec.action_size, np.float32), 0.0)
    except Refused as error:
        raise Refused(f"task {name!r} does not fit {spec.env}: {error}") from error


@dataclass(frozen=True)
class Trial:
    """What all methods have in common: the environments, the tasks, the number of decisions."""

    config: Config
    costs: dict[str, str]
    """Task -> its costs."""
    envs: list[Any]
    decisions: int

    @classmethod
    def of(cls, config: Config, options: argparse.Namespace, legibility: Mapping[str, float]) -> Trial:
        """The trial of a config's environment that the command line asks for.

        Args:
            config: of the environment.
            options: the command line.
            legibility: R² of the agent's readouts; empty without an agent.

        Raises:
            Refused: for an environment without tasks, and for a task that does not fit it.
        """
        config = replace(config, {"max_episode_frames": None})
        envs = [make_env(config) for _ in range(options.episodes)]
        costs = costs_for(envs[0], options, legibility)
        for name, text in costs.items():
            check_fits(envs[0], name, text)
        return cls(config, costs, envs, options.decisions)

    @property
    def tasks(self) -> dict[str, Task]:
        """The tasks by name."""
        return {name: parse(text) for name, text in self.costs.items()}

    def scores(self, decide: Decide, tasks: list[Task]) -> Float[np.ndarray, "tasks episodes"]:
        """Scores of one episode in each environment by each task."""
        return scores(decide, self.envs, tasks, self.decisions)

    def row(self, task: str, method: str, returns: np.ndarray, **more: Any) -> dict[str, Any]:
        """The row of a method on a task, from its scores [episodes]."""
        print(f"{task:24} {method:10} {returns.mean():10.2f} ± {returns.std():.2f}", flush=True)
        return {
            "env": self.config.env, "seed": self.config.seed, "task": task, "costs": self.costs[task],
            "method": method, "return_mean": round(float(returns.mean()), 3),
            "return_std": round(float(returns.std()), 3), "episodes": len(returns),
            "return_first": round(float(returns[0]), 3), "decisions": self.decisions, "new_env_steps": 0, **more,
        }  # fmt: skip


def rows_of_run(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row for each task and method of a trained agent, for random actions, and for the oracle."""

    def fresh_agent() -> WorldModelAgent:
        agent = joule.load(options.run)
        if not isinstance(agent, WorldModelAgent):
            raise Refused(f"{options.run}: {agent.kind} has no world model; joule has")
        return agent

    agent = fresh_agent()
    trial = Trial.of(agent.config, options, legibility_in_memory(agent.modules))
    size, rng = agent.env_spec.action_size, np.random.default_rng(1)
    row = partial(trial.row, run_frames=agent.frames)

    def random(obs: np.ndarray, state: Any, starts: np.ndarray) -> tuple[np.ndarray, Any]:
        return rng.uniform(-1, 1, (len(obs), size)).astype(np.float32), None

    deciders: dict[str, Decide] = {"unmodified": agent.predict, "random": random}
    for method, decide in deciders.items():
        totals = trial.scores(decide, list(trial.tasks.values()))
        yield from (row(name, method, totals[k]) for k, name in enumerate(trial.tasks))
    for name, task in trial.tasks.items():
        yield row(name, "plan", trial.scores(fresh_agent().plan_for(task).predict, [task])[0])
        start = time.process_time()
        learned = fresh_agent().learn_task(task, options.updates)
        seconds = round(time.process_time() - start, 1)
        spent = {"updates": options.updates, "cpu_seconds_to_prepare": seconds}
        yield row(name, "learn_task", trial.scores(learned.predict, [task])[0], **spent)
        modules = learned.modules
        by_policy = partial(modules.predict, deterministic=True, actor=modules.policy_actor)
        yield row(name, "policy", trial.scores(by_policy, [task])[0], **spent)
    if options.no_oracle:
        return
    for name, task in trial.tasks.items():
        if has_own_cost(trial.costs[name]):  # the environment's own cost does not follow from its state alone
            continue
        try:
            returns = oracle_returns(trial, task)
        except Refused as error:
            print(f"{name}: no oracle, {error}", flush=True)
            continue
        yield row(name, "oracle", returns)


def oracle_returns(trial: Trial, task: Task) -> np.ndarray:
    """The score [1] of planning in true physics. Refused where the task does not follow from its state."""
    env, scratch = trial.envs[0], make_env(trial.config)
    scratch.reset(seed=FIRST_SEED)  # the episode that is played: its goal is the same
    oracle, by_oracle = oracle_for(env, scratch, task, torch.Generator().manual_seed(1))
    with oracle:
        return scores(by_oracle, [env], [task], trial.decisions)[0]


def rows_of_init_from(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row for each task that a run's agent trains on, as soon as it has."""
    earlier = joule.load(options.run)
    if not isinstance(earlier, WorldModelAgent):
        raise Refused(f"{options.run}: {earlier.kind} has no world model; joule has")
    trial = Trial.of(earlier.config, options, legibility_in_memory(earlier.modules))
    source, _ = read_run(located(options.run)[0])
    title = f"{earlier.config.env} seed {earlier.config.seed}"
    name = folder_name(title, (source["id"], str(earlier.frames)))
    for task, costs in trial.costs.items():
        folder = training.RUNS / "tasks" / "init-from" / name / folder_name(costs, (costs,))
        new = ("--init-from", str(options.run.resolve()), "--task", costs, "--seed", str(earlier.config.seed))
        steps = ("--eval-every-frames", str(options.init_from))
        (trained,) = training.train_all([training.TrainingRun(folder, options.init_from, new, steps)])
        agent = joule.load(trained)
        seconds = round(agent.clock.seconds()["cpu"], 1)
        spent = {"updates": "", "cpu_seconds_to_prepare": seconds, "new_env_steps": agent.frames}
        returns = trial.scores(agent.predict, [trial.tasks[task]])[0]
        yield trial.row(task, "init_from", returns, run_frames=earlier.frames, **spent)


def rows_of_sac(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row for each task that SAC learns from scratch, as soon as it has."""
    trial = Trial.of(replace(Config(), {"env": options.env}), options, {})
    for name, task in trial.tasks.items():
        (folder,) = training.train_all([sac_run(options.env, trial.costs[name], options.sac)])
        agent = joule.load(folder)
        returns = trial.scores(agent.predict, [task])[0]
        spent = {"run_frames": agent.frames, "new_env_steps": agent.frames, "seed": agent.config.seed}
        yield trial.row(name, "sac", returns, **spent)


def sac_run(env: str, costs: str, steps: int) -> training.TrainingRun:
    """SAC's run on a task, from scratch."""
    folder = training.RUNS / "tasks" / "sac" / training.slug(env) / folder_name(costs, (costs,))
    new = ("--agent", "sac", "--env", env, "--task", costs, "--seed", "1")
    return training.TrainingRun(folder, steps, new, always=("--eval-every-frames", str(steps)))


def parser() -> argparse.ArgumentParser:
    """The options."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("run", type=Path, nargs="?", metavar="RUN")
    p.add_argument("--env", help="without a run: the environment whose tasks SAC learns")
    p.add_argument("--tasks", nargs="+", metavar="NAME=COSTS", help="default: by the robot's readouts")
    add_option(p)
    p.add_argument("--episodes", type=count, default=3, help="of each method and task (default: 3)")
    p.add_argument("--decisions", type=count, default=250, help="of an episode (default: 250)")
    p.add_argument(
        "--updates", type=count, default=4_000, help="gradient steps of learn_task (default: 4000)"
    )
    p.add_argument("--only", metavar="TASK", help="one task by its name")
    p.add_argument("--sac", type=count, metavar="FRAMES", help="train SAC on each task for so many frames")
    p.add_argument(
        "--init-from",
        type=count,
        metavar="FRAMES",
        help="only train the run's agent on each task, for so many frames",
    )
    p.add_argument(
        "--no-oracle",
        action="store_true",
        help="do not plan in true physics, which takes most of the time; rows of it that are there are kept",
    )
    outputs.add_options(p)
    return p


def main() -> int:
    """Measures a run, or SAC, and writes table and summary."""
    p = parser()
    options = p.parse_args()
    if options.run is None and not (options.env and options.sac):
        p.error("give the folder of a trained run, or --env and --sac")
    if options.run is not None and (options.env or options.sac):
        p.error("--env and --sac say what SAC learns from scratch; give them without RUN")
    if options.init_from and options.run is None:
        p.error("--init-from: give the folder of a trained run")
    options.out = outputs.table(options, "tasks.csv")
    torch.set_num_threads(1)
    rows_of = rows_of_sac if options.run is None else rows_of_init_from if options.init_from else rows_of_run
    for row in rows_of(options):
        rows = raw_rows.read(options.out)  # another process may have written meanwhile
        rows = raw_rows.replaced(rows, row, ("env", "task", "method", "seed"))
        raw_rows.write(options.out, COLUMNS, rows)
    found = summary(raw_rows.read(options.out))
    options.out.with_name(SUMMARY).write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(exit_code(main))

"""One world model, many tasks: a trained agent is given other costs, and takes no new step to learn them.

python benchmarks/retask.py RUN                    every task of the run's body; results/retask.csv and retask.json
python benchmarks/retask.py --env HalfCheetah-v5 --sac 100000
                                                   what SAC gets that learns each task from scratch for so many frames

Each way is scored by minus the task's cost summed over the decisions, on the body's true readouts:
`unmodified` the agent as it was, `random`, `plan` planning for the costs without learning, `retask` critic and
policy learned inside the model and planned with, `policy` that policy alone, `oracle` planning in true physics,
`sac` trained from scratch on the task.

The summary says what fraction of another's return a way gets, both above `random`: (way - random) over
(other - random), for each task on which the other is better than random, and its mean over those; the other is
`sac`, and the oracle; runs of several seeds are averaged. A run's rows replace those that were there; SAC's stay
for every later run.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

import joule
import planners
from agent.agent import WorldModelAgent
from agent.configurator.settings import Config
from agent.configurator.validation import replace
from agent.cost.readouts import Readouts
from agent.cost.task import TaskReward, Task
from agent.cost.task_terms import parse
from benchmarks import tables, training
from benchmarks.comprehension.episodes import Decide, played
from joule.environment import make_env
from planners.oracle import Futures, Oracle

TASKS: dict[str, dict[str, str]] = {
    "HalfCheetah-v5": {
        "run backwards": "less:velocity",
        "hold 2 m/s": "track:velocity=2",
        "stand still": "track:speed=0+upright",
        "jump": "more:height",
        "lie on its back": "track:upright=-1+0.1*still",
    },
    "joule/Reach-v0": {
        "another goal": "reach:fingertip=0.2,0.3",
        "own goal, past a zone": "own+5*out-of:x=0.35,y=0.0,r=0.12",
    },
    "joule/Maze-v0": {
        "another goal": "reach:ball=-1.0,-0.5",
        "own goal, past the zone": "own+5*out-of:x=0,y=0,r=0.35",
    },
}
COLUMNS = ["env", "seed", "run_frames", "task", "costs", "way", "return_mean", "return_std", "episodes", "decisions",
           "updates", "cpu_seconds_to_prepare", "new_env_steps"]  # fmt: skip
ORACLE = {"samples": 48, "iterations": 3, "elites": 8}
ORACLE_AHEAD = 15


def scored(
    decide: Decide, bodies: list[Any], tasks: list[Task], decisions: int
) -> Float[np.ndarray, "tasks episodes"]:
    """Returns of one episode in each body by each task, none of which the body itself is told of."""
    prices = [TaskReward(task) for task in tasks]
    totals = np.zeros((len(tasks), len(bodies)))
    for k, action, reward in played(decide, bodies, decisions):
        for row, cost_fn in enumerate(prices):
            totals[row, k] -= cost_fn(bodies[k].env_spec, bodies[k].readouts(), action, -reward)
    return totals


def predicted(futures: Futures, body: Any) -> dict[str, np.ndarray]:
    """The readouts that follow from states alone [candidates, horizon, size], for the oracle."""
    qpos, qvel = futures.qpos[:, 1:], futures.qvel[:, 1:]
    known = {"qpos": qpos, "qvel": qvel}
    if body.env_spec.env == "joule/Maze-v0":
        known |= {"ball": qpos, "ball_velocity": qvel}
    if body.env_spec.env == "joule/Reach-v0":
        shoulder, heading = qpos[..., 0], qpos.sum(-1)
        x = 0.30 * np.cos(shoulder) + 0.25 * np.cos(heading)
        known["fingertip"] = np.stack([x, 0.30 * np.sin(shoulder) + 0.25 * np.sin(heading)], -1)
    return known


def with_true_physics(body: Any, task: Task, generator: torch.Generator) -> tuple[Oracle, Any]:
    """The oracle of a body and a `decide` that plans with it. Raises TaskError for a task that needs more."""
    raw, act = body.unwrapped, body.env_spec.action_size

    def cost(futures: Futures) -> Float[np.ndarray, "candidates horizon"]:
        known = predicted(futures, body)
        sizes = {name: rows.shape[-1] for name, rows in known.items()}
        views = {n: v for n, v in body.env_spec.derived_readouts.items() if v["of"] in sizes}
        rows = torch.from_numpy(np.concatenate(list(known.values()), -1)).flatten(0, 1).float()
        controls = torch.from_numpy(futures.controls).flatten(0, 1).float()
        named = Readouts(sizes, views).of(rows, controls, lambda: rows.new_full((len(rows),), torch.nan))
        return task(named).view(futures.controls.shape[:2]).double().numpy()

    oracle = Oracle(raw.model, cost, frame_skip=raw.frame_skip * body.env_spec.action_repeat, unit=True)
    side: Tensor = torch.ones(act)
    planner = planners.make("icem", horizon=ORACLE_AHEAD, low=-side, high=side, **ORACLE)

    def decide(_: np.ndarray, plan: Any, starts: np.ndarray) -> tuple[np.ndarray, Any]:
        plan = planner.plan(
            oracle.energy(raw.data), warm_start=None if starts[0] else plan.shifted(), generator=generator
        )
        return plan.actions[:, 0].numpy(), plan

    return oracle, decide


@dataclass(frozen=True)
class Trial:
    """What every way of doing an env's tasks is scored by: the same bodies, the same number of decisions."""

    config: Config
    wanted: dict[str, str]
    bodies: list[Any]
    decisions: int

    @classmethod
    def of(cls, config: Config, options: argparse.Namespace) -> Trial:
        """The tasks of the config's env that the command line asks for."""
        config = replace(config, {"max_episode_frames": None})
        wanted = {n: t for n, t in TASKS[config.env].items() if options.only in (None, n)}
        return cls(config, wanted, [make_env(config) for _ in range(options.episodes)], options.decisions)

    @property
    def tasks(self) -> list[tuple[str, Task]]:
        return [(name, parse(text)) for name, text in self.wanted.items()]

    def scored(self, decide: Decide, tasks: list[Task]) -> Float[np.ndarray, "tasks episodes"]:
        """Returns of an episode in each body by each task, none of which the body itself is told of."""
        return scored(decide, self.bodies, tasks, self.decisions)

    def row(self, name: str, way: str, returns: np.ndarray, **more: Any) -> dict[str, Any]:
        """What a way got of a task."""
        print(f"{name:24} {way:10} {returns.mean():10.2f} ± {returns.std():.2f}", flush=True)
        return {
            "env": self.config.env, "seed": self.config.seed, "task": name, "costs": self.wanted[name], "way": way,
            "return_mean": round(float(returns.mean()), 3), "return_std": round(float(returns.std()), 3),
            "episodes": len(returns), "decisions": self.decisions, "new_env_steps": 0, **more,
        }  # fmt: skip


def of_a_run(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row for each task and way of a trained agent, and of those that know nothing, or everything."""

    def fresh() -> WorldModelAgent:
        learner = joule.load(options.run)
        assert isinstance(learner, WorldModelAgent)
        return learner

    learner = fresh()
    trial = Trial.of(learner.config, options)
    act = trial.bodies[0].env_spec.action_size
    rng = np.random.default_rng(1)

    def at_random(obs: np.ndarray, state: Any, starts: np.ndarray) -> tuple[np.ndarray, Any]:
        return rng.uniform(-1, 1, (len(obs), act)).astype(np.float32), None

    def row(name: str, way: str, returns: np.ndarray, **more: Any) -> dict[str, Any]:
        return trial.row(name, way, returns, run_frames=learner.frames, **more)

    for way, decide in (("unmodified", learner.predict), ("random", at_random)):
        totals = trial.scored(decide, [task for _, task in trial.tasks])
        yield from (row(name, way, totals[k]) for k, name in enumerate(trial.wanted))
    for name, task in trial.tasks:
        yield row(name, "plan", trial.scored(fresh().plan_for(task).predict, [task])[0])
        began = time.process_time()
        learned = fresh().learn_task(task, options.updates)
        spent = round(time.process_time() - began, 1)
        cost = {"updates": options.updates, "cpu_seconds_to_prepare": spent}
        yield row(name, "retask", trial.scored(learned.predict, [task])[0], **cost)
        by_habit = partial(learned.predict, actor=learned.modules.policy_actor)
        yield row(name, "policy", trial.scored(by_habit, [task])[0], **cost)
    for name, task in trial.tasks:
        if "own" not in trial.wanted[name]:  # the environment's own cost is not a function of its state alone
            body = trial.bodies[0]
            oracle, decide = with_true_physics(body, task, torch.Generator().manual_seed(1))
            with oracle:
                yield row(name, "oracle", scored(decide, [body], [task], options.decisions)[0])


def of_sac(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row for each task that SAC learns from scratch, as soon as it has."""
    trial = Trial.of(replace(Config(), {"env": options.env}), options)
    for name, task in trial.tasks:
        (folder,) = training.all_trained([sac_of(options.env, trial.wanted[name], options.sac)])
        other = joule.load(folder)
        returns = trial.scored(other.predict, [task])[0]
        yield trial.row(
            name, "sac", returns, run_frames=other.frames, new_env_steps=other.frames, seed=other.config.seed
        )


def sac_of(env: str, text: str, steps: int) -> training.Training:
    """SAC's run on a task, from scratch."""
    folder = training.ROOT / "runs" / "retask" / "sac" / training.slug(env) / training.slug(text)
    new = ("--agent", "sac", "--env", env, "--task", text, "--seed", "1")
    return training.Training(folder, steps, new, always=("--eval-every-frames", str(steps)))


def fractions(rows: list[dict[str, Any]], other: str) -> dict[str, dict[str, float]]:
    """Way -> task -> share of the other's return, both above random; the mean over tasks as `mean`."""
    all_runs: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in rows:
        ways = all_runs.setdefault((row["env"], row["task"]), {})
        ways.setdefault(row["way"], []).append(float(row["return_mean"]))
    of = {key: {way: float(np.mean(r)) for way, r in ways.items()} for key, ways in all_runs.items()}
    found: dict[str, dict[str, float]] = {}
    for way in ("plan", "retask", "policy"):
        shares = {
            f"{env}: {task}": (ways[way] - ways["random"]) / (ways[other] - ways["random"])
            for (env, task), ways in of.items()
            if {way, other, "random"} <= ways.keys() and ways[other] > ways["random"]
        }
        if shares:
            found[way] = shares | {"mean": float(np.mean(list(shares.values())))}
    return found


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """`fraction_of_sac` is that of learning in the model; null where SAC was not trained on any task."""
    sac, oracle = fractions(rows, "sac"), fractions(rows, "oracle")
    headline = sac["retask"]["mean"] if "retask" in sac else None
    return {"fraction_of_sac": headline, "of_sac": sac, "of_oracle": oracle}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("run", type=Path, nargs="?")
    p.add_argument("--env", choices=TASKS, help="without a run: the env whose tasks SAC learns")
    p.add_argument("--episodes", type=int, default=3)
    p.add_argument("--decisions", type=int, default=250)
    p.add_argument("--updates", type=int, default=4_000)
    p.add_argument("--only", help="one task by its name")
    p.add_argument("--sac", type=int, metavar="FRAMES", help="train SAC on each task, for so many frames")
    p.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results" / "retask.csv")
    options = p.parse_args()
    if (options.run is None) != bool(options.env and options.sac):
        p.error("give the folder of a trained run, or --env and --sac")
    torch.set_num_threads(1)
    for row in of_a_run(options) if options.run else of_sac(options):
        rows = tables.read(options.out)  # another process may have written meanwhile
        rows = tables.replaced(rows, row, ("env", "task", "way", "seed"))
        tables.write(options.out, COLUMNS, rows)
    rows = tables.read(options.out)
    options.out.with_suffix(".json").write_text(json.dumps(summary(rows), indent=1) + "\n")


if __name__ == "__main__":
    main()

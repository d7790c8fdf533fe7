"""Joule in the environments of stable-worldmodel, by the protocol of that library.

    python benchmarks/learning/swm.py                              # the rows
    python benchmarks/learning/swm.py --run --subjects tworoom     # records, trains what is missing, and evaluates
    python benchmarks/learning/swm.py --run --gradient-steps 1000 --goal-updates 1000 --pairs 20

The library's own scripted policies record episodes, one set to learn from and one to evaluate on. Perception and
dynamics are learned from the first without rewards, then reaching goals. A start is a moment of the second set, its
goal the moment 25 steps later, and an attempt has 50 steps; it succeeds where the environment terminates the episode.
With `--own-goals` there are rows with starts and goals that the environment itself draws, and 100 steps. Needs the extras
`swm`, and `dmc` for swm_reacher. An evaluation replaces its rows in benchmarks/results/swm_goals.csv: those of the same
subject, seed, gradient steps, updates, pairs and kind of goals. Rows with other numbers than the subject's own stay apart.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

import joule
from agent.cost.goal import SUB_GOAL_DECISIONS, GoalEnergy
from benchmarks import raw_rows
from benchmarks.learning.goal_rows import GOAL_FIGURES, rounded_figures
from benchmarks.refusals import exit_code
from benchmarks.training import RESULTS, RUNS, TrainingRun, train_all
from joule.goals.request import DEFAULT_OFFSET
from joule.storage.provenance import version

RAW = RESULTS / "swm_goals.csv"
COLUMNS = (
    "subject", "env", "seed", "observes", "data_transitions", "gradient_steps", "goal_updates", "goals", "acts", "pairs",
    "decisions", *GOAL_FIGURES, "train_cpu_seconds", "goal_cpu_seconds", "version",
)  # fmt: skip
NUMBERS = ("gradient_steps", "goal_updates", "pairs")
"""Columns, and fields of a subject, that options replace."""
KEY = ("subject", "seed", *NUMBERS, "goals", "acts")
"""Columns that no two rows have alike."""
SIZE = 48
"""Pixels of a side, of the recordings and of what agents see."""
LIMIT = 100
"""Steps of a recorded episode, and of an attempt at a goal that the environment draws."""
TRAIN_SEED, HELD_OUT_SEED = 1, 100_001
SEEN = ("--obs", "pixels", "--obs-size", str(SIZE))
CONTRAST = (
    "--regularizer.kind", "contrast", "--learning.prediction-weight", "50", "--learning.rho", "1",
    "--learning.learning-rate", "0.003", "--learning.encoder-learning-rate", "0.003", "--learning.n-step", "1",
    "--learning.inverse-weight", "0", "--learning.picture-shift", "0",
)  # fmt: skip
"""Latents that tell the moments of an episode apart, for plans by their distance."""
HELD_OUT = 30
"""Episodes to evaluate on."""


def _expert(seed: int) -> Any:
    # The noise of the library's own script for this recording.
    module = import_module("stable_worldmodel.envs.two_room")
    return module.ExpertPolicy(action_noise=2.0, action_repeat_prob=0.05, seed=seed)


def _weak(seed: int) -> Any:
    return import_module("stable_worldmodel.envs.pusht").WeakPolicy(dist_constraint=100, seed=seed)


def _random(seed: int) -> Any:
    return import_module("stable_worldmodel.policy").RandomPolicy(seed=seed)


@dataclass(frozen=True)
class Subject:
    """What is recorded, learned and evaluated under one name."""

    env: str
    policy: Callable[[int], Any]
    """Seed -> what records the episodes."""
    recording: str
    """Of this name; several subjects may learn from one."""
    episodes: int = 200
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Of the environment's constructor."""
    options: tuple[str, ...] = (*SEEN, "--obs-frames", "1")
    gradient_steps: int = 3_000
    goal_updates: int = 3_000
    pairs: int = 50
    draws_goals: bool = True
    """Whether the environment draws goals of its own."""
    energy: GoalEnergy = "auto"
    """Of plans."""
    sub_goal_decisions: int = SUB_GOAL_DECISIONS
    """How far ahead sub-goals lie."""

    def path(self, held_out: bool) -> Path:
        """The file of its recording."""
        return RUNS / "swm" / f"{self.recording}{'-held-out' if held_out else ''}.h5"

    def run(self, name: str, seed: int) -> TrainingRun:
        """Its run."""
        kwargs = ("--env-kwargs", json.dumps(dict(self.kwargs))) if self.kwargs else ()
        new = ("--data", f"swm:{self.path(held_out=False)}", "--env", self.env, *kwargs, "--reward", "none",
               "--max-episode-frames", str(LIMIT), "--seed", str(seed), "--eval-episodes", "1",
               "--eval-every-frames", str(self.gradient_steps), *self.options)  # fmt: skip
        folder = RUNS / "swm" / name / f"{self.gradient_steps}-steps" / f"seed{seed}"
        return TrainingRun(folder, self.gradient_steps, new)


TWOROOM, PUSHT, REACHER = "swm/TwoRoom-v1", "swm/PushT-v1", "swm/ReacherDMControl-v0"
SUBJECTS: dict[str, Subject] = {
    "tworoom": Subject(TWOROOM, _expert, "tworoom"),
    "tworoom_state": Subject(TWOROOM, _expert, "tworoom", options=(), goal_updates=2_000),
    # What is pushed is best aimed at itself: from where a way of memory leads it, it lies otherwise.
    "pusht": Subject(
        PUSHT,
        _weak,
        "pusht-1000",
        episodes=1_000,
        options=(*SEEN, "--obs-frames", "1", *CONTRAST),
        gradient_steps=15_000,
        goal_updates=10_000,
        energy="latent",
        sub_goal_decisions=0,
    ),
    "pusht_state": Subject(PUSHT, _weak, "pusht", options=(), gradient_steps=10_000, goal_updates=10_000),
    # An arm that swings has a velocity, which one picture does not show.
    "swm_reacher": Subject(
        REACHER,
        _random,
        "reacher",
        kwargs={"task": "qpos_match"},
        draws_goals=False,
        options=(*SEEN, "--obs-frames", "3"),
        gradient_steps=12_000,
        goal_updates=10_000,
    ),
}


def record(subject: Subject, held_out: bool) -> None:
    """Records the episodes of a subject, unless that has been done."""
    path = subject.path(held_out)
    if path.exists():
        return
    swm = import_module("stable_worldmodel")
    seed = HELD_OUT_SEED if held_out else TRAIN_SEED
    world = swm.World(
        subject.env, num_envs=1, image_shape=(SIZE, SIZE), max_episode_steps=LIMIT,
        pre_wrappers=[_with_arrays], **subject.kwargs,
    )  # fmt: skip
    world.set_policy(subject.policy(seed))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"partial-{path.name}")
    partial.unlink(missing_ok=True)
    world.collect(partial, HELD_OUT if held_out else subject.episodes, seed, format="hdf5", progress=False)
    world.close()
    partial.rename(path)


def _with_arrays(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """The library records an observation that is a tensor as that of the episode's end, at every step."""
    if isinstance(env.observation_space, gymnasium.spaces.Dict):
        return env
    return gymnasium.wrappers.TransformObservation(env, np.asarray, None)


def measure(name: str, subject: Subject, seed: int, own_goals: bool) -> list[dict[str, Any]]:
    """Records, trains and evaluates, and returns the rows."""
    for held_out in (False, True):
        record(subject, held_out)
    (folder,) = train_all([subject.run(name, seed)], 1)
    agent: Any = joule.load(folder)
    steps = agent.modules.learner.updates
    begun = time.process_time()
    agent.learn_goals(subject.goal_updates)
    shared = {
        "subject": name, "env": subject.env, "seed": seed, "observes": agent.config.obs,
        "data_transitions": agent.modules.replay_buffer.transitions().size, "gradient_steps": steps,
        "goal_updates": subject.goal_updates, "train_cpu_seconds": round(agent.clock.seconds()["cpu"], 1),
        "goal_cpu_seconds": round(time.process_time() - begun, 1), "version": version(),
    }  # fmt: skip
    asked: dict[str, dict[str, Any]] = {
        "recording": {"recording": f"swm:{subject.path(held_out=True)}", "offset": DEFAULT_OFFSET}
    }
    if own_goals and subject.draws_goals:
        asked["environment"] = {}
    rows = []
    for goals, how in asked.items():
        found = joule.evaluate_goals(
            agent, subject.pairs, energy=subject.energy, sub_goal_decisions=subject.sub_goal_decisions, **how
        )
        print(found, flush=True)
        for acts, result in found["results"].items():
            of = {"goals": goals, "acts": acts, "pairs": found["pairs"], "decisions": found["decisions"]}
            rows.append(shared | of | rounded_figures(result))
    return rows


def published(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows of recorded goals whose steps, updates and pairs are the subject's own."""
    own = {
        name: tuple(str(getattr(subject, number)) for number in NUMBERS) for name, subject in SUBJECTS.items()
    }
    return [
        row
        for row in rows
        if row["goals"] == "recording"
        and own[row["subject"]] == tuple(str(row[number]) for number in NUMBERS)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Records, trains and evaluates where it is asked to, and shows the rows.

    Args:
        arguments: the options; default those of the process.
    """
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--run", action="store_true", help="record and train what is missing, and evaluate")
    p.add_argument("--subjects", nargs="+", choices=list(SUBJECTS), default=list(SUBJECTS))
    p.add_argument("--seeds", nargs="+", type=int, default=[1])
    for name in NUMBERS:
        p.add_argument(f"--{name.replace('_', '-')}", type=int, help="in place of the subject's own number")
    p.add_argument("--own-goals", action="store_true", help="goals that the environment draws, too")
    options = p.parse_args(arguments)
    changes = {name: getattr(options, name) for name in NUMBERS}
    changes = {name: value for name, value in changes.items() if value is not None}
    if options.run:
        for name in options.subjects:
            for seed in options.seeds:
                found = measure(name, replace(SUBJECTS[name], **changes), seed, options.own_goals)
                rows = raw_rows.read(RAW)
                for row in found:
                    rows = raw_rows.replaced(rows, row, KEY)
                raw_rows.write(RAW, COLUMNS, rows)
    for row in raw_rows.read(RAW):
        if row["subject"] in options.subjects:
            print(
                "  ".join(
                    f"{row[key]:>14}"
                    for key in ("subject", *NUMBERS, "goals", "acts", "success", "median_ms")
                )
            )
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main))

"""How often agents reach goals that they were not trained for: pairs of a start and a goal, on held-out seeds.

    python benchmarks/learning/goals.py                            # benchmarks/results/goals.json from the raw rows
    python benchmarks/learning/goals.py --run --subjects maze      # trains what is missing, resumably, and evaluates

An agent first collects experience without a reward, by smooth random actions, and learns perception and dynamics from it
alone: meanwhile or, where the subject has gradient steps, afterwards in a run of its own. Then it learns to reach goals
from the same experience. Every evaluation adds its rows to
benchmarks/results/goals.csv, one for everything that acts. Of a subject the rows of the newest version count, on the mean
over its seeds. A figure of true physics (`oracle`) may be older; `versions` in the JSON file says of which version each is.

The baseline is SAC with hindsight (`sac_her`) on the same pairs: `<subject>_her` with the frames of Joule's run, and
`<subject>_her_equal_cpu` with its CPU time, which is that of training and of learning to reach goals. Joule's row says
the time that the baseline may take, and the baseline's row the time that it took.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import joule
from agent.cost.goal import GoalEnergy
from benchmarks import raw_rows
from benchmarks.learning import goal_baseline, hierarchy, swm
from benchmarks.learning.goal_rows import GOAL_FIGURES, of_newest_version, rounded_figures
from benchmarks.refusals import exit_code
from benchmarks.training import RESULTS, RUNS, TrainingRun, train_all
from joule.storage.files import replace_file
from joule.storage.provenance import version

RAW = RESULTS / "goals.csv"
RESULT = RESULTS / "goals.json"
COLUMNS = (
    "subject", "env", "seed", "frames", "goal_updates", "acts", "pairs", "solved_at_start", "decisions",
    *GOAL_FIGURES, "train_cpu_seconds", "goal_cpu_seconds", "version",
)  # fmt: skip
AGENTS = ("joule", goal_baseline.AGENT)
REWARD_FREE = ("--reward", "none", "--explore.kind", "smooth")
NOT_LEARNING = (
    "--learning.utd", "0", "--learning.initial-utd", "0", "--learning.pretrain-updates", "0", "--eval-episodes", "1",
)  # fmt: skip
"""Options of a run that collects frames and makes no gradient step."""
SENSORS = (
    "--regularizer.kind", "sensors", "--model.latent-dim", "16", "--learning.learning-rate", "0.001",
    "--learning.n-step", "1", "--planner.kind", "icem", "--planner.samples", "192", "--planner.iterations", "3",
)  # fmt: skip
"""Latents that are the numbers of the observation: a block that seldom moves is in them as all else is."""
OF_SWM = ("tworoom", "pusht", "swm_reacher")
"""Figures of `benchmarks/learning/swm.py`: goals of recordings, from pictures."""


@dataclass(frozen=True)
class Subject:
    """What is trained and evaluated under one name."""

    env: str
    frames: int
    options: tuple[str, ...] = ()
    """Further options of the train command."""
    gradient_steps: int = 0
    """After all frames are there; 0 learns while they are collected."""
    of_learning: tuple[str, ...] = ()
    """Further options of the run that makes these steps."""
    energy: GoalEnergy = "auto"
    """Of plans."""
    goal_updates: int = 10_000
    pairs: int = 50
    no_baseline: str = ""
    """Why there is no baseline; empty where there is one."""
    no_equal_frames: str = ""
    """Why there is none with the frames of Joule's run."""

    def runs(self, name: str, seed: int) -> list[TrainingRun]:
        """Its runs, each of which needs the one before; the last one's agent is evaluated."""
        folder = RUNS / "goals" / name / f"seed{seed}"
        of = ("--env", self.env, "--seed", str(seed), *self.options)
        if not self.gradient_steps:
            return [TrainingRun(folder, self.frames, (*of, *REWARD_FREE))]
        frames, steps = folder.with_name(f"seed{seed}_frames"), str(self.gradient_steps)
        unlearned = (*REWARD_FREE, *NOT_LEARNING, "--eval-every-frames", str(self.frames))
        learned = ("--data", str(frames), "--reward", "none", "--eval-every-frames", steps)
        return [
            TrainingRun(frames, self.frames, (*of, *unlearned)),
            TrainingRun(folder, self.gradient_steps, (*of, *learned, *self.of_learning)),
        ]


SUBJECTS: dict[str, Subject] = {
    "reach": Subject("joule/Reach-v0", 20_000),
    "maze": Subject("joule/Maze-v0", 50_000),
    # What counts is the block; where the pusher is at the end, as in the observation of a goal, is no aim.
    "push": Subject(
        "joule/Push-v0", 600_000, ("--env-kwargs", '{"goal_in_observation": false}'),
        gradient_steps=8_000, of_learning=SENSORS, energy="readouts",
        no_equal_frames="600,000 frames take it four hours of CPU time",
    ),
    "umaze": Subject("benchmarks.learning.umaze:benchmarks/UMaze-v0", 50_000),
    "reach_pixels": Subject(
        "joule/Reach-v0", 40_000,
        ("--obs", "pixels", "--obs-size", "64", "--env-kwargs", '{"goal_in_observation": false}'),
        gradient_steps=12_000, of_learning=swm.CONTRAST, energy="latent",
        no_baseline="sac_her takes no pictures",
    ),
}  # fmt: skip
EQUAL = ("her", "her_equal_cpu")
"""Endings of the names of the baseline's subjects."""


def measure(name: str, seed: int, oracle: bool = True) -> list[dict[str, Any]]:
    """Evaluates one trained run, and returns its rows; `oracle` says whether true physics is planned in too."""
    subject = SUBJECTS[name]
    agent: Any = None
    spent = 0.0
    for run in subject.runs(name, seed):
        (folder,) = train_all([run], 1)
        agent = joule.load(folder)
        spent += agent.clock.seconds()["cpu"]
    begun = time.process_time()
    agent.learn_goals(subject.goal_updates)
    learned = time.process_time() - begun
    oracle = oracle and name != "reach_pixels"
    record = joule.evaluate_goals(agent, subject.pairs, energy=subject.energy, oracle=oracle)
    return _rows(name, subject, subject.frames, seed, record, spent, subject.goal_updates, learned)


def measure_baseline(name: str, seed: int, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Trains and evaluates the baseline of a subject, and returns its rows.

    Args:
        name: of the subject.
        seed: of the run.
        rows: Joule's are among them; they say how much CPU time it took.

    Raises:
        SystemExit: where they are not.
    """
    subject = SUBJECTS[name]
    if subject.no_baseline:
        return []
    joules = [row for row in rows if row["subject"] == name and int(row["seed"]) == seed]
    if not joules:
        raise SystemExit(f"{name}: the baseline gets the CPU time of Joule's run; measure that first")
    seconds = float(joules[-1]["train_cpu_seconds"]) + float(joules[-1]["goal_cpu_seconds"])
    env, frames, found = subject.env, subject.frames, list[dict[str, Any]]()
    for of in (f"{name}_{equal}" for equal in EQUAL):
        if of.endswith("her") and subject.no_equal_frames:
            continue
        if of.endswith("cpu"):
            folder = goal_baseline.equal_cpu(env, seed, frames, of, seconds)
        else:
            folder = goal_baseline.equal_frames(env, seed, frames, of)
        agent: Any = joule.load(folder)
        record, spent = joule.evaluate_goals(agent, subject.pairs), agent.clock.seconds()["cpu"]
        found += _rows(of, subject, agent.frames, seed, record, spent)
    return found


def _rows(
    name: str, subject: Subject, frames: int, seed: int, record: Mapping[str, Any], spent: float,
    updates: int = 0, learned: float = 0.0,
) -> list[dict[str, Any]]:  # fmt: skip
    return [
        {
            "subject": name, "env": subject.env, "seed": seed, "frames": frames,
            "goal_updates": updates, "acts": acts, "pairs": record["pairs"],
            "solved_at_start": record["solved_at_start"], "decisions": record["decisions"],
            "train_cpu_seconds": round(spent, 1), "goal_cpu_seconds": round(learned, 1),
            "version": version(),
            **rounded_figures(result),
        }
        for acts, result in record["results"].items()
    ]  # fmt: skip


def figures(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The figures of the JSON file: the mean over seeds of the share of goals that is reached, in percent."""
    found: dict[str, Any] = {}
    reasons, versions = dict[str, str](), dict[str, str]()

    def newest(name: str, acts: str) -> list[Mapping[str, Any]]:
        of = [row for row in rows if row["subject"] == name]
        if acts == "oracle":  # it learns nothing
            of, name = [row for row in of if row["acts"] == acts], f"{name}_{acts}"
        of = of_newest_version(of)
        if of:
            versions[name] = of[0]["version"]
        return [row for row in of if row["acts"] == acts]

    def shares_of(name: str, acts: str) -> list[float]:
        return [100 * float(row["success"]) for row in newest(name, acts)]

    for name in (*SUBJECTS, *OF_SWM):
        shares = {acts: shares_of(name, acts) for acts in ("plan", "policy", "random", "oracle")}
        found[name] = round(float(np.mean(shares["plan"])), 1) if shares["plan"] else None
        found[f"{name}_beside"] = {
            acts: round(float(np.mean(values)), 1)
            for acts, values in shares.items()
            if acts != "plan" and values
        }
        if not shares["plan"]:
            reasons[name] = "not measured yet"
        if name not in SUBJECTS:
            continue
        for equal in EQUAL:
            of_baseline = shares_of(f"{name}_{equal}", "policy")
            found[f"{name}_{equal}"] = round(float(np.mean(of_baseline)), 1) if of_baseline else None
            if not of_baseline:
                subject = SUBJECTS[name]
                why = subject.no_baseline or (subject.no_equal_frames if equal == EQUAL[0] else "")
                reasons[f"{name}_{equal}"] = why or "not measured yet"
    times = [float(row["median_ms"]) for name in SUBJECTS for row in newest(name, "plan")]
    found["plan_ms"] = round(max(times), 1) if times else None
    found["long_maze_ratio"], why = hierarchy.ratio(raw_rows.read(hierarchy.RAW))
    if why:
        reasons["long_maze_ratio"] = why
    return found | {"versions": versions, "reasons": reasons}


def main(arguments: list[str] | None = None) -> int:
    """Trains and evaluates where it is asked to, and collects.

    Args:
        arguments: the options; default those of the process.
    """
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--run", action="store_true", help="train what is missing, and evaluate")
    p.add_argument("--subjects", nargs="+", choices=list(SUBJECTS), default=list(SUBJECTS))
    p.add_argument("--agents", nargs="+", choices=AGENTS, default=AGENTS)
    p.add_argument("--seeds", nargs="+", type=int, default=[1])
    p.add_argument("--no-oracle", dest="oracle", action="store_false",
                   help="do not plan in true physics, which takes up to half an hour of a core a subject")  # fmt: skip
    options = p.parse_args(arguments)
    if options.run:
        for name in options.subjects:
            for seed in options.seeds:
                if "joule" in options.agents:
                    raw_rows.add(RAW, COLUMNS, measure(name, seed, options.oracle))
                if goal_baseline.AGENT in options.agents:
                    raw_rows.add(RAW, COLUMNS, measure_baseline(name, seed, raw_rows.read(RAW)))
    found = figures([*raw_rows.read(RAW), *swm.published(raw_rows.read(swm.RAW))])
    replace_file(RESULT, (json.dumps(found, indent=1) + "\n").encode())
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main))

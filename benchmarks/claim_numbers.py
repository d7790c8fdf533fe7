"""Numbers that README and the reports' conclusions state, from the raw files; `claims.py` says where."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import raw_rows
from benchmarks.comprehension import constraints_summary, tasks_summary
from benchmarks.contenders import DMC
from benchmarks.learning import hierarchy
from benchmarks.learning.sweep import DEFAULT_SUITES
from benchmarks.training import RESULTS, ROOT, env_folder
from joule.report.evaluations import Run, read_evaluations
from joule.report.statistics import interquartile_mean, strata

UNSEEN = ROOT / "benchmarks" / "results_held_out_tasks"
BUDGET = 100_000
"""Frames of a run in the tables, but for Joule's own environments."""
OWN_BUDGET = 50_000
"""The same for Joule's own environments."""
Numbers = Sequence[float]


@functools.cache
def summary(name: str) -> dict[str, Any]:
    """A JSON file of the results."""
    found: dict[str, Any] = json.loads((RESULTS / name).read_text())
    return found


@functools.cache
def runs(tree: Path, agent: str, env: str) -> tuple[Run, ...]:
    """The runs of an agent in an environment, with default settings."""
    found = [tree.glob(f"{suite}/{agent}/{env_folder(env)}/seed*.csv") for suite in DEFAULT_SUITES]
    return tuple(read_evaluations(path) for paths in found for path in sorted(paths))


def returns(agent: str, env: str, frames: int, tree: Path = RESULTS) -> np.ndarray:
    """Return [seeds] of the evaluation at so many frames."""
    found = [raw_rows.return_at(run, frames) for run in runs(tree, agent, env)]
    return np.array([value for value in found if value is not None])


def both(env: str, frames: int = BUDGET) -> list[float]:
    """Mean returns of Joule and of SAC."""
    return [float(returns(agent, env, frames).mean()) for agent in ("joule", "sac")]


def of_dmc(agent: str, frames: int = BUDGET) -> list[np.ndarray]:
    """Returns [seeds] for each of the dm_control tasks."""
    return [returns(agent, env, frames) for env in DMC]


def dmc_means() -> Numbers:
    """The mean over the dm_control tasks, of Joule and of SAC."""
    return tuple(float(np.mean([scores.mean() for scores in of_dmc(agent)])) for agent in ("joule", "sac"))


def dmc_seeds() -> Numbers:
    """The fewest seeds in a dm_control task, of Joule and of SAC."""
    return tuple(min(len(scores) for scores in of_dmc(agent)) for agent in ("joule", "sac"))


def dmc_iqms() -> Numbers:
    """The interquartile mean of Joule and of SAC."""
    return [float(interquartile_mean(strata(of_dmc(agent)))) for agent in ("joule", "sac")]


def with_seeds(env: str, frames: int = BUDGET) -> Numbers:
    """The mean returns of Joule and of SAC, and the seeds of each."""
    return (*both(env, frames), *(len(returns(agent, env, frames)) for agent in ("joule", "sac")))


def unseen() -> Numbers:
    """The number of unseen dm_control tasks, and the mean over them of Joule and of SAC."""
    folders = [path.name for path in UNSEEN.glob("dmc/joule/*")]
    means = [
        float(np.mean([returns(agent, folder, BUDGET, UNSEEN).mean() for folder in folders]))
        for agent in ("joule", "sac")
    ]
    return (len(folders), *means)


def unseen_seeds(*envs: str) -> Numbers:
    """The fewest seeds in unseen environments, of Joule and of SAC; by default in all dm_control tasks of them."""
    folders = envs or [path.name for path in UNSEEN.glob("dmc/joule/*")]
    return tuple(
        min(len(returns(agent, folder, BUDGET, UNSEEN)) for folder in folders) for agent in ("joule", "sac")
    )


def unseen_robot(env: str, *earlier: int) -> Numbers:
    """Returns of Joule and of SAC in one of Gymnasium's environments, and of Joule at earlier frames."""
    at = [("joule", BUDGET), ("sac", BUDGET), *(("joule", frames) for frames in earlier)]
    return tuple(float(returns(agent, env, frames, UNSEEN).mean()) for agent, frames in at)


def whole_run() -> Numbers:
    """CPU time of a run relative to SAC's, without and with compiled gradient steps; means over environments."""
    return [float(np.mean(_relative_to_sac(name))) for name in ("default", "default-compiled")]


def whole_runs() -> Numbers:
    """The same, by environment: those with compiled steps first."""
    return [*_relative_to_sac("default-compiled"), *_relative_to_sac("default")]


def _relative_to_sac(contender: str) -> list[float]:
    """CPU time of a whole run relative to SAC's, in each environment."""
    return [of[contender]["relative_to_sac"][str(BUDGET)] for of in summary("whole_run.json").values()]


def halfway() -> Numbers:
    """Joule's means at half of the budget: dm_control, HalfCheetah-v5, Hopper-v5."""
    half = BUDGET // 2
    dmc = np.mean([scores.mean() for scores in of_dmc("joule", half)])
    return (
        float(dmc),
        *(float(returns("joule", env, half).mean()) for env in ("HalfCheetah-v5", "Hopper-v5")),
    )


def violations() -> Numbers:
    """Shares of pairs in percent with the worst robot, and false alarms; in the order of README."""
    found = summary("intuition.json")
    pairs, worst = found["pairwise_accuracy"], found["pairwise_accuracy_worst"]["value"]
    matched, matched_worst = found["matched_trained"], found["matched_trained_worst"]["value"]
    alarms, alarms_worst = found["false_alarms_per_1000"], found["false_alarms_per_1000_worst"]["value"]
    return (
        100 * pairs, 100 * worst, found["auroc"], 100 * found["gross_untrained"], 100 * matched, 100 * matched_worst,
        100 * found["matched_untrained"], 100 * found["matched_constant_velocity"], alarms, alarms_worst,
    )  # fmt: skip


def pixel_pairs() -> Numbers:
    """Shares of matched pairs in percent: trained, untrained, the difference of pictures, the latent's change."""
    names = ("trained", "untrained", "frame_difference", "latent_change")
    return [100 * summary("pixels.json")[f"matched_{name}"] for name in names]


def from_pixels() -> Numbers:
    """The last evaluations of three runs from pictures, the default updates: returns, frames, CPU-minutes."""
    tree = ROOT / "benchmarks" / "results_pixels" / "pixels" / "joule"
    names = ("dmc-reacher-easy", "dmc-cartpole-swingup", "joule-Reach-v0")
    runs = [read_evaluations(tree / name / "seed1.csv") for name in names]
    minutes = (float(run.columns["cpu_seconds"][-1]) / 60 for run in runs)
    return (*(float(run.returns[-1]) for run in runs), min(int(run.frames[-1]) for run in runs), *minutes)


def changes() -> Numbers:
    """Changes of ten that are noticed within an episode, mean and worst, within 20 decisions by the cheetah; alarms."""
    found = summary("change_detection.json")
    alarms = sum(agent["false_alarms"] for agent in found["agents"].values())
    return (
        10 * found["within_episode_share"], 10 * found["within_episode_share_worst"]["value"],
        10 * found["by_robot"]["HalfCheetah-v5"]["within_20_share"], found["home_decisions"], alarms,
    )  # fmt: skip


def constraints_kept() -> Numbers:
    """Violations and returns lost in percent of those without the constraint, mean and worst."""
    found = summary(constraints_summary.SUMMARY)
    names = ("violations_ratio", "return_lost_of_free", "violations_ratio_worst", "return_lost_of_free_worst")
    return [100 * found[name] for name in names]


def other_tasks() -> Numbers:
    """On new tasks, the share of SAC's return in percent, none above 100; tasks, robots; worst robot."""
    found = summary(tasks_summary.SUMMARY)["of_sac"]["learn_task"]
    by_robot = found["new_tasks_capped_by_env"]
    worst = min(by_robot.values())
    return 100 * found["new_tasks_capped"], found["new_tasks_number"], len(by_robot), 100 * worst


def shares_of_sac(method: str) -> list[float]:
    """The share of SAC's score that a method reaches, on each task."""
    of_method = summary(tasks_summary.SUMMARY)["of_sac"][method]
    return [share for name, share in of_method.items() if ": " in name]  # means are named by one word


def tasks_with_new_frames() -> Numbers:
    """New frames; mean share of SAC (percent) over so many tasks, and the worst; mean speed backwards (m/s)."""
    rows = [row for row in raw_rows.read(RESULTS / "tasks.csv") if row["method"] == "init_from"]
    shares = shares_of_sac("init_from")
    (backwards,) = [row for row in rows if row["costs"] == "less:velocity"]
    return (
        int(backwards["new_env_steps"]), 100 * float(np.mean(shares)), len(shares), 100 * min(shares),
        float(backwards["return_mean"]) / int(backwards["decisions"]),
    )  # fmt: skip


def goals() -> Numbers:
    """Goals reached, in percent: mazes, arm, long maze with and without sub-goals; random; Push; arm seen; three of swm; hindsight."""
    found = summary("goals.json")
    long_maze = hierarchy.shares(raw_rows.read(hierarchy.RAW))
    assert long_maze is not None, "hierarchy.csv has no version with all ways"
    of_random = [found[f"{name}_beside"]["random"] for name in ("maze", "umaze", "reach")]
    return (
        found["maze"], found["umaze"], found["reach"], *(100 * share for share in long_maze),
        min(of_random), max(of_random), found["push"],
        found["reach_pixels"], found["tworoom"], found["pusht"], found["swm_reacher"],
        found["reach_her"], found["maze_her"], found["umaze_her"], found["push_her_equal_cpu"],
    )  # fmt: skip


def probes() -> Numbers:
    """R² of a probe for the readouts of Push, of `vicreg` and `simnorm`."""
    rows = [row for row in raw_rows.read(RESULTS / "collapse.csv") if row["env"] == "joule/Push-v0"]
    kinds = ("vicreg", "simnorm")
    return [
        float(np.mean([float(row["readout_r2"]) for row in rows if row["regularizer"] == kind]))
        for kind in kinds
    ]


def interruptions() -> Numbers:
    """Exact resumes of how many; SIGKILLs and faults with the expected outcome; forged files that were no fault."""
    resumed = [row["exact"] for row in raw_rows.read(RESULTS / "resume.csv")]
    faults = [row["verdict"] for row in raw_rows.read(RESULTS / "faults.csv")]
    kills, forged = summary("kill.json"), summary("fuzz.json")
    survived = kills["random_kills"] - kills["hash_differs"] - kills["unreadable_checkpoints"]
    return (
        resumed.count("yes"), len(resumed), survived, faults.count("ok"), forged["refused"] + forged["loaded"],
    )  # fmt: skip

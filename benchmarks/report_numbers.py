"""Numbers that the reports' conclusions state, from the raw files; `report_claims.py` says where."""

from __future__ import annotations

import numpy as np

from benchmarks import raw_rows
from benchmarks.claim_numbers import Numbers, changes, constraints_kept, shares_of_sac, summary
from benchmarks.comprehension import constraints_summary, tasks_summary
from benchmarks.training import RESULTS


def detection() -> Numbers:
    """Worlds of ten that are noticed within an episode, mean and worst; false alarms, of decisions, rate, by agent."""
    found = summary("change_detection.json")
    mean, worst, _, decisions, alarms = changes()
    most = max(agent["false_alarms"] for agent in found["agents"].values())
    return (mean, worst, alarms, decisions, found["false_alarms_per_50k"], most, alarms - most)


def adaptation(env: str, name: str) -> float:
    """A figure of an environment, over its changes."""
    found: float = summary("adapt.json")["environments"][env][name]
    return found


def late_actions() -> Numbers:
    """Decisions after which a cheetah finds a delay; and its return in percent of that without: then, unadapted, trained."""
    found = summary("adapt.json")["environments"]["HalfCheetah-v5"]["perturbations"]["latency=1"]
    of, home = found["returns"], found["returns"]["joule frozen, home"]
    with_delay = (of[f"joule {method}, after"] for method in ("adapts", "frozen", "taught"))
    return found["detected_within_decisions"], *(100 * value / home for value in with_delay)


def regained() -> Numbers:
    """Percent of the achievable return: the walker with weak motors and a heavy torso, the quadruped with weak motors."""
    robots = summary("adapt.json")["environments"]
    cases = (
        ("dmc:walker-walk", "gain=0.5"), ("dmc:walker-walk", "mass.torso=2"), ("dmc:quadruped-walk", "gain=0.5")
    )  # fmt: skip
    found = [robots[env]["perturbations"][change] for env, change in cases]
    return [100 * one["returns"]["joule adapts, after"] / one["achievable_return"] for one in found]


def capped(method: str) -> float:
    """The mean share of SAC that a method reaches, where no task counts more than 1."""
    return float(np.mean([min(share, 1.0) for share in shares_of_sac(method)]))


def tasks_learned() -> Numbers:
    """Shares of SAC in percent on new tasks: none above 100, learned and planned for; learned, uncapped; of each robot."""
    of_sac = summary(tasks_summary.SUMMARY)["of_sac"]
    learned, by_robot = of_sac["learn_task"], of_sac["learn_task"]["new_tasks_capped_by_env"]
    robots = ("joule/Reach-v0", "HalfCheetah-v5", "joule/Maze-v0", "dmc:walker-walk", "Hopper-v5")
    shares = (
        learned["new_tasks_capped"], of_sac["plan"]["new_tasks_capped"], learned["new_tasks"],
        *(by_robot[env] for env in robots),
    )  # fmt: skip
    return [100 * share for share in shares]


def limits_kept() -> Numbers:
    """Violations, mean and worst, and return lost, in percent of those without; return lost by robot."""
    mean, lost, worst, _ = constraints_kept()
    of_env = summary(constraints_summary.SUMMARY)["environments"]
    robots = ("dmc:walker-walk", "joule/Maze-v0", "HalfCheetah-v5", "dmc:cheetah-run")
    return (mean, worst, lost, *(100 * of_env[env]["return_lost_of_free"] for env in robots))


def limits_planned(env: str) -> Numbers:
    """Where a limit is planned for alone: the share of violations that remain, and the return lost in percent."""
    figures = summary(constraints_summary.SUMMARY)["planning_only"]["environments"][env]
    return (figures["violations_ratio"], 100 * figures["return_lost_of_free"])


def legible() -> Numbers:
    """Legible readouts in percent: their mean over robots, and the least of a robot."""
    found = summary("readouts.json")
    return 100 * found["legible_share"], 100 * min(found["legible_share_by_robot"].values())


def sensors_inferred() -> Numbers:
    """Error, dead readings trusted, healthy ones not trusted (percent), the latter without faults; CPU times (ms)."""
    found = summary("sensors.json")
    dead, healthy = found["conditions"]["dropout=0.3"], found["conditions"]["healthy"]
    cpu_dead, cpu = found["cpu_ms"]["dropout=0.3"], found["cpu_ms"]["healthy"]
    return (
        dead["error_of_dead"], 100 * dead["dead_trusted"], 100 * dead["healthy_distrusted"],
        100 * healthy["healthy_distrusted"],
        cpu["energy_perceiving_ms"], cpu_dead["energy_perceiving_ms"], cpu["encoder_perceiving_ms"],
        cpu["energy_decision_ms"], cpu_dead["energy_decision_ms"], cpu["encoder_decision_ms"],
        cpu_dead["encoder_decision_ms"],
    )  # fmt: skip


def ablated(variant: str) -> Numbers:
    """Mean returns of a variant after 20,000 frames, in cheetah-run and in walker-walk."""
    rows = [
        row
        for row in raw_rows.read(RESULTS / "ablation.csv")
        if row["variant"] == variant and int(row["frames"]) == 20_000
    ]
    return [
        float(np.mean([float(row["return_mean"]) for row in rows if row["env"] == env]))
        for env in ("dmc:cheetah-run", "dmc:walker-walk")
    ]

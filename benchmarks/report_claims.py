"""The numbers of the reports' conclusions and of two manuals; `claims.py` compares and renews them."""

from __future__ import annotations

from benchmarks.claim import Claim
from benchmarks.claim_numbers import (
    OWN_BUDGET,
    both,
    dmc_means,
    probes,
    tasks_with_new_frames,
    unseen,
    unseen_robot,
    violations,
    whole_runs,
)
from benchmarks.report_numbers import (
    ablated,
    adaptation,
    capped,
    detection,
    legible,
    limits_kept,
    limits_planned,
    sensors_inferred,
    tasks_learned,
)

RESULTS_PAGE = "docs/reports/results.md"
READOUTS_PAGE = "docs/guide/readouts.md"
FAQ_PAGE = "docs/faq.md"
VIOLATION_PAGE = "docs/reports/violation-of-expectation.md"
UNSEEN_PAGE = "docs/reports/unseen.md"
TASKS_PAGE = "docs/reports/tasks-and-constraints.md"
ADAPTATION_PAGE = "docs/reports/adaptation.md"
SENSORS_PAGE = "docs/reports/sensors.md"
COLLAPSE_PAGE = "docs/reports/collapse.md"
ABLATION_PAGE = "docs/reports/ablation.md"
SPEED_PAGE = "docs/reports/speed.md"

OF_REPORTS = (
    Claim(
        "costs {:.2f} of SAC's in walker-walk and {:.2f} in HalfCheetah-v5, where the default costs {:.2f} and {:.2f}",
        whole_runs,
        SPEED_PAGE,
    ),
    Claim(
        "{:.0f} % of the readouts are legible, {:.0f} % in the worst of these robots", legible, READOUTS_PAGE
    ),
    Claim(
        "it has a mean of {:.0f} over six dm_control tasks, where SAC has {:.0f},",
        dmc_means,
        FAQ_PAGE,
    ),
    Claim(
        "the score of the prediction errors is higher in the impossible episode in {:.1f} % of the pairs, where untrained networks "
        "reach {:.1f} %.",
        lambda: (violations()[0], violations()[3]),
        FAQ_PAGE,
    ),
    Claim(
        "**{:.1f} % of gross pairs, an area of {:.3f}**; the worst is dmc:quadruped-walk with {:.1f} %. Untrained networks reach {:.1f} %,",
        lambda: (violations()[0], violations()[2], violations()[1], violations()[3]),
        VIOLATION_PAGE,
    ),
    Claim(
        "the trained model is right in {:.1f} %**, the untrained networks in {:.1f} %, constant velocity in {:.1f} %,",
        lambda: (violations()[4], *violations()[6:8]),
        VIOLATION_PAGE,
    ),
    Claim(
        "Over the eight dm_control tasks Joule has a mean of {:.0f} and SAC has {:.0f}.",
        lambda: unseen()[1:],
        UNSEEN_PAGE,
    ),
    Claim(
        "In Walker2d-v5 Joule has {:,.0f} and SAC has {:,.0f}. Joule has {:,.0f}, {:,.0f} and {:,.0f} at 70,000, 80,000 and 90,000 frames:",
        lambda: unseen_robot("Walker2d-v5", 70_000, 80_000, 90_000),
        UNSEEN_PAGE,
    ),
    Claim(
        "In Ant-v5 Joule has {:,.0f} and SAC has {:,.0f}. Joule has {:,.0f} at 90,000 frames:",
        lambda: unseen_robot("Ant-v5", 90_000),
        UNSEEN_PAGE,
    ),
    Claim(
        "that were not used for tuning Joule has a mean of {:.0f}, and SAC {:.0f} ([unseen tasks]",
        lambda: unseen()[1:],
        RESULTS_PAGE,
    ),
    Claim(
        "At 100,000 frames Joule has a mean of {:.0f} over the six dm_control tasks and SAC has {:.0f}. Joule is ahead of SAC in "
        "all six (least in cartpole-swingup: {:.0f} and {:.0f}),",
        lambda: (*dmc_means(), *both("dmc:cartpole-swingup")),
        RESULTS_PAGE,
    ),
    Claim(
        "in Reacher-v5 ({:.2f} and {:.2f}) and in joule/Reach-v0. In InvertedDoublePendulum-v5\n({:,.0f} and {:,.0f}) they "
        "are level, and in joule/Push-v0 SAC is ahead ({:.0f} and {:.0f}):",
        lambda: (
            *both("Reacher-v5"),
            *both("InvertedDoublePendulum-v5"),
            *both("joule/Push-v0", OWN_BUDGET),
        ),
        RESULTS_PAGE,
    ),
    Claim(
        "The mean over six robots is {:.1f} of ten, and the worst is the hopper of dm_control, with {:.0f}.",
        lambda: detection()[:2],
        ADAPTATION_PAGE,
    ),
    Claim(
        "There were {} false alarms in {:,} decisions at home, {:.1f} in 50,000** (goal: 1): {} of the "
        "agent of Ant-v5, and {} of the five others.",
        lambda: detection()[2:],
        ADAPTATION_PAGE,
    ),
    Claim(
        "**The cheetah** regains {:.2f} of the achievable return on the mean of its five changes",
        lambda: [adaptation("HalfCheetah-v5", "regained_fraction")],
        ADAPTATION_PAGE,
    ),
    Claim(
        "There was no false alarm in {:,} decisions without a change: one episode,",
        lambda: [adaptation("HalfCheetah-v5", "home_decisions")],
        ADAPTATION_PAGE,
    ),
    Claim(
        "Where no task counts more than 100 %, learning in the model reaches {:.1f} % of SAC on the mean of the new tasks, and "
        "planning alone {:.0f} %",
        lambda: tasks_learned()[:2],
        TASKS_PAGE,
    ),
    Claim(
        "Where each task counts as it is, the mean is {:.0f} %. By robot, with none above 100 %, it is {:.0f} % in Reach, {:.0f} % in "
        "HalfCheetah-v5, {:.0f} % in the maze, {:.0f} % in the walker and {:.0f} % in the hopper.",
        lambda: tasks_learned()[2:],
        TASKS_PAGE,
    ),
    Claim(
        "goes on for {:,} frames of each task, in 460 s of CPU time on a slow core. It reaches {:.0f} % of SAC, which learns from "
        "scratch in 100,000 frames, on the mean of {} tasks (goal: 80 %). The lowest is {:.0f} %, running backwards",
        lambda: tasks_with_new_frames()[:4],
        TASKS_PAGE,
    ),
    Claim(
        "With none counted above 100 % the mean is {:.0f} %.", lambda: [100 * capped("init_from")], TASKS_PAGE
    ),
    Claim(
        "({:.1f} % of those without it, on the mean of four robots; at most {:.1f} %), for {:.0f} % of the return on the mean: "
        "{:.1f} % in the walker, {:.1f} % in the maze, {:.1f} % in HalfCheetah-v5 and {:.0f} % in cheetah-run",
        limits_kept,
        TASKS_PAGE,
    ),
    Claim(
        "is enough for the cheetahs: in HalfCheetah-v5 {:.3f} of the violations for {:.1f} % of the return",
        lambda: limits_planned("HalfCheetah-v5"),
        TASKS_PAGE,
    ),
    Claim(
        "A fifth ({:.2f}) of the violations remain", lambda: limits_planned("joule/Maze-v0")[:1], TASKS_PAGE
    ),
    Claim(
        "the inferred value is off by {:.2f} of the sensor's standard deviation. Of the dead readings {:.1f} % were trusted, "
        "those of the first decision. Of the healthy readings {:.0f} % were not trusted, and {:.3f} % in episodes",
        lambda: sensors_inferred()[:4],
        SENSORS_PAGE,
    ),
    Claim(
        "Perception takes {:.1f} ms of CPU time a decision without faults, and {:.1f} ms with dead sensors, on one thread, instead "
        "of {:.1f} ms. A whole decision, with its plan, takes {:.1f} and {:.1f} ms instead of {:.1f} and {:.1f}.",
        lambda: sensors_inferred()[4:],
        SENSORS_PAGE,
    ),
    Claim(
        "has the lowest R²: {:.2f} in Push, where `vicreg` has {:.2f}.",
        lambda: tuple(reversed(probes())),
        COLLAPSE_PAGE,
    ),
    Claim(
        "With SIGReg in place of SimNorm both returns are much lower ({:.0f} and {:.0f}).",
        lambda: ablated("SIGReg in place of SimNorm"),
        ABLATION_PAGE,
    ),
    Claim(
        "**Curiosity raises the mean of both tasks**: the cheetah from {:.0f} to {:.0f}, with each seed.",
        lambda: (ablated("no curiosity")[0], ablated("default")[0]),
        ABLATION_PAGE,
    ),
)

"""The numbers of README, each computed from its raw file.

    python benchmarks/claims.py            lists the claims whose numbers are not those of the raw files
    python benchmarks/claims.py --write    writes the numbers into the pages

A claim is a sentence, or a part of one, with a place for each number. A test compares every claim with its page, and
refuses a number in README's results that no claim has. After new rows, `--write` renews the numbers; what is said about
them remains to be read again.
"""

from __future__ import annotations

import argparse
import functools
import json
import re
import string
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import raw_rows
from benchmarks.contenders import DMC
from benchmarks.training import RESULTS, ROOT
from joule.report.evaluations import Run, read_evaluations
from joule.report.statistics import interquartile_mean, strata

UNSEEN = ROOT / "benchmarks" / "results_held_out_tasks"
NUMBER = r"-?\d[\d,]*(?:\.\d+)?"
BUDGET = 100_000
"""Frames of a run in the tables, but for Joule's own environments."""
OWN_BUDGET = 50_000
"""The same for Joule's own environments."""
Numbers = Sequence[float | str]


@dataclass(frozen=True)
class Claim:
    """A text of a page that has numbers."""

    text: str
    """With a place for each number, as `str.format` reads it."""
    numbers: Callable[[], Numbers]
    """Computes them from the raw files."""
    page: str = "README.md"

    @property
    def pattern(self) -> str:
        """A regular expression that finds the text, whatever its numbers are."""
        parts = string.Formatter().parse(self.text)
        return "".join(re.escape(text) + ("" if place is None else NUMBER) for text, place, _, _ in parts)

    def shown(self) -> str:
        """The text with the numbers of the raw files."""
        return self.text.format(*self.numbers())


@functools.cache
def summary(name: str) -> dict[str, Any]:
    """A JSON file of the results."""
    found: dict[str, Any] = json.loads((RESULTS / name).read_text())
    return found


@functools.cache
def runs(tree: Path, agent: str, env: str) -> tuple[Run, ...]:
    """The runs of an agent in an environment."""
    folder = env.replace(":", "-").replace("/", "-")
    return tuple(read_evaluations(path) for path in sorted(tree.glob(f"*/{agent}/{folder}/seed*.csv")))


def returns(agent: str, env: str, frames: int, tree: Path = RESULTS) -> np.ndarray:
    """Return [seeds] of the evaluation at so many frames."""
    found = [
        float(run.returns[run.frames.tolist().index(frames)])
        for run in runs(tree, agent, env)
        if frames in run.frames
    ]
    return np.array(found)


def both(env: str, frames: int = BUDGET) -> list[float]:
    """Mean returns of Joule and of SAC."""
    return [float(returns(agent, env, frames).mean()) for agent in ("joule", "sac")]


def of_dmc(agent: str, frames: int = BUDGET) -> list[np.ndarray]:
    """Returns [seeds] for each of the dm_control tasks."""
    return [returns(agent, env, frames) for env in DMC]


def dmc_means() -> Numbers:
    """Seeds of Joule, fewest and most; mean over the tasks of Joule and of SAC."""
    seeds = [len(scores) for scores in of_dmc("joule")]
    means = [np.mean([scores.mean() for scores in of_dmc(agent)]) for agent in ("joule", "sac")]
    return (min(seeds), max(seeds), *(float(mean) for mean in means))


def dmc_iqms() -> Numbers:
    """The interquartile mean of Joule and of SAC."""
    return [float(interquartile_mean(strata(of_dmc(agent)))) for agent in ("joule", "sac")]


def with_seeds(env: str, frames: int = BUDGET, agent: str = "joule") -> Numbers:
    """The seeds of an agent, and the mean returns of Joule and of SAC."""
    return (len(returns(agent, env, frames)), *both(env, frames))


def unseen() -> Numbers:
    """The number of unseen tasks, and the mean over them of Joule and of SAC."""
    folders = {path.name for path in UNSEEN.glob("*/joule/*")}
    envs = sorted(run.env for name in folders for run in runs(UNSEEN, "joule", name)[:1])
    means = [
        float(np.mean([returns(agent, env, BUDGET, UNSEEN).mean() for env in envs]))
        for agent in ("joule", "sac")
    ]
    return (len(envs), *means)


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


def changes() -> Numbers:
    """Changes of ten that are noticed within an episode, mean and worst, within 20 decisions by the cheetah; alarms."""
    found = summary("change_detection.json")
    alarms = sum(agent["false_alarms"] for agent in found["agents"].values())
    return (
        10 * found["within_episode_share"], found["robots"], 10 * found["within_episode_share_worst"]["value"],
        10 * found["by_robot"]["HalfCheetah-v5"]["within_20_share"], found["home_decisions"], alarms,
    )  # fmt: skip


def constraints_kept() -> Numbers:
    """Violations and returns lost in percent of those without the constraint, mean and worst."""
    found = summary("guardrail.json")
    names = ("violations_ratio", "return_lost_of_free", "violations_ratio_worst", "return_lost_of_free_worst")
    return [100 * found[name] for name in names]


def other_tasks() -> Numbers:
    """Shares of SAC's return in percent, on all tasks and on the new ones."""
    found = summary("retask.json")
    return (100 * found["of_sac"]["learn_task"]["mean"], 100 * found["fraction_of_sac_new_tasks"])


def speed_backwards() -> Numbers:
    """Frames and mean speed (m/s) of the cheetah that learned to run backwards from what it knew."""
    rows = raw_rows.read(RESULTS / "trials.csv")
    row = [row for row in rows if "--init-from RUN --task less:velocity" in row["command"]][-1]
    return (int(row["frames"]), float(row["return_mean"]) / 500)  # decisions of an episode


def goals() -> Numbers:
    """Goals reached by plans, in percent: mazes, arm, long maze with and without sub-goals; random; Push."""
    found = summary("goals.json")
    rows = {row["way"]: row for row in raw_rows.read(RESULTS / "hierarchy.csv") if row["acts"] == "plan"}
    of_random = [found[f"{name}_beside"]["random"] for name in ("maze", "umaze", "reach")]
    return (
        found["maze"], found["umaze"], found["reach"], 100 * float(rows["hierarchy"]["success"]),
        100 * float(rows["flat_longer"]["success"]), min(of_random), max(of_random), found["push"],
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
    """Exact resumes of how many, SIGKILLs, faults as expected, forged files."""
    resumed = [row["exact"] for row in raw_rows.read(RESULTS / "resume.csv")]
    faults = [row["verdict"] for row in raw_rows.read(RESULTS / "faults.csv")]
    kills = summary("kill.json")
    return (
        resumed.count("yes"), len(resumed), kills["random_kills"], faults.count("ok"), summary("fuzz.json")["attempts"],
    )  # fmt: skip


CLAIMS = (
    Claim("| dm_control, mean of 6 tasks (Joule: {} or {} seeds) | {:.0f} | {:.0f} |", dmc_means),
    Claim("| dm_control, IQM of 6 tasks | {:.0f} | {:.0f} |", dmc_iqms),
    Claim("| HalfCheetah-v5 | {:,.0f} | {:,.0f} |", lambda: both("HalfCheetah-v5")),
    Claim("| Hopper-v5 (Joule: {} seeds) | {:,.0f} | {:,.0f} |", lambda: with_seeds("Hopper-v5")),
    Claim(
        "| InvertedDoublePendulum-v5 (Joule: {} seed) | {:,.0f} | {:,.0f} |",
        lambda: with_seeds("InvertedDoublePendulum-v5"),
    ),
    Claim("| Reacher-v5 (Joule: {} seed) | {:.2f} | {:.2f} |", lambda: with_seeds("Reacher-v5")),
    Claim(
        "| joule/Reach-v0 ({} seed each) | {:.1f} | {:.1f} |",
        lambda: with_seeds("joule/Reach-v0", OWN_BUDGET),
    ),
    Claim(
        "| joule/Push-v0 (SAC: {} seed) | {:.0f} | {:.0f} |",
        lambda: with_seeds("joule/Push-v0", OWN_BUDGET, agent="sac"),
    ),
    Claim(
        "| CPU time of a decision with learning, relative to SAC | {:.2f} | 1 |",
        lambda: [summary("speed.json")["headline"]["cpu_ratio_to_sac"]],
    ),
    Claim(
        "mean of {} [unseen tasks](docs/reports/unseen.md) (1 seed each; an earlier default) | {:.0f} | {:.0f} |",
        unseen,
    ),
    Claim(
        "At 50,000 frames Joule has {:.0f} on the six dm_control tasks, {:,.0f} in HalfCheetah-v5 and {:,.0f} in Hopper-v5.",
        halfway,
    ),
    Claim(
        "in {:.1f} % of pairs (worst robot {:.1f} %), with an area under the ROC curve of {:.3f}; untrained networks reach "
        "{:.1f} %. Where a violation changes observations no more than ordinary motion does, it is {:.1f} % (worst {:.1f} %), "
        "against {:.1f} % untrained and {:.1f} % by constant velocity. There are {:.1f} false alarms in 1,000 steps (worst "
        "{:.1f}).",
        violations,
    ),
    Claim(
        "tell {:.1f} % of matched pairs apart, untrained networks {:.1f} %, the difference of pictures {:.0f} % (means over Cup "
        "and Push, one seed each). Most of it is perception: the change of the latent alone gets {:.1f} %",
        pixel_pairs,
    ),
    Claim(
        "it notices {:.1f} within an episode (mean over five robots, nine agents that do not learn; worst robot {:.0f}), in "
        "HalfCheetah-v5 {:.1f} within 20 decisions. In {:,} decisions without a change there were {} false alarms.",
        lambda: [number for place, number in enumerate(changes()) if place != 1],
    ),
    Claim(
        "the cheetah regained {:.0f} % of the achievable return",
        lambda: [100 * summary("adapt.json")["environments"]["HalfCheetah-v5"]["regained_fraction"]],
    ),
    Claim("the return is {:.1f} times that", lambda: [summary("sensors.json")["ratio_to_plain_encoder"]]),
    Claim(
        "made {:.1f} % of the violations that they make without it, for {:.0f} % of the return (means over four robots, one "
        "seed each; worst {:.1f} % and {:.0f} %,",
        constraints_kept,
    ),
    Claim(
        "It reaches {:.0f} % of the return of SAC trained from scratch for 100,000 frames, on the mean of nine tasks. The mean is "
        "{:.0f} % without",
        other_tasks,
    ),
    Claim(
        "With {:,} new frames (`--init-from`) a cheetah that had only run forwards ran backwards at {:.1f} m/s",
        speed_backwards,
    ),
    Claim(
        "plans reach {:.0f} % of 50 goals in a maze, {:.0f} % in PointMaze_UMaze, {:.0f} % with an arm, and {:.0f} % in a long "
        "maze, where plans without sub-goals reach {:.0f} %; random actions reach {:.0f} to {:.0f} %. In joule/Push-v0, where "
        "random actions hardly move the block, they reach {:.0f} %",
        goals,
    ),
    Claim("with R² {:.2f} (`vicreg`), and with {:.2f} for the default", probes),
    Claim(
        "{} of {} interrupted runs resumed bit for bit. {} SIGKILLs and {} injected faults had the expected outcome. {:,} "
        "forged files were refused or loaded without a traceback",
        interruptions,
    ),
)


def differing(page: str, claims: Sequence[Claim] = CLAIMS) -> list[Claim]:
    """The claims that a page does not have, or has with other numbers."""
    text = (ROOT / page).read_text()
    return [claim for claim in claims if claim.page == page and claim.shown() not in text]


def renewed(text: str, claims: Sequence[Claim] = CLAIMS) -> str:
    """A page with the numbers of the raw files.

    Raises:
        SystemExit: for a claim that the page does not have exactly once.
    """
    for claim in claims:
        text, found = re.subn(claim.pattern, claim.shown().replace("\\", r"\\"), text)
        if found != 1:
            raise SystemExit(f"{claim.page} has {found} texts of the form {claim.text!r}")
    return text


def main() -> int:
    """Lists, or writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--write", action="store_true", help="write the numbers of the raw files into the pages"
    )
    options = parser.parse_args()
    differ = 0
    for page in dict.fromkeys(claim.page for claim in CLAIMS):
        other = differing(page)
        for claim in other:
            print(f"{page}: {claim.shown()}")
        if options.write:
            own = [claim for claim in CLAIMS if claim.page == page]
            (ROOT / page).write_text(renewed((ROOT / page).read_text(), own))
        else:
            differ += len(other)
    return int(bool(differ))


if __name__ == "__main__":
    sys.exit(main())

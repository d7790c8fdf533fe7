"""The numbers of README and of the reports' conclusions, each computed from its raw file.

    python benchmarks/claims.py            lists the claims whose numbers are not those of the raw files
    python benchmarks/claims.py --write    writes the numbers into the pages

A claim is a sentence, or a part of one, with a place for each number. A test compares every claim with its page, and
refuses a number in README's results that no claim has. After new rows, `--write` renews the numbers; what is said about
them remains to be read again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.claim import Claim
from benchmarks.claim_numbers import (
    OWN_BUDGET,
    changes,
    constraints_kept,
    dmc_iqms,
    dmc_means,
    dmc_seeds,
    from_pixels,
    goals,
    halfway,
    interruptions,
    other_tasks,
    pixel_pairs,
    probes,
    summary,
    tasks_with_new_frames,
    unseen,
    unseen_robot,
    unseen_seeds,
    violations,
    whole_run,
    with_seeds,
)
from benchmarks.report_claims import OF_REPORTS
from benchmarks.report_numbers import detection, late_actions, regained
from benchmarks.training import ROOT

OF_README = (
    Claim("| dm_control, mean of 6 tasks | {:.0f} | {:.0f} | {}, {} |", lambda: (*dmc_means(), *dmc_seeds())),
    Claim("| dm_control, IQM of 6 tasks | {:.0f} | {:.0f} | {}, {} |", lambda: (*dmc_iqms(), *dmc_seeds())),
    Claim("| HalfCheetah-v5 | {:,.0f} | {:,.0f} | {}, {} |", lambda: with_seeds("HalfCheetah-v5")),
    Claim("| Hopper-v5 | {:,.0f} | {:,.0f} | {}, {} |", lambda: with_seeds("Hopper-v5")),
    Claim(
        "| InvertedDoublePendulum-v5 | {:,.0f} | {:,.0f} | {}, {} |",
        lambda: with_seeds("InvertedDoublePendulum-v5"),
    ),
    Claim("| Reacher-v5 | {:.2f} | {:.2f} | {}, {} |", lambda: with_seeds("Reacher-v5")),
    Claim("| joule/Reach-v0 | {:.1f} | {:.1f} | {}, {} |", lambda: with_seeds("joule/Reach-v0", OWN_BUDGET)),
    Claim("| joule/Push-v0 | {:.0f} | {:.0f} | {}, {} |", lambda: with_seeds("joule/Push-v0", OWN_BUDGET)),
    Claim(
        "| CPU time of a decision with learning, relative to SAC | {:.2f} | 1 |",
        lambda: [summary("speed.json")["headline"]["cpu_ratio_to_sac"]],
    ),
    Claim(
        "mean of {} [unseen tasks](docs/reports/unseen.md), three of an earlier default | {:.0f} | {:.0f} | {}, {} |",
        lambda: (*unseen(), *unseen_seeds()),
    ),
    Claim(
        "Over a whole run of 100,000 frames it is {:.2f} on an Intel Xeon, and {:.2f} with `--learning.compiled`, which "
        "needs a C++ compiler.",
        whole_run,
    ),
    Claim(
        "| Walker2d-v5, [seen a little](docs/reports/unseen.md#set-up) | {:,.0f} | {:,.0f} | {}, {} |",
        lambda: (*unseen_robot("Walker2d-v5"), *unseen_seeds("Walker2d-v5")),
    ),
    Claim(
        "| Ant-v5, [unseen](docs/reports/unseen.md#conclusion) | {:,.0f} | {:,.0f} | {}, {} |",
        lambda: (*unseen_robot("Ant-v5"), *unseen_seeds("Ant-v5")),
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
        "dmc:reacher-easy returns {:.0f}, dmc:cartpole-swingup {:.0f} and joule/Reach-v0 {:.1f} after {:,} frames, in {:.0f}, "
        "{:.0f} and {:.0f} minutes of CPU time",
        from_pixels,
    ),
    Claim(
        "it notices {:.1f} within an episode (mean over six robots, an agent each that does not learn; worst robot {:.0f}), in "
        "HalfCheetah-v5 {:.1f} within 20 decisions. In {:,} decisions without a change there were {} false alarms, "
        "{} of them of one agent, of Ant-v5.",
        lambda: (*changes(), detection()[5]),
    ),
    Claim(
        "A walker with motors of half the force regained {:.0f} % of the achievable return in ten episodes (a heavier "
        "torso: {:.0f} %); a quadruped that two of three changes hardly trouble kept its return there, and regained "
        "{:.0f} % in the third.",
        regained,
    ),
    Claim(
        "the cheetah regained {:.0f} % of the achievable return (worst {:.0f} %), and the hopper {:.0f} % (worst {:.0f} %)",
        lambda: [
            100 * summary("adapt.json")["environments"][env][f"regained_fraction{of}"]
            for env in ("HalfCheetah-v5", "Hopper-v5")
            for of in ("", "_worst")
        ],
    ),
    Claim(
        "Actions that take effect late are found after {:.0f} decisions: a cheetah then has {:.0f} % of its return without a "
        "delay, where it is left with {:.0f} % unadapted and training there reaches {:.0f} %",
        late_actions,
    ),
    Claim("the return is {:.1f} times that", lambda: [summary("sensors.json")["ratio_to_plain_encoder"]]),
    Claim(
        "made {:.1f} % of the violations that they make without it, for {:.0f} % of the return (means over four robots, one "
        "or two agents each; worst {:.1f} % and {:.0f} %,",
        constraints_kept,
    ),
    Claim(
        "It reaches {:.0f} % of the return of SAC trained from scratch for 100,000 frames, on the mean of {} new tasks of {} "
        "robots, where no task counts more than 100 % (worst robot {:.0f} %).",
        other_tasks,
    ),
    Claim(
        "With {:,} new frames each (`--init-from`), a tenth of those of SAC, a cheetah reaches {:.0f} % of it on the mean of {} new "
        "tasks (worst {:.0f} %: it had only run forwards, and runs backwards at {:.1f} m/s; one agent)",
        tasks_with_new_frames,
    ),
    Claim(
        "plans reach {:.0f} % of 50 goals in a maze, {:.0f} % in PointMaze_UMaze, {:.0f} % with an arm, and {:.0f} % in a long "
        "maze, where plans without sub-goals reach {:.0f} %; random actions reach {:.0f} to {:.0f} %. In joule/Push-v0, where "
        "they hardly move the block, plans by the readouts that count reach {:.0f} %. From pictures of the arm they reach {:.0f} %, and from recorded ones {:.0f} % in TwoRoom of "
        "stable-worldmodel, {:.0f} % in its PushT and {:.0f} % in its Reacher. SAC with hindsight, which is told when a goal is "
        "reached, reaches {:.0f} % with the arm, {:.0f} % and {:.0f} % in the first two mazes in as many frames, and {:.0f} % in Push in as much CPU time",
        goals,
    ),
    Claim("with R² {:.2f} (`vicreg`), and with {:.2f} for the default", probes),
    Claim(
        "{} of {} interrupted runs resumed bit for bit. {} SIGKILLs and {} injected faults had the expected outcome. {:,} "
        "forged files were refused or loaded without a traceback",
        interruptions,
    ),
)
CLAIMS = (*OF_README, *OF_REPORTS)


def of_page(page: str) -> list[Claim]:
    """The claims of a page."""
    return [claim for claim in CLAIMS if claim.page == page]


def differing(text: str, claims: Sequence[Claim]) -> list[Claim]:
    """The claims that a page has with other numbers.

    Raises:
        SystemExit: for a claim that the page does not have exactly once.
    """
    return [claim for claim in claims if list(claim.found(text).groups()) != claim.shown()]


def renewed(text: str, claims: Sequence[Claim]) -> str:
    """A page with the numbers of the raw files; its line breaks stay.

    Raises:
        SystemExit: for a claim that the page does not have exactly once.
    """
    for claim in claims:
        match, numbers = claim.found(text), claim.shown()
        for place in reversed(range(len(numbers))):  # from the end, so that the places before it stay
            text = text[: match.start(place + 1)] + numbers[place] + text[match.end(place + 1) :]
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
        path, claims = ROOT / page, of_page(page)
        text = path.read_text()
        other = differing(text, claims)
        for claim in other:
            print(f"{page}: {claim.sentence()}")
        differ += len(other)
        if options.write:
            path.write_text(renewed(text, claims))
    return int(bool(differ) and not options.write)


if __name__ == "__main__":
    sys.exit(main())

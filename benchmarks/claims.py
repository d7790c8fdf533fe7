"""The numbers of README and of the reports' conclusions, each computed from its raw file.

    python benchmarks/claims.py            lists the claims whose numbers are not those of the raw files
    python benchmarks/claims.py --write    writes the numbers into the pages

A claim is a sentence, or a part of one, with a place for each number. A test compares every claim with its page, and
refuses a number in README's results that no claim has. After new rows, `--write` renews the numbers; what is said about
them remains to be read again.
"""

from __future__ import annotations

import argparse
import re
import string
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.claim_numbers import (
    OWN_BUDGET,
    Numbers,
    both,
    changes,
    constraints_kept,
    dmc_iqms,
    dmc_means,
    from_pixels,
    goal_time,
    goals,
    goals_reached,
    halfway,
    interruptions,
    other_tasks,
    pixel_pairs,
    probes,
    speed_backwards,
    summary,
    unseen,
    unseen_walker,
    violations,
    whole_run,
    with_seeds,
)
from benchmarks.training import ROOT

NUMBER = r"(-?\d[\d,]*(?:\.\d+)?)"
RESULTS_PAGE = "docs/reports/results.md"
GOALS_PAGE = "docs/guide/goals.md"
FAQ_PAGE = "docs/faq.md"
UNSEEN_PAGE = "docs/reports/unseen.md"


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
        """A regular expression that finds the text, whatever its numbers and line breaks are; a group for each."""
        parts = string.Formatter().parse(self.text)
        return "".join(_words(text) + ("" if place is None else NUMBER) for text, place, _, _ in parts)

    def shown(self) -> list[str]:
        """The numbers of the raw files, as the text shows them."""
        parts = string.Formatter().parse(self.text)
        places = [form or "" for _, place, form, _ in parts if place is not None]
        return [format(number, form) for number, form in zip(self.numbers(), places, strict=True)]

    def sentence(self) -> str:
        """The text with the numbers of the raw files."""
        return self.text.format(*self.numbers())

    def found(self, text: str) -> re.Match[str]:
        """Where a page has the claim.

        Raises:
            SystemExit: where it does not have it exactly once.
        """
        matches = list(re.finditer(self.pattern, text))
        if len(matches) != 1:
            raise SystemExit(f"{self.page} has {len(matches)} texts of the form {self.text!r}")
        return matches[0]


def _words(text: str) -> str:
    return r"\s+".join(re.escape(word) for word in re.split(r"\s+", text))


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
        "mean of {} [unseen tasks](docs/reports/unseen.md) (1 seed each, three of an earlier default) | {:.0f} | {:.0f} |",
        unseen,
    ),
    Claim("Over a whole run of 100,000 frames it is {:.2f} on an Intel Xeon.", whole_run),
    Claim(
        "it has a mean of {:.0f} over six dm_control tasks, where SAC has {:.0f},",
        lambda: dmc_means()[2:],
        FAQ_PAGE,
    ),
    Claim("| Walker2d-v5, unseen too (1 seed each) | {:,.0f} | {:,.0f} |", lambda: unseen_walker()[:2]),
    Claim(
        "Over the six dm_control tasks Joule has a mean of {:.0f} and SAC has {:.0f}.",
        lambda: unseen()[1:],
        UNSEEN_PAGE,
    ),
    Claim(
        "In Walker2d-v5 Joule has {:,.0f} and SAC has {:,.0f}; at 90,000 frames Joule had {:,.0f}, and then",
        unseen_walker,
        UNSEEN_PAGE,
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
        "dmc:reacher-easy returns {:.0f} after {:,} frames and {:.0f} minutes of CPU time, with half the usual updates",
        from_pixels,
    ),
    Claim(
        "it notices {:.1f} within an episode (mean over five robots, nine agents that do not learn; worst robot {:.0f}), in "
        "HalfCheetah-v5 {:.1f} within 20 decisions. In {:,} decisions without a change there were {} false alarms.",
        changes,
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
        "random actions hardly move the block, they reach {:.0f} %. SAC with hindsight, which is told when a goal is reached, "
        "reaches {:.0f} % with the arm in as many frames",
        goals,
    ),
    Claim("with R² {:.2f} (`vicreg`), and with {:.2f} for the default", probes),
    Claim(
        "{} of {} interrupted runs resumed bit for bit. {} SIGKILLs and {} injected faults had the expected outcome. {:,} "
        "forged files were refused or loaded without a traceback",
        interruptions,
    ),
    Claim(
        "that were not used for tuning Joule has a mean of {:.0f}, and SAC {:.0f} ([unseen tasks]",
        lambda: unseen()[1:],
        RESULTS_PAGE,
    ),
    Claim(
        "At 100,000 frames Joule has a mean of {:.0f} over the six dm_control tasks and SAC has {:.0f}. Joule is ahead of SAC in "
        "all six but cartpole-swingup ({:.0f} and {:.0f}),",
        lambda: (*dmc_means()[2:], *both("dmc:cartpole-swingup")),
        RESULTS_PAGE,
    ),
    Claim(
        "SAC is ahead in InvertedDoublePendulum-v5 ({:,.0f} and {:,.0f}) and in joule/Push-v0 ({:.0f} and {:.0f};",
        lambda: (*reversed(both("InvertedDoublePendulum-v5")), *reversed(both("joule/Push-v0", OWN_BUDGET))),
        RESULTS_PAGE,
    ),
    Claim(
        "In `joule/Maze-v0` plans reach {:.0f} % of 50 goals ({:.0f} to {:.0f}; one agent, 50,000 frames of smooth random actions), "
        "at {:.0f} ms a decision, and the goal's policy {:.0f} % ({:.0f} to {:.0f})",
        lambda: (*goals_reached("maze", "plan"), goal_time("maze"), *goals_reached("maze", "policy")),
        GOALS_PAGE,
    ),
    Claim(
        "In PointMaze_UMaze plans and the policy reach {:.0f} % each ({:.0f} to {:.0f}; one agent, 50,000 frames), in "
        "`joule/Reach-v0` plans {:.0f} % ({:.0f} to {:.0f}; 20,000 frames) and the policy {:.0f} %.",
        lambda: (
            *goals_reached("umaze", "plan"),
            *goals_reached("reach", "plan"),
            goals_reached("reach", "policy")[0],
        ),
        GOALS_PAGE,
    ),
)


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

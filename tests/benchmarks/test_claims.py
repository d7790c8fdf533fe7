"""What README says follows from the committed raw files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from result_files import write_evaluations

from benchmarks import claim_numbers, claims
from benchmarks.claim import Claim
from benchmarks.claims import CLAIMS
from benchmarks.training import ROOT

PAGE = (ROOT / "README.md").read_text()
NOT_MEASURED = (
    "at 100,000 frames (50,000 for Joule's own environments)",
    "A run of 5,000 decisions costs 2.8 times",
    "pictures of 48 x 48",
    "Can it run with 30 % of its sensors dead?",
    "two agents made 9 and 10 violations in 1,000 decisions",
)
"""Settings of the measurements; and what has no raw file: two pairs of runs (the report of
speed has them), and eight learning runs that were printed (lab notes)."""


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.text[:40])
def test_a_claim_has_the_numbers_of_its_raw_file(claim: Claim) -> None:
    text = (ROOT / claim.page).read_text()
    assert list(claim.found(text).groups()) == claim.shown(), "python benchmarks/claims.py --write renews it"


def test_every_number_in_the_results_of_the_readme_is_a_claim() -> None:
    part = " ".join(PAGE[PAGE.index("\n## Results") : PAGE.index("![A cup that falls upward")].split())
    for text in (*(claim.sentence() for claim in claims.of_page("README.md")), *NOT_MEASURED):
        assert text in part, text
        part = part.replace(text, "", 1)
    part = re.sub(r"\]\([^)]*\)|`[^`]*`|[\w/]+-v\d", "", part)  # links, code, environments
    assert re.findall(r"[^|.]*\d[^|.]*", part) == []


def test_rows_of_other_settings_are_no_part_of_a_claim(tmp_path: Path) -> None:
    for suite, value in (("gymnasium", 5.0), ("wide", 9.0)):
        write_evaluations(tmp_path / suite / "sac" / "Hopper-v5" / "seed1.csv", [value], every=100)
    assert claim_numbers.returns("sac", "Hopper-v5", 100, tmp_path).tolist() == [5.0]


def test_kills_and_forged_files_with_another_outcome_are_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = {
        "kill.json": {"random_kills": 50, "hash_differs": 1, "unreadable_checkpoints": 2},
        "fuzz.json": {"attempts": 100, "refused": 60, "loaded": 37, "faults": 3},
    }
    monkeypatch.setattr(claim_numbers, "summary", counts.__getitem__)
    _, _, kills, _, forged = claim_numbers.interruptions()
    assert (kills, forged) == (47, 97)


def test_new_numbers_replace_old_ones() -> None:
    claim = Claim("reaches {:.0f} % of {:,} m", lambda: (97.6, 12_000))
    old = "It reaches -3 %\nof 1,000.5 m (97 %)."
    assert claims.differing(old, [claim]) == [claim]
    assert claims.renewed(old, [claim]) == "It reaches 98 %\nof 12,000 m (97 %)."
    assert claims.differing("It reaches 98 % of 12,000 m.", [claim]) == []
    with pytest.raises(SystemExit, match="has 0 texts of the form"):
        claims.renewed("It flies.", [claim])

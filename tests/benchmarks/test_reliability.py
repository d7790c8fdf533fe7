"""Benchmarks of reliability: exit codes follow the outcomes, and who adds to a result keeps what it has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import raw_rows
from benchmarks.reliability import faults, fuzz, kill, soak, unchanged
from joule_errors import Refused


@pytest.mark.parametrize("verdict", ["ok", "short"])
def test_a_fault_with_another_outcome_is_in_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdict: str
) -> None:
    row = dict(zip(faults.COLUMNS, ("1", "a", "b", "c", verdict), strict=True))
    monkeypatch.setattr(faults, "tried", lambda number: row)
    monkeypatch.setattr(faults, "preload", lambda: None)
    assert faults.main(["--rows", "1", "--out", str(tmp_path / "faults.csv")]) == (verdict == "short")


def test_what_goes_wrong_after_a_signal_counts() -> None:
    def found(**changes: int) -> dict[str, Any]:
        figures = {"short": 0, "hash_differs": 0, "unreadable_checkpoints": 0, "most_frames_lost": 25}
        signals = {name: {"wrong": 0, "hash_differs": 0} for name in kill.SIGNALS}
        signals["SIGINT"] |= changes
        return {**figures, "interval": 25, **signals}

    assert kill.failures(found()) == 0
    assert kill.failures(found(wrong=1)) == kill.failures(found(hash_differs=1)) == 1
    assert kill.failures(found() | {"most_frames_lost": 26}) == 1


def soak_of(folder: Path, ended: dict[str, Any] | None) -> Path:
    figures = {"cpu_seconds": 1.0, "rss_kib": 1000, "descriptors": 7, "files": 20, "stray_files": ""}
    steps = [0, 250, 500, *(2_000 + 500 * (n // 4) for n in range(12))]
    rows = [{"seconds": 10.0 * n, "steps": step, **figures} for n, step in enumerate(steps)]
    raw_rows.write(folder / "soak.csv", soak.COLUMNS, rows)
    record = {"command": "the soak's own", "run": {"env": "A"}, "evaluations": 4, "ended": ended}
    (folder / "soak.json").write_text(json.dumps(record))
    return folder / "soak.csv"


def test_a_soak_that_is_judged_again_keeps_what_its_table_does_not_have(tmp_path: Path) -> None:
    ended = {"exit_code": soak.STOPPED, "seconds_to_end": 1.0, "left": []}
    table = soak_of(tmp_path, ended)
    for _ in range(2):
        assert soak.main(["--judge-only", "--out", str(table)]) == 0
        found = json.loads((tmp_path / "soak.json").read_text())
        kept = {"command": "the soak's own", "run": {"env": "A"}, "evaluations": 4, "ended": ended}
        assert found | kept | {"checkpoints": 5, "passed": True} == found


def test_a_soak_whose_end_is_not_known_does_not_pass(tmp_path: Path) -> None:
    assert soak.main(["--judge-only", "--out", str(soak_of(tmp_path, None))]) == 1
    with pytest.raises(Refused, match="--judge-only: needs"):
        soak.main(["--judge-only", "--out", str(tmp_path / "none.csv")])


def test_a_fuzz_that_goes_on_keeps_the_command_of_its_figures(tmp_path: Path) -> None:
    assert fuzz.continued({}, "b") == "b"
    assert fuzz.continued({"command": "a"}, "b") == "a; then b"
    result = tmp_path / "fuzz.json"
    counts = {"by_file": {}, "fault_descriptions": {}, "longest_cpu_seconds": 0.0, "most_memory_mib": 0.0}
    result.write_text(json.dumps(counts | {"attempts": 20}))
    with pytest.raises(Refused, match="has 20 already"):
        fuzz.main(["--add", "--attempts", "10", "--out", str(result)])


def test_what_is_no_revision_is_refused_before_anything_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unchanged, "fingerprints", lambda *given: pytest.fail("it trains"))
    with pytest.raises(Refused, match="neither a file nor a revision"):
        unchanged.main(["--before", "no-such-revision"])

"""The benchmark of actors: a row is there once, and only runs that are alike are compared."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import joule
from benchmarks import raw_rows
from benchmarks.speed import actors
from benchmarks.training import RESULTS
from joule_errors import Refused


def row(number: int, speed: float, **changes: Any) -> dict[str, Any]:
    found = dict.fromkeys(actors.COLUMNS, 0) | {"env": "A", "seed": 1, "actors": number, "frames": 3_000}
    return found | {"frames_per_second": speed, "cores": 2, "version": "a"} | changes


def test_a_command_that_is_repeated_replaces_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actors, "measured", lambda env, seed, number, *given: row(number, 20.0, seed=seed))
    out = tmp_path / "actors.csv"
    for seed in ("1", "1", "2"):
        assert actors.main(["--envs", "A", "--actors", "0", "2", "--seed", seed, "--out", str(out)]) == 0
    assert [(r["seed"], r["actors"]) for r in raw_rows.read(out)] == [
        ("1", "0"),
        ("1", "2"),
        ("2", "0"),
        ("2", "2"),
    ]


@pytest.mark.parametrize("other", [{"seed": 2}, {"frames": 9}, {"cores": 4}, {"version": "b"}], ids=str)
def test_speed_is_relative_to_a_run_that_is_alike(other: dict[str, Any]) -> None:
    lines = actors.table([row(0, 20.0), row(0, 5.0, **other), row(2, 50.0)]).splitlines()
    assert "| A | 2 | 50 | 2.50 |" in lines[-1]
    assert "| A | 2 | 50 | - |" in actors.table([row(0, 20.0, **other), row(2, 50.0)])


def test_a_run_that_is_too_short_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joule, "train", lambda **given: SimpleNamespace())
    with pytest.raises(Refused, match="--steps: the second half of 10 frames"):
        actors.measured("A", 1, 0, 10, tmp_path)


def test_a_summary_needs_rows_and_the_committed_ones_have_the_columns(tmp_path: Path) -> None:
    assert tuple(raw_rows.read(RESULTS / "actors.csv")[0]) == actors.COLUMNS
    with pytest.raises(Refused, match="has no rows"):
        actors.main(["--summary", "--out", str(tmp_path / "none.csv")])

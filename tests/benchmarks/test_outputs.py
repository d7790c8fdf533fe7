"""What a run of one's own shows is written beside it, and not into the published tables."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest

from benchmarks import raw_rows
from benchmarks.comprehension import (
    adaptation,
    collapse,
    constraints,
    intuition,
    outputs,
    readouts,
    sensors,
    tasks,
)
from benchmarks.training import RESULTS
from joule_errors import Refused


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    outputs.add_options(parser)
    return parser.parse_args(words)


def test_a_table_is_published_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "OWN", tmp_path / "own")
    assert outputs.table(parsed(), "tasks.csv") == tmp_path / "own" / "tasks.csv"
    assert (tmp_path / "own").is_dir()
    assert outputs.table(parsed("--published"), "tasks.csv") == RESULTS / "tasks.csv"
    named = tmp_path / "new" / "table.csv"
    assert outputs.table(parsed("--published", "--out", str(named)), "tasks.csv") == named
    with pytest.raises(Refused, match=r"own is a folder; name a file, such as .*own/tasks\.csv"):
        outputs.table(parsed("--out", str(tmp_path / "own")), "tasks.csv")
    assert named.parent.is_dir()


def test_a_figure_is_beside_its_table_and_that_of_the_published_one_in_the_docs(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    outputs.add_picture(parser)
    unsaid, docs = parser.parse_args([]), Path("docs/pictures/tasks.png")
    assert outputs.picture(unsaid, tmp_path / "tasks.csv", docs) == tmp_path / "tasks.png"
    assert outputs.picture(unsaid, RESULTS / "tasks.csv", docs) == docs
    assert outputs.picture(parser.parse_args(["--picture", "a.png"]), RESULTS / "tasks.csv", docs) == Path(
        "a.png"
    )


@pytest.mark.parametrize("failed", [True, False])
def test_a_collapse_run_that_failed_is_the_exit_code_and_nothing_is_published(
    failed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = dict.fromkeys(collapse.COLUMNS, "1") | {"env": "A", "regularizer": "simnorm"}
    monkeypatch.setattr(outputs, "OWN", tmp_path)
    monkeypatch.setattr(collapse, "row_of", lambda run, options: row)
    monkeypatch.setattr(collapse.training, "train", lambda runs, workers: runs if failed else [])
    monkeypatch.setattr(
        sys, "argv", ["collapse.py", "--envs", "A", "--regularizers", "simnorm", "--seeds", "1"]
    )
    assert collapse.main() == int(failed)
    assert len(raw_rows.read(tmp_path / "collapse.csv")) == int(not failed)


@pytest.mark.parametrize("benchmark", [adaptation, constraints, intuition, sensors, tasks])
def test_no_benchmark_publishes_by_default(benchmark: object) -> None:
    options = benchmark.parser()._option_string_actions  # type: ignore[attr-defined]
    assert options["--out"].default is None
    assert options["--published"].default is False


def test_legibility_of_a_run_is_written_beside_it(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "OWN", tmp_path / "own")
    assert readouts.main([str(trained_run), "--episodes", "4"]) == 0
    assert (tmp_path / "own" / "readouts.json").is_file()

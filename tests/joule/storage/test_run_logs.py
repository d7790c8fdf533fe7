"""The logs of a run keep every digit, continue after a kill, and switch off on a full disk."""

from __future__ import annotations

import builtins
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from run_files import TABLES, evaluation, make_run, table
from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
    EventAccumulator,
)

from joule.report.evaluations import read_evaluations
from joule.storage import log_files
from joule.storage.errors import RunError
from joule.storage.log_files import EVALUATION_COLUMNS
from joule.storage.run_folder import Run
from joule_errors import Advice


def test_a_new_metric_adds_a_column_and_every_digit_is_kept(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    run.log({"loss": 1 / 3}, 10)
    run.log({"loss": float("nan"), "late, name": 1e-300}, 20)
    run.log({"other": 5}, 30)
    assert table(run.folder / "metrics.csv") == [
        {"frames": "10", "loss": repr(1 / 3), "late, name": "", "other": ""},
        {"frames": "20", "loss": "nan", "late, name": "1e-300", "other": ""},
        {"frames": "30", "loss": "", "late, name": "", "other": "5"},
    ]
    run.evaluated(evaluation(30))
    assert list(table(run.folder / "evaluations.csv")[0]) == list(EVALUATION_COLUMNS)
    run.evaluated({**evaluation(40), "success_rate": 0.5})
    assert [row["success_rate"] for row in table(run.folder / "evaluations.csv")] == ["", "0.5"]
    assert read_evaluations(run.folder / "evaluations.csv").frames.tolist() == [30, 40]
    with pytest.raises(RunError, match="frames"):
        run.evaluated({name: 0 for name in EVALUATION_COLUMNS if name != "frames"})


def write_logs(run: Run, first: int, last: int) -> None:
    for frames in range(first, last, 10):
        values = {"loss": frames / 7, **({"late": 1.0} if frames >= 50 else {})}
        run.log(values, frames)
        run.log_to_board(values, frames)
        run.episode_ended(frames, frames / 3, 5, {})
        if frames % 20 == 0:
            run.evaluated(evaluation(frames))
            run.forecasts([{"frames": frames, "seed": 1, "decision": k, "cost": k / 3} for k in range(3)])


def test_a_killed_and_resumed_run_has_the_logs_of_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = make_run(tmp_path / "whole")
    write_logs(whole, 10, 100)
    killed = make_run(tmp_path / "killed")
    write_logs(killed, 10, 80)
    killed.close()
    for name in (*TABLES, "episodes.csv"):
        with (killed.folder / name).open("a") as file:
            file.write("80,0.3")  # the kill cut a write off
    with Run.open(killed.folder) as resumed, resumed.lock():
        resumed.truncate_logs(40)
        write_logs(resumed, 50, 100)
        assert resumed.counters == {"log_failures": 0, "log_rows_lost": 0}
    assert killed.episodes() == [(frames, frames / 3, 5) for frames in range(10, 100, 10)]
    for name in (*TABLES, "episodes.csv"):
        assert (killed.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    board = EventAccumulator(str(killed.folder / "tensorboard"))
    board.Reload()
    assert [event.step for event in board.Scalars("loss")] == list(range(10, 100, 10))


def test_episodes_whose_means_would_be_no_numbers_are_left_out(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    run.episode_ended(10, -3.5, 7, {})
    with (run.folder / "episodes.csv").open("a") as file:
        file.write(f"20,1.0,{10**400}\n30,1.7e308,5\n40,nan,5\n50,x,5\n60,2.0,5\n")
    assert run.episodes() == [(10, -3.5, 7), (60, 2.0, 5)]


def test_unreadable_rows_are_dropped_and_counted(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    write_logs(run, 10, 50)
    path = run.folder / "metrics.csv"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"\0\0\xff\xfe\n", b"x,y\n", *lines[2:]]))
    run.truncate_logs(30)
    assert [row["frames"] for row in table(path)] == ["10", "20", "30"]
    assert run.counters["log_rows_lost"] == 2
    path.write_text("not,a,metrics,file\n1,2,3,4\n")
    with pytest.raises(RunError, match="columns"):
        Run.open(run.folder).truncate_logs(30)


def test_a_full_disk_switches_a_log_off_without_a_partial_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run")
    run.log({"loss": 1.0}, 10)
    before = (run.folder / "metrics.csv").read_bytes()
    write = os.write
    monkeypatch.setattr(log_files.os, "write", lambda handle, data: write(handle, data[: len(data) // 2]))
    with pytest.warns(Advice, match=r"metrics\.csv is switched off"):
        run.log({"loss": 2.0}, 20)
    monkeypatch.undo()
    run.log({"loss": 3.0}, 30)
    assert (run.folder / "metrics.csv").read_bytes() == before
    assert run.counters == {"log_failures": 1, "log_rows_lost": 2}
    run.finish({"frames": 30, "counters": {"diverged_steps": 4}})
    summary = json.loads((run.folder / "summary.json").read_text())
    assert summary == {"frames": 30, "counters": {"diverged_steps": 4, **run.counters}}


def test_tensorboard_reads_a_resumed_run_last_where_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run")
    for frames in (10, 20, 30):
        run.log_to_board({"loss": 1.0}, frames)
    run.truncate_logs(10)
    yesterday = time.time_ns() - 86_400 * 10**9
    monkeypatch.setattr(log_files.time, "time_ns", lambda: yesterday)
    run.log_to_board({"loss": 2.0}, 20)
    run.close()
    board = EventAccumulator(str(run.folder / "tensorboard"))
    board.Reload()
    assert [(event.step, event.value) for event in board.Scalars("loss")] == [(10, 1.0), (20, 2.0)]


def test_without_tensorboard_the_table_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("tensorboard"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *rest, **more)

    run = make_run(tmp_path / "run")
    monkeypatch.setattr(builtins, "__import__", missing)
    run.log({"loss": 1.0}, 10)
    with pytest.warns(Advice, match="tensorboard is switched off"):
        run.log_to_board({"loss": 1.0}, 10)
    assert len(table(run.folder / "metrics.csv")) == 1

"""How far a sweep is: what is read from the storage, the time that is left, and the lines that show it."""

from __future__ import annotations

from pathlib import Path

import pytest
from result_files import write_evaluations

from joule.sweeping import progress
from joule.sweeping.display import counts, event, summary
from joule.sweeping.job import Outcome
from joule.sweeping.plan import Plan
from joule.sweeping.progress import Standings
from joule.sweeping.results import collect, finished
from joule.sweeping.trials import StoredTrial, grid_trials, make_storage


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def trials(tmp_path: Path) -> list[StoredTrial]:
    return grid_trials(
        Plan(("zero",), ("A-v0",), (1, 2, 3), settings={"steps": 100}), make_storage(tmp_path)
    )[0]


def test_the_time_left_is_that_of_the_trials_that_run_and_wait(
    trials: list[StoredTrial], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, standings = Clock(), Standings()
    monkeypatch.setattr(progress, "time", clock)
    for trial in trials:
        standings.add(trial).begin()
    assert summary(standings) == "  0 %  0 done, 3 waiting"
    first = standings.add(trials[0])
    trials[0].log.write_text("--- begun\n")
    for seconds, evaluations in ((0.0, 2), (10.0, 4)):  # 2 frames a second
        clock.now = seconds
        write_evaluations(trials[0].folder / "evaluations.csv", [1.0] * evaluations)
        first.look()
    assert (first.state, first.frames, first.score, first.rate) == ("running", 40, 1.0, 2.0)
    assert first.seconds_left == 30.0
    assert standings.seconds_left == (60 + 200) / 2
    assert summary(standings) == " 13 %  0 done, 1 running, 2 waiting, 2:10 left"
    first.end(Outcome(0))
    standings.add(trials[1]).end(Outcome(2, "bad\x1b[2J input"))
    assert counts(standings) == "1 done, 1 failed, 1 waiting"
    assert event(first) == "done: zero A-v0 seed 1, return 1.0 at 100 frames"
    assert standings.share == 0.5, "of those that can still be trained"


def test_results_are_copied_without_a_line_that_is_being_written_and_never_shortened(tmp_path: Path) -> None:
    source, result = (
        tmp_path / "run" / "evaluations.csv",
        tmp_path / "results" / "suite" / "zero" / "A-v0" / "seed1.csv",
    )
    collect(source.parent, result, {})
    assert not result.exists()
    whole = write_evaluations(source, [1.0, 2.0]).read_text()
    source.write_text(whole + "joule,Hopper-v5,1,30")
    collect(source.parent, result, {})
    assert result.read_text() == whole
    write_evaluations(source, [9.0])  # a run that starts again
    collect(source.parent, result, {})
    assert result.read_text() == whole


def test_a_run_is_finished_with_its_frames_its_summary_and_its_curve(tmp_path: Path) -> None:
    assert not finished(tmp_path, 100)
    (tmp_path / "summary.json").write_text('{"frames": 100}')
    assert finished(tmp_path, 100), "without rewards there is neither an evaluation nor a curve"
    (tmp_path / "evaluations.csv").write_text("")
    assert not finished(tmp_path, 100), "it was killed before its curve"
    (tmp_path / "curve.png").write_bytes(b"")
    assert finished(tmp_path, 100)
    assert not finished(tmp_path, 101)
    (tmp_path / "summary.json").write_text('{"frames": "many"}')
    assert not finished(tmp_path, 100)

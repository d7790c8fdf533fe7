"""A run in its folder: ended in any way and taken up again, it is the run that was never interrupted."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_env

import joule
from agent.errors import ConfigError
from joule.commands import train
from joule.report.progress import Progress
from joule.storage import checkpoint, saving
from joule.storage.run_folder import Run
from joule.training import trainer as trainers

BRIEF: dict[str, Any] = {
    "steps": 90,
    "eval_every_frames": 40,
    "eval_episodes": 2,
    "checkpoint_every_frames": 30,
    "learner__batch": 16,
    "learner__warmup": 35,
    "learner__pretrain": 8,
}
"""A run through all phases in 90 frames: episodes end at 25, 50, 75; a checkpoint at 30, 60 and the end."""

TIMES = {"cpu_seconds", "wall_seconds"}


class Killed(BaseException):
    """The process is dead."""


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [{n: v for n, v in row.items() if n not in TIMES} for row in csv.DictReader(file)]


def assert_same_run(one: Path, other: Path) -> None:
    """Same weights, replay, counters and logs."""
    for name in ("evaluations.csv", "forecasts.csv", "metrics.csv"):
        assert rows(one / name) == rows(other / name)
    (arrays, meta), (others, other_meta) = joule.load(one).state_dict(), joule.load(other).state_dict()
    assert [n for n in arrays if not np.array_equal(arrays[n], others[n], equal_nan=True)] == []
    assert meta == other_meta
    newest = max((p.name for p in (one / "checkpoints").iterdir()), key=lambda name: int(name.split("-")[1]))
    assert (other / "checkpoints" / newest).is_dir()


@pytest.fixture
def at_frame(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None, Callable[[], Any]], None]:
    """`at_frame(k, f)`: f is called after the decision that reaches frame k, before anything is logged."""
    on_step = trainers.Trainer.on_step

    def arrange(frame: int | None, happens: Callable[[], Any]) -> None:

        def observed(self: trainers.Trainer, agent: Any) -> bool:
            if agent.frames == frame:
                happens()
            return on_step(self, agent)

        monkeypatch.setattr(trainers.Trainer, "on_step", observed)

    return arrange


@pytest.fixture(scope="module")
def whole(options: Callable[..., list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("joule.report.curves.learning_curve", lambda *_, **__: None)
        assert train.main([*options(**BRIEF), "--out", str(folder)]) == 0
    return folder


@pytest.fixture(autouse=True)
def _no_pictures(unchecked: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joule.report.curves.learning_curve", lambda *_, **__: None)


def die() -> None:
    raise Killed


@pytest.mark.parametrize("frame", [5, 47])  # before any checkpoint; between two, in mid-episode
def test_a_killed_run_taken_up_again_is_the_run_that_was_not_killed(
    whole: Path, frame: int, options: Any, at_frame: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    at_frame(frame, die)
    with pytest.raises(Killed):
        train.main([*options(**BRIEF), "--out", str(folder)])
    at_frame(None, die)
    assert train.main(["--resume", str(folder)]) == 0
    assert_same_run(whole, folder)


@pytest.mark.parametrize(
    ("number", "code", "frame"),
    [(signal.SIGINT, 130, 35), (signal.SIGTERM, 143, 50), (signal.SIGINT, 130, 80)],
)
def test_a_signal_leaves_a_checkpoint_from_which_the_run_goes_on(
    whole: Path, number: int, code: int, frame: int, options: Any, at_frame: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    before = signal.getsignal(number)
    at_frame(frame, lambda: os.kill(os.getpid(), number))
    assert train.main([*options(**BRIEF), "--out", str(folder)]) == code
    assert signal.getsignal(number) is before
    assert not (folder / "summary.json").exists()
    saved = [int(p.name.split("-")[1]) for p in (folder / "checkpoints").iterdir()]
    assert max(saved) in (frame, frame + 1)
    at_frame(None, die)
    assert train.main(["--resume", str(folder)]) == 0
    assert_same_run(whole, folder)


def test_a_finished_run_is_left_alone_by_a_resume_and_goes_on_with_a_larger_budget(
    whole: Path, options: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != "run.lock"}
    assert train.main(["--resume", str(folder)]) == 0
    assert {p: p.read_bytes() for p in before} == before
    assert train.main(["--resume", str(folder), "--steps", "100"]) == 0
    assert (joule.load(folder).frames, len(rows(folder / "evaluations.csv"))) == (100, 4)
    longer = tmp_path / "longer"
    assert train.main([*options(**{**BRIEF, "steps": 100}), "--out", str(longer)]) == 0
    arrays, others = joule.load(folder).state_dict()[0], joule.load(longer).state_dict()[0]
    assert [n for n in arrays if not np.array_equal(arrays[n], others[n], equal_nan=True)] == []


def test_a_larger_budget_is_remembered_when_the_run_is_interrupted_again(
    whole: Path, at_frame: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    at_frame(94, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert train.main(["--resume", str(folder), "--steps", "98"]) == 130
    at_frame(None, die)
    assert train.main(["--resume", str(folder)]) == 0  # as the door said to go on
    assert joule.load(folder).frames == 98


def test_a_changed_setting_is_refused_with_its_difference_and_leaves_the_run_alone(
    whole: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    with pytest.raises(ConfigError, match=r"planner.horizon-decisions 3 -> 5.*--override"):
        train.main(["--resume", str(folder), "--planner.horizon-decisions", "5", "--steps", "120"])
    with pytest.raises(ConfigError, match="steps: 50 is less than the run's own 90"):
        train.main(["--resume", str(folder), "--steps", "50"])
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
    changed = ["--resume", str(folder), "--planner.horizon-decisions", "2", "--steps", "95", "--override"]
    assert train.main(changed) == 0
    changed_agent = joule.load(folder)
    assert (changed_agent.frames, changed_agent.config.planner.horizon) == (95, 2)


def test_a_run_evaluates_logs_and_saves_when_it_is_due(whole: Path) -> None:
    evaluated = rows(whole / "evaluations.csv")
    assert [row["frames"] for row in evaluated] == ["40", "80", "90"]
    assert {row["episodes"] for row in evaluated} == {"2"}
    measured = rows(whole / "metrics.csv")
    assert [int(row["frames"]) for row in measured] == list(range(4, 91, 4))
    assert {"surprise", "episode/return", "loss/prediction", "latent/rank"} <= measured[-1].keys()
    assert float(measured[-1]["surprise"]) > 0
    assert sorted(p.name for p in (whole / "checkpoints").iterdir()) == ["step-60", "step-90"]


def test_the_time_of_evaluations_is_not_counted_as_training(make_joule: Any, tmp_path: Path) -> None:
    agent = make_joule(steps=10, eval_every_frames=1, explore__warmup_decisions=100)
    run = Run.create(tmp_path / "run", agent.config, ["train.py"], {})

    def slow(_: Any) -> Any:
        end = time.process_time() + 0.05
        while time.process_time() < end:
            pass
        return Scored()

    with run.lock():
        one = trainers.Trainer(agent, run, slow, Silent())
        one.train()
        assert 0 < agent.clock.seconds()["cpu"] < 10 * 0.05
        assert agent.clock.seconds()["wall"] < 10 * 0.05 + 2


class Scored:
    returns = np.array([1.0, 3.0])
    forecast_log = None


class Silent(Progress):
    def __init__(self) -> None:
        pass

    def progress(self, frames: int, metrics: Mapping[str, float]) -> None:
        pass

    def evaluated(self, row: Mapping[str, Any]) -> None:
        assert (row["return_mean"], row["return_std"], row["episodes"]) == (2.0, 1.0, 2)

    def saved(self, frames: int) -> None:
        pass

    def note(self, sentence: str) -> None:
        pass


def test_a_preset_does_not_stand_in_the_way_of_another_planner(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "run"
    brief = [
        "--steps",
        "30",
        "--eval-episodes",
        "1",
        "--no-video",
        "--env",
        tiny_env.ID,
        "--out",
        str(folder),
    ]
    assert train.main(["--preset", "smoke", "--planner.kind", "random_shooting", *brief]) == 0
    assert caplog.messages == [
        "planner random_shooting has no iterations: what was set for another is dropped"
    ]
    planner = joule.load(folder).config.planner
    assert (planner.kind, planner.iterations, planner.samples) == ("random_shooting", None, 64)


@pytest.mark.parametrize("forged", [{"random": {"has_uint32": 2**64}}, {"rows": 10**30}, {"metrics": 3}])
def test_a_checkpoint_with_a_forged_state_is_refused(whole: Path, forged: dict[str, Any]) -> None:
    learner, run = joule.load(whole), Run.open(whole)
    found = saving.newest_checkpoint(learner, run)
    assert found is not None
    saved, log = found
    saving.restore_checkpoint(learner, saved, log)
    meta = saved.meta["agent"]
    for name, value in forged.items():
        meta[name] = {**meta[name], **value} if isinstance(value, dict) else value
    with pytest.raises(checkpoint.CheckpointError, match="does not hold the state of this agent"):
        saving.restore_checkpoint(learner, saved, log)

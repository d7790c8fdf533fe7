"""A run that was interrupted in any way and resumed is the run that was never interrupted, bit for bit."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_comparison import (
    assert_same_run,
    assert_same_state,
    board_scalars,
    checkpoint_frames,
    rows_without_seconds,
)

import joule
from agent.errors import ConfigError
from joule.commands import train
from joule.storage.errors import CheckpointError, RunError
from joule.storage.run_folder import Run
from joule.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("unchecked")

Options = Callable[..., list[str]]
AtFrame = Callable[[int | None, Callable[[], Any]], None]


class Killed(BaseException):
    """Stands for the end of the process."""


def die() -> None:
    raise Killed


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """A copy of the whole run."""
    return Path(shutil.copytree(whole, tmp_path / "run"))


def files(folder: Path) -> dict[Path, bytes]:
    """The content of every file of a run but its lock."""
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != "run.lock"}


# In mid-episode between two checkpoints, and before any.
@pytest.mark.parametrize("frame", [47, pytest.param(5, marks=pytest.mark.slow)])
def test_a_killed_run_is_resumed_exactly(
    whole: Path, frame: int, brief_options: Options, at_frame: AtFrame, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    at_frame(frame, die)
    with pytest.raises(Killed):
        train.main([*brief_options(), "--out", str(folder)])
    at_frame(None, die)
    assert train.main(["--resume", str(folder)]) == 0
    assert_same_run(whole, folder)
    assert "rollout/ep_rew_mean" in board_scalars(whole)
    assert board_scalars(whole) == board_scalars(folder)


def test_where_frames_are_slow_a_checkpoint_is_written_before_its_frame(
    whole: Path, brief_options: Options, at_frame: AtFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    at_frame(20, die)
    monkeypatch.setattr("joule.training.trainer.UNSAVED_SECONDS", 0.0)
    with pytest.raises(Killed):
        train.main([*brief_options(), "--out", str(folder)])
    assert checkpoint_frames(folder)[-1] == 19
    monkeypatch.undo()
    assert train.main(["--resume", str(folder)]) == 0
    assert_same_run(whole, folder)


@pytest.mark.parametrize(
    ("number", "code", "frame"),
    [
        (signal.SIGTERM, 143, 50),
        pytest.param(signal.SIGINT, 130, 35, marks=pytest.mark.slow),
        pytest.param(signal.SIGUSR1, 128 + signal.SIGUSR1, 80, marks=pytest.mark.slow),
    ],
)
def test_a_signal_leaves_a_checkpoint_from_which_a_resume_is_exact(
    whole: Path,
    number: int,
    code: int,
    frame: int,
    brief_options: Options,
    at_frame: AtFrame,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "run"
    before = signal.getsignal(number)
    at_frame(frame, lambda: os.kill(os.getpid(), number))
    assert train.main([*brief_options(), "--out", str(folder)]) == code
    assert signal.getsignal(number) is before
    assert not (folder / "summary.json").exists()
    assert checkpoint_frames(folder)[-1] in (frame, frame + 1)
    at_frame(None, die)
    assert train.main(["--resume", str(folder)]) == 0
    assert_same_run(whole, folder)


def test_no_other_process_trains_in_the_folder_of_a_run(
    brief_options: Options, at_frame: AtFrame, tmp_path: Path
) -> None:
    folder = tmp_path / "run"

    def try_to_train() -> None:
        with pytest.raises(RunError, match=f"in use by process {os.getpid()}"):
            Run.open(folder).lock()
        die()

    at_frame(5, try_to_train)
    for given in ([*brief_options(), "--out", str(folder)], ["--resume", str(folder)]):
        with pytest.raises(Killed):
            train.main(given)


def test_what_was_counted_and_scored_is_known_after_a_resume(training: Callable[..., Trainer]) -> None:
    trainer = training()
    trainer.run.count("collapse_alarms", 2)
    trainer.evaluations.last_scores = {"return_mean": 1.5, "return_std": 0.5}
    trainer.agent.learn(5)
    trainer.save()
    trainer.run.close()
    again = training(trainer.run.folder)
    assert again.resume() == []
    assert again.run.counters["collapse_alarms"] == 2
    assert again.evaluations.last_scores == trainer.evaluations.last_scores


@pytest.mark.slow
def test_a_signal_leaves_due_work_to_the_resume(training: Callable[..., Trainer], tmp_path: Path) -> None:
    whole = training()
    assert whole.train() is None
    folder = whole.run.folder.rename(tmp_path / "whole")
    trainer = training()
    # In the updates at the end of warm-up, in an ordinary decision, and in the last evaluation.
    for name, frame in (("update_once", 20), ("collect", 33), ("predict", 90)):
        agent: Any = trainer.agent
        owner = agent if name == "predict" else agent.interaction
        real = getattr(owner, name)

        def interrupted(
            *arguments: Any, real: Any = real, frame: int = frame, agent: Any = agent, **named: Any
        ) -> Any:
            if agent.frames == frame:
                os.kill(os.getpid(), signal.SIGTERM)
            return real(*arguments, **named)

        setattr(owner, name, interrupted)
        assert trainer.train() == signal.SIGTERM
        trainer.run.close()
        trainer = training(trainer.run.folder)
        assert trainer.resume() == []
        assert trainer.unfinished
    assert trainer.train() is None
    assert_same_state(trainer.agent, whole.agent)
    assert (folder / "metrics.csv").read_text() == (trainer.run.folder / "metrics.csv").read_text()
    assert len(rows_without_seconds(trainer.run.folder / "evaluations.csv")) == 1


@pytest.mark.slow
def test_a_finished_run_is_left_alone_and_continues_with_a_larger_budget(
    copy: Path, brief_options: Options, tmp_path: Path
) -> None:
    before = files(copy)
    assert train.main(["--resume", str(copy)]) == 0
    assert files(copy) == before
    assert train.main(["--resume", str(copy), "--steps", "100"]) == 0
    assert (joule.load(copy).frames, len(rows_without_seconds(copy / "evaluations.csv"))) == (100, 4)
    longer = tmp_path / "longer"
    assert train.main([*brief_options(steps=100), "--out", str(longer)]) == 0
    arrays, others = joule.load(copy).state_dict()[0], joule.load(longer).state_dict()[0]
    assert [n for n in arrays if not np.array_equal(arrays[n], others[n], equal_nan=True)] == []


def test_a_larger_budget_is_kept_when_the_run_is_interrupted_again(copy: Path, at_frame: AtFrame) -> None:
    at_frame(94, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert train.main(["--resume", str(copy), "--steps", "98"]) == 130
    at_frame(None, die)
    assert train.main(["--resume", str(copy)]) == 0
    assert joule.load(copy).frames == 98


def test_an_interrupted_run_with_a_smaller_budget_ends_as_one_that_had_it(
    brief_options: Options, at_frame: AtFrame, tmp_path: Path
) -> None:
    folder, shorter = tmp_path / "run", tmp_path / "shorter"
    at_frame(47, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert train.main([*brief_options(), "--out", str(folder)]) == 143
    at_frame(None, die)
    done = checkpoint_frames(folder)[-1]
    before = files(folder)
    with pytest.raises(ConfigError, match=f"steps: this run has {done} frames already"):
        train.main(["--resume", str(folder), "--steps", str(done)])
    assert files(folder) == before
    assert train.main(["--resume", str(folder), "--steps", "64"]) == 0
    assert train.main([*brief_options(steps=64), "--out", str(shorter)]) == 0
    assert_same_state(joule.load(folder), joule.load(shorter))
    assert rows_without_seconds(folder / "evaluations.csv") == rows_without_seconds(
        shorter / "evaluations.csv"
    )
    assert Run.open(folder).config == Run.open(shorter).config


def test_a_changed_setting_is_refused_with_its_difference(copy: Path) -> None:
    before = files(copy)
    change = ["--resume", str(copy), "--planner.horizon-decisions"]
    with pytest.raises(ConfigError, match=r"planner.horizon_decisions 3 -> 5.*--override"):
        train.main([*change, "5", "--steps", "120"])
    with pytest.raises(ConfigError, match="steps: this run has 90 frames already; give more"):
        train.main(["--resume", str(copy), "--steps", "50"])
    assert files(copy) == before
    assert train.main([*change, "2", "--steps", "95", "--override"]) == 0
    changed = joule.load(copy)
    assert (changed.frames, changed.config.planner.horizon_decisions) == (95, 2)


@pytest.mark.parametrize("stopped", [False, True])
def test_a_run_whose_checkpoints_are_gone_is_not_begun_anew(copy: Path, stopped: bool) -> None:
    shutil.rmtree(copy / "checkpoints")
    if stopped:
        (copy / "summary.json").unlink()
    before = files(copy)
    with pytest.raises(CheckpointError, match="its checkpoints are gone; train another run"):
        train.main(["--resume", str(copy)])
    assert files(copy) == before


def test_a_signal_after_the_last_thing_due_is_followed_by_a_checkpoint(
    training: Callable[..., Trainer],
) -> None:
    trainer = training()
    do_what_is_due = trainer._do_what_is_due

    def then_signal(agent: Any) -> bool:
        found = do_what_is_due(agent)
        if agent.frames == 25:
            trainer.stop(signal.SIGTERM)
        return found

    trainer._do_what_is_due = then_signal  # type: ignore[method-assign]
    assert trainer.train() == signal.SIGTERM
    assert (trainer.agent.frames, trainer.saved_at) == (25, 25)

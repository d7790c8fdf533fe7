"""The end of a run: what a kill or a signal left out is made by the next resume, and no part of a file stays."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_env

from joule.callbacks.tensorboard_tracker import TensorBoardTracker
from joule.cli import signals
from joule.commands import train
from joule.training import conclusion
from joule.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("unchecked")


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`outputs(curve=…, film=…)`: each is a file that is written at once, or an exception that is raised."""

    def arrange(**outcomes: BaseException | None) -> None:
        def written(name: str) -> Callable[..., None]:
            def write(*given: Any, **named: Any) -> None:
                path = next(value for value in given if isinstance(value, Path))
                if (error := outcomes.get(name)) is not None:
                    raise error
                path.parent.mkdir(exist_ok=True)
                path.write_text(name)

            return write

        monkeypatch.setattr(conclusion.curves, "learning_curve", written("curve"))
        monkeypatch.setattr(conclusion, "record", written("film"))
        monkeypatch.setattr(TensorBoardTracker, "on_video", lambda *_: None)  # it would read the film

    return arrange


def brief(folder: Path) -> list[str]:
    words = ["--env", "drawn_env:joule-tests/Drawn-v0", "--agent", "zero", "--steps", "30"]
    return [*words, "--eval-episodes", "1", "--out", str(folder)]


def found(folder: Path) -> set[str]:
    names = {path.name for path in (folder, folder / "videos") for path in path.glob("*")}
    return names & {"summary.json", "curve.png", "step-30.mp4", "step-60.mp4"}


@pytest.mark.parametrize("place", ["curve", "film"])
def test_what_a_kill_left_out_is_made_by_a_resume(
    place: str, outputs: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    outputs(**{place: Killed()})
    with pytest.raises(Killed):
        train.main(brief(folder))
    part = folder / "videos" / ".tmp-4000000-step-30.mp4"  # of a process that is no more
    part.parent.mkdir(exist_ok=True)
    part.touch()
    summary, evaluations = ((folder / name).read_bytes() for name in ("summary.json", "evaluations.csv"))
    outputs()
    assert train.main(["--resume", str(folder)]) == 0
    assert f"but no {'film' if place == 'film' else 'curve and no film'}" in capsys.readouterr().out
    assert found(folder) == {"summary.json", "curve.png", "step-30.mp4"}
    assert not part.exists()
    assert (folder / "summary.json").read_bytes() == summary
    assert (folder / "evaluations.csv").read_bytes() == evaluations
    assert train.main(["--resume", str(folder)]) == 0
    assert "nothing to do: this run has its 30 frames" in capsys.readouterr().out


def test_a_film_is_advised_of_an_environment_that_can_be_drawn(
    outputs: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs()
    for env, drawable in ((brief(tmp_path)[1], True), (tiny_env.RECORDED, False)):
        words = ["--env", env, *brief(tmp_path / str(drawable))[2:], "--no-video"]
        assert train.main(words) == 0
        assert ("render:   " in capsys.readouterr().out) is drawable


def test_a_signal_in_the_film_is_an_exit_code_and_says_how_to_go_on(
    outputs: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    outputs(film=signals.Ended(signal.SIGTERM))
    for arguments in (brief(folder), ["--resume", str(folder)]):
        assert train.main(arguments) == 143
        assert "all frames are trained and saved; make the rest with: " in capsys.readouterr().out
        assert found(folder) == {"summary.json", "curve.png"}


def test_the_curve_of_a_smaller_budget_is_drawn_again(outputs: Callable[..., None], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    outputs()
    assert train.main(brief(folder)) == 0
    outputs(curve=Killed())
    with pytest.raises(Killed):
        train.main(["--resume", str(folder), "--steps", "60"])
    assert found(folder) == {"summary.json", "step-30.mp4"}
    outputs()
    assert train.main(["--resume", str(folder)]) == 0
    assert found(folder) == {"summary.json", "curve.png", "step-30.mp4", "step-60.mp4"}


def test_only_a_second_interrupt_ends_a_run_without_its_checkpoint(training: Callable[..., Trainer]) -> None:
    trainer = training()
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
        trainer.stop(number)  # clusters repeat signals; `timeout` sends one to a process and to its group
    assert (trainer.stopped_by, trainer.agent.stop_requested) == (signal.SIGUSR1, True)
    trainer.stopped_at -= 1.0
    trainer.stop(signal.SIGTERM)
    with pytest.raises(signals.Ended) as ended:
        trainer.stop(signal.SIGINT)
    assert ended.value.exit_code == 130
    assert os.listdir(trainer.run.folder / "checkpoints") == [] if trainer.run.checkpoints.exists() else True

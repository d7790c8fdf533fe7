"""Evaluations in a process of their own find what those in the training process find, also after a kill."""

from __future__ import annotations

import csv
import errno
import io
import os
import signal
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import tiny_env

import joule
import planners
from agent.errors import ConfigError, StopRun
from joule.commands import train
from joule.messages import receive, send
from joule.training import background_evaluation
from joule.training.background_evaluation import BackgroundEvaluation, EvaluationStopped
from joule_errors import Advice

ENV = f"tiny_env:{tiny_env.ID}"
"""With its module: the other process must find it too."""
COSTS = ("cpu_seconds", "wall_seconds")


def options(small: dict[str, Any], folder: Path) -> list[str]:
    given = {**small, "env": ENV, "steps": 300, "eval_every_frames": 100, "eval_episodes": 5}
    given |= {"checkpoint_every_frames": 100, "learning.pretrain_updates": 20, "out": folder}
    del given["video"]
    return [f"--{name.replace('_', '-')}={value}" for name, value in given.items()] + ["--no-video"]


def tables(folder: Path) -> dict[str, list[dict[str, str]]]:
    found = {}
    for name in ("evaluations", "forecasts", "readouts", "metrics"):
        with (folder / f"{name}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        found[name] = [{key: value for key, value in row.items() if key not in COSTS} for row in rows]
    return found


@pytest.fixture(scope="module")
def plain(small: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is evaluated in its own process."""
    folder = tmp_path_factory.mktemp("plain") / "run"
    assert train.main(options(small, folder)) == 0
    return folder


@pytest.mark.slow
def test_a_process_finds_the_same(small: dict[str, Any], plain: Path, tmp_path: Path) -> None:
    assert train.main([*options(small, tmp_path / "run"), "--eval-process"]) == 0
    assert len(tables(plain)["evaluations"]) == 3
    assert tables(tmp_path / "run") == tables(plain)


@pytest.mark.slow
def test_what_was_not_recorded_is_evaluated_again(
    small: dict[str, Any], plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    real = BackgroundEvaluation.ready

    def killed(self: BackgroundEvaluation) -> bool:
        if self.agent.frames <= 200:
            return real(self)
        raise KeyboardInterrupt  # after the checkpoint of 200 frames, before the row of its evaluation

    with monkeypatch.context() as patch:
        patch.setattr(BackgroundEvaluation, "ready", killed)
        with pytest.raises(KeyboardInterrupt):
            train.main([*options(small, folder), "--eval-process"])
    assert [row["frames"] for row in tables(folder)["evaluations"]] == ["100"]
    assert train.main(["--resume", str(folder)]) == 0
    assert tables(folder) == tables(plain)


@pytest.mark.slow
def test_a_process_that_ends_stops_the_run(
    small: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = BackgroundEvaluation.begin

    def begin(self: BackgroundEvaluation) -> None:
        real(self)
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGKILL)

    monkeypatch.setattr(BackgroundEvaluation, "begin", begin)
    with pytest.raises(StopRun, match=r"process of the evaluations ended \(exit code -9\).*step-100"):
        train.main([*options(small, tmp_path / "run"), "--eval-process"])


@pytest.mark.slow
def test_what_was_learned_before_an_evaluation_failed_is_saved(
    small: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(self: BackgroundEvaluation) -> bool:
        if self.due is not None:
            assert self._process is not None
            self._process.kill()
            self.result()
        return False

    folder = tmp_path / "run"
    words = [*options(small, folder), "--checkpoint-every-frames=100000", "--eval-process"]
    with monkeypatch.context() as patch:
        patch.setattr(BackgroundEvaluation, "ready", killed)
        with pytest.raises(StopRun, match=r"process of the evaluations ended .*checkpoint is step-101"):
            train.main(words)
    assert train.main(["--resume", str(folder)]) == 0
    assert [row["frames"] for row in tables(folder)["evaluations"]] == ["101", "200", "300"]


@pytest.mark.slow
def test_an_environment_that_the_process_does_not_find_stops_the_run_early(
    small: dict[str, Any], tmp_path: Path
) -> None:
    lost: Any = type("Lost", (tiny_env.Point,), {"__module__": "a_file_that_was_loaded_by_its_path"})
    gymnasium.register("Lost-v0", entry_point=lost, max_episode_steps=25)
    given = [*options(small, tmp_path / "run"), "--eval-process", "--env", "Lost-v0"]
    with (
        pytest.warns(Advice, match="Lost-v0 is registered by the script that runs"),
        pytest.raises(StopRun, match="process of the evaluations: unknown environment id 'Lost-v0"),
    ):
        train.main(given)


@pytest.mark.slow
@pytest.mark.parametrize(
    "others", [["--eval-process"], ["--actors", "1", "--explore.warmup-decisions", "40"]]
)
def test_other_processes_have_the_kinds_that_the_program_added(
    others: list[str], small: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(planners.KINDS, "mine", "planners.cem:CEM")
    settings = {name: value for name, value in small.items() if not name.startswith("planner.")}
    words = [*options(settings, tmp_path / "run"), *others, "--steps=120", "--planner.kind", "mine"]
    assert train.main(words) == 0
    assert len(tables(tmp_path / "run")["evaluations"]) == 2


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--agent", "sac"], "eval_process: sac is"),
        (["--constraint", "velocity<2"], "an agent with constraints is"),
    ],
)
def test_who_cannot_be_evaluated_so_is_refused(given: list[str], told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=told):
        train.main(["--eval-process", *given, "--out", str(tmp_path / "run")])
    assert not (tmp_path / "run").exists()


def test_a_process_that_cannot_be_started_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(module: str) -> None:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(background_evaluation, "AnsweringProcess", refusing)
    agent: Any = None
    evaluation = BackgroundEvaluation(agent)
    with pytest.raises(EvaluationStopped, match="evaluations cannot be started: Resource temporarily"):
        evaluation.start()
    evaluation.close()


def test_a_message_arrives_as_it_was_sent() -> None:
    pipe = io.BytesIO()
    arrays = {"a": np.arange(6.0).reshape(2, 3), "empty": np.zeros((0, 4), np.float32), "one": np.array(7)}
    send(pipe, {"frames": 3, "x": [0.1, None]}, arrays)
    send(pipe, {})
    pipe.seek(0)
    message = receive(pipe)
    assert message is not None
    values, found = message
    assert values == {"frames": 3, "x": [0.1, None]}
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[name], array)
    assert receive(pipe) == ({}, {})
    assert receive(pipe) is None
    assert receive(io.BytesIO(pipe.getvalue()[:30])) is None


@pytest.mark.slow
def test_the_process_ends_in_mid_evaluation_when_who_started_it_is_gone(
    small: dict[str, Any],
) -> None:
    settings = {name: value for name, value in small.items() if name != "env"}
    agent: Any = joule.make("joule", env=ENV, settings={**settings, "max_episode_frames": 10_000_000})
    evaluation = BackgroundEvaluation(agent)
    evaluation.start()
    evaluation.begin()
    process: Any = evaluation._process
    time.sleep(0.5)
    assert process.poll() is None, "it plays an endless episode"
    process.stdin.close()
    assert process.wait(10) == 0
    process.stdout.close()
    process.forget()

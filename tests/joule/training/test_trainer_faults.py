"""What can fail in a run ends it in one sentence, or is survived, and nothing that was learned is lost."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_env
import torch

import envs
from agent.errors import StopRun
from agent.interface import DIVERGED_DECISIONS
from agent.perception.collapse import COLLAPSED_IN_A_ROW
from joule.commands import train
from joule.storage import checkpoint, failure_file
from joule.storage.files import Disk
from joule.storage.run_replay import not_finite
from joule.training.evaluation_rows import Moment, Recorded
from joule.training.trainer import Trainer

Training = Callable[..., Trainer]


def test_losses_that_stay_not_finite_end_the_run_at_the_last_good_checkpoint(training: Training) -> None:
    trainer = training(learning__max_skipped_updates=3)
    agent: Any = trainer.agent
    sample = agent.modules.replay_buffer.sample

    def poisoned(*arguments: Any, **keywords: Any) -> Any:
        windows = sample(*arguments, **keywords)
        if agent.frames > 50:
            windows.cost[:] = np.nan
        return windows

    agent.modules.replay_buffer.sample = poisoned
    with pytest.raises(
        StopRun, match=r"seed 1, frame 5\d: a loss is not finite .*critic nan.*good checkpoint is step-30"
    ):
        trainer.train()
    assert agent.frames == 30
    assert agent.metrics["learning/skipped_updates"] == 0


def test_weights_that_are_not_finite_are_never_saved(training: Training) -> None:
    trainer = training()
    agent: Any = trainer.agent
    agent.learn(25, on_step=trainer.on_step)
    trainer.save()
    with torch.no_grad():
        agent.modules.networks.readout[1].weight[0, 0] = torch.inf
    with pytest.raises(StopRun, match=r"not finite, so not saved: weights/readout\.1\.weight"):
        trainer.save()
    found = checkpoint.newest(trainer.run.checkpoints)
    assert found is not None
    assert not not_finite(found.arrays)


def test_energies_of_a_plan_may_be_infinite_in_a_checkpoint(training: Training) -> None:
    trainer = training(explore__plan_every_episodes=1)
    agent: Any = trainer.agent
    agent.learn(30, on_step=trainer.on_step)
    with torch.inference_mode():
        agent.interaction.acting[0].plan.energy.fill_(torch.inf)
    trainer.save()
    found = checkpoint.newest(trainer.run.checkpoints)
    assert found is not None
    assert "acting/0/plan/energy" in not_finite(found.arrays)


@pytest.mark.parametrize("reaction", ["warn", "stop"])
def test_a_collapse_is_reported_once_or_ends_the_run(training: Training, reaction: str) -> None:
    trainer = training(on_collapse=reaction)
    for measurements in (COLLAPSED_IN_A_ROW - 1, 0, COLLAPSED_IN_A_ROW, COLLAPSED_IN_A_ROW + 1, 0):
        trainer.agent.metrics["latent/collapsed"] = float(measurements)
        if reaction == "stop" and measurements >= COLLAPSED_IN_A_ROW:
            with pytest.raises(StopRun, match="has collapsed"):
                trainer.check_collapse()
            return
        trainer.check_collapse()
    callback: Any = trainer.callback
    assert len(callback.notes) == trainer.run.counters["collapse_alarms"] == 1


@pytest.mark.parametrize("fails", ["append", "rename"])
def test_a_disk_that_refuses_a_save_leaves_the_last_checkpoint_complete(
    training: Training, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    trainer = training()
    real, full = getattr(Disk, fails), [False]

    def call(self: Disk, *arguments: Any, **named: Any) -> None:
        if full[0]:
            raise OSError(28, "No space left on device")
        real(self, *arguments, **named)

    def on_step(agent: Any) -> bool:
        full[0] = agent.frames > 50
        return Trainer.on_step(trainer, agent)

    monkeypatch.setattr(Disk, fails, call)
    monkeypatch.setattr(trainer, "on_step", on_step)
    with pytest.raises(StopRun, match=r"No space left.*; the last good checkpoint is step-30"):
        trainer.train()


def test_a_replay_row_that_is_not_finite_is_found_although_it_is_soon_overwritten(training: Training) -> None:
    trainer = training(learning__replay_capacity_transitions=16, checkpoint_every_frames=10)
    agent: Any = trainer.agent
    (stream,) = agent.modules.replay_buffer.streams
    add = stream.add

    def broken(action: Any, reward: float, terminated: bool, obs: Any, readout: Any) -> None:
        bad = np.where(np.arange(len(readout)) == 0, np.nan, readout)
        add(action, reward, terminated, obs, bad if agent.decisions == 12 else readout)

    stream.add = broken
    with pytest.raises(StopRun, match=r"replay column readout; the last good checkpoint is step-10"):
        trainer.train()


@pytest.mark.slow
def test_an_evaluation_that_fails_loses_nothing_that_was_learned(training: Training) -> None:
    rare = {"eval_every_frames": 45, "checkpoint_every_frames": 1_000}
    trainer = training(**rare)

    def broken(policy: Any) -> Any:
        raise envs.EnvFault("a wheel came off", env="x", seed=10_002, episode=0, step=3)

    trainer.evaluations.evaluate = broken
    with pytest.raises(StopRun, match=r"frame 45: .*wheel came off; the last good checkpoint is step-45"):
        trainer.train()
    trainer.run.close()
    again = training(trainer.run.folder, **rare)
    assert again.resume() == []
    assert again.train() is None
    assert len((again.run.folder / "evaluations.csv").read_text().splitlines()) == 3


@pytest.mark.slow
def test_an_environment_that_ends_the_process_loses_nothing_that_was_learned(
    training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = training(checkpoint_every_frames=1_000)
    real, steps = tiny_env.Point.step, [0]

    def step(self: Any, action: np.ndarray) -> Any:
        steps[0] += 1
        if steps[0] == 45:
            sys.exit(0)
        return real(self, action)

    monkeypatch.setattr(tiny_env.Point, "step", step)
    with pytest.raises(
        StopRun, match=r"frame 44: .*step tried to end the process \(SystemExit: 0, at .+\); .* is step-44$"
    ):
        trainer.train()
    trainer.run.close()
    again = training(trainer.run.folder)
    assert again.resume() == []  # an episode begins: that of before is lost
    assert again.agent.frames == 44
    assert again.train() is None


def test_many_decisions_without_learning_are_told_once(training: Training) -> None:
    trainer = training()
    agent: Any = trainer.agent
    callback: Any = trainer.callback
    for decisions, diverged, told in ((99, 99, 0), (400, 4, 0), (400, 5, 1), (400, 6, 1)):
        agent.interaction.decisions, agent.metrics[DIVERGED_DECISIONS] = decisions, float(diverged)
        trainer.check_divergence()
        assert len(callback.notes) == told
    assert callback.notes[0].startswith("warning: the physics diverged in 5 of 400 decisions (1.2%)")


def test_episodes_of_an_evaluation_that_diverged_are_counted_and_told_once(training: Training) -> None:
    trainer = training()
    callback: Any = trainer.callback
    for diverged, told in ((0, 0), (2, 1), (1, 1)):
        found = Recorded(np.array([1.0, 2.0, 9.0]), np.array([1, 1, 3]), diverged, [], [])
        trainer.evaluations.record(found, Moment.now(trainer.agent))
        assert len(callback.notes) == told
    assert callback.notes[0].startswith("the physics diverged in 2 of 3 evaluation episodes")
    assert trainer.run.counters["diverged_evaluation_episodes"] == 3


def test_a_run_folder_that_was_moved_is_not_made_again(training: Training, tmp_path: Path) -> None:
    trainer = training()
    trainer.agent.learn(5, on_step=trainer.on_step)
    trainer.run.folder.rename(tmp_path / "elsewhere")
    with pytest.raises(StopRun, match="was removed or moved"):
        trainer.train()
    assert not trainer.run.folder.exists()


def test_a_failure_leaves_its_traceback_until_the_run_goes_on(
    brief_options: Callable[..., list[str]],
    unchecked: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    real, folder = tiny_env.Point.step, tmp_path / "run"
    steps = [0]

    def worn_gripper() -> None:
        raise KeyError("gripper")

    def step(self: Any, action: np.ndarray) -> Any:
        steps[0] += 1
        if steps[0] >= 100:
            worn_gripper()
        return real(self, action)

    monkeypatch.setattr(tiny_env.Point, "step", step)
    with pytest.raises(StopRun, match="KeyError: 'gripper'"):
        train.main([*brief_options(), "--out", str(folder)])
    path = folder / failure_file.FAILURE
    assert str(path) in capsys.readouterr().out
    text = path.read_text()
    assert "in worn_gripper" in text
    assert "the last good checkpoint is step-" in text.splitlines()[-1]
    monkeypatch.setattr(tiny_env.Point, "step", real)
    assert train.main(["--resume", str(folder)]) == 0
    assert not path.exists()


@pytest.mark.parametrize("made_before", [False, True])
def test_a_run_whose_first_step_fails_leaves_its_folder_free(
    made_before: bool,
    brief_options: Callable[..., list[str]],
    unchecked: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def step(self: Any, action: np.ndarray) -> Any:
        raise KeyError("gripper")

    folder = tmp_path / "run"
    if made_before:
        folder.mkdir()
    monkeypatch.setattr(tiny_env.Point, "step", step)
    with pytest.raises(StopRun, match="KeyError: 'gripper'"):
        train.main([*brief_options(), "--out", str(folder)])
    assert "nothing was trained, and the run is removed" in capsys.readouterr().out
    assert folder.exists() is made_before, "a folder of the user's stays"
    assert not list(tmp_path.rglob("*.json"))

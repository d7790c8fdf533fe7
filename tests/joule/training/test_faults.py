"""The guards around learning, environments and endings: each is tried by breaking what it guards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import envs
from agent.errors import StopRun
from agent.learning.skipped_updates import SkipBudget
from agent.perception.collapse import COLLAPSED_IN_A_ROW
from joule.environment import make_env
from joule.storage import checkpoint
from joule.storage.files import Disk
from joule.storage.saving import not_finite
from joule.storage.run_folder import Run
from joule.training.evaluation import Evaluator
from joule.training.trainer import Trainer


class Silent:
    """A watcher that remembers what it was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def progress(self, frames: int, metrics: Any) -> None: ...

    def evaluated(self, row: Any) -> None: ...

    def saved(self, frames: int) -> None: ...

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)


@pytest.fixture
def training(make_joule: Callable[..., Any], tmp_path: Path, unchecked: None) -> Callable[..., Trainer]:
    """`training(**changes)`: a trainer of a small Joule in a run folder of its own."""

    def make(folder: Path | None = None, **changes: Any) -> Trainer:
        few = {
            "steps": 90,
            "checkpoint_every_frames": 30,
            "eval_every_frames": 90,
            "eval_episodes": 1,
            "learner__warmup": 20,
            "learner__pretrain": 5,
            "learner__batch": 16,
            "learner__updates_per_step": 0.5,
        }
        joule = make_joule(**{**few, **changes})
        run = Run.open(folder) if folder else Run.create(tmp_path / "run", joule.config, ["test"], {})
        return Trainer(joule, run, Evaluator(lambda: make_env(joule.config), 1), Silent())

    return make


@given(limit=st.integers(0, 20), bad=st.lists(st.booleans(), max_size=300))
def test_a_budget_of_skips_ends_at_the_first_window_that_holds_too_many(limit: int, bad: list[bool]) -> None:
    budget = SkipBudget(limit)
    for number, skip in enumerate(bad, 1):
        exceeded = skip and sum(bad[max(0, number - 100) : number]) > limit
        if not skip:
            continue
        if exceeded:
            with pytest.raises(StopRun, match=f"at update {number}; "):
                budget.skipped(number, "x")
            return
        budget.skipped(number, "x")
    assert budget.total == sum(bad)


def test_only_what_a_resume_learns_from_must_be_finite() -> None:
    bad, good = np.array([1.0, np.nan]), np.zeros(2)
    arrays = {"weights/a": bad, "acting/plan/energy": bad, "env/state": bad, "weights/b": good}
    assert not_finite(arrays) == ["weights/a"]


def test_learning_that_stays_not_finite_rolls_back_and_stops(training: Callable[..., Trainer]) -> None:
    trainer = training(learning__max_skipped_updates=3)
    sample = trainer.agent.replay_buffer.sample  # type: ignore[attr-defined]

    def poisoned(*given: Any) -> Any:
        windows = sample(*given)
        if trainer.agent.frames > 50:
            windows.cost[:] = np.nan
        return windows

    trainer.agent.replay_buffer.sample = poisoned  # type: ignore[attr-defined]
    with pytest.raises(
        StopRun, match=r"seed 1, frame 5\d: a loss is not finite .*critic nan.*good checkpoint is step-30"
    ):
        trainer.train()
    assert trainer.agent.frames == 30
    assert trainer.agent.metrics["learner/skipped"] == 0


def test_weights_that_are_not_finite_are_never_saved(training: Callable[..., Trainer]) -> None:
    trainer = training()
    trainer.agent.learn(25, on_step=trainer.on_step)
    trainer.save()
    with torch.no_grad():
        trainer.agent.networks.readout[1].weight[0, 0] = torch.inf  # type: ignore[attr-defined]
    with pytest.raises(StopRun, match=r"not finite, so not saved: weights/readout\.1\.weight"):
        trainer.save()
    found = checkpoint.newest(trainer.run.checkpoints)
    assert found is not None
    assert not not_finite(found.arrays)


@pytest.mark.parametrize("policy", ["warn", "stop"])
def test_a_collapse_is_told_once_or_ends_the_run(training: Callable[..., Trainer], policy: str) -> None:
    trainer = training(on_collapse=policy)
    metrics = trainer.agent.metrics
    for seen in (COLLAPSED_IN_A_ROW - 1, 0, COLLAPSED_IN_A_ROW, COLLAPSED_IN_A_ROW + 1, 0):
        metrics["latent/collapsed"] = float(seen)
        if policy == "stop" and seen >= COLLAPSED_IN_A_ROW:
            with pytest.raises(StopRun, match="has collapsed"):
                trainer.watch_for_collapse()
            return
        trainer.watch_for_collapse()
    assert len(trainer.callback.notes) == trainer.run.counters["collapse_alarms"] == 1  # type: ignore[attr-defined]


def test_a_signal_puts_off_what_is_due_and_a_resume_makes_up_for_it(
    training: Callable[..., Trainer], tmp_path: Path
) -> None:
    whole = training()
    assert whole.train() is None
    expected, _ = whole.agent.state_dict()
    folder = whole.run.folder.rename(tmp_path / "whole")
    trainer = training()
    # In the learning that ends the warm-up, at an ordinary decision, and in the last evaluation.
    for name, at in (("study", 20), ("live", 33), ("predict", 90)):
        real = getattr(trainer.agent, name)

        def interrupted(
            *given: Any, real: Any = real, at: int = at, now: Trainer = trainer, **named: Any
        ) -> Any:
            if now.agent.frames == at:
                os.kill(os.getpid(), signal.SIGTERM)
            return real(*given, **named)

        setattr(trainer.agent, name, interrupted)
        assert trainer.train() == signal.SIGTERM
        trainer.run.close()
        trainer = training(trainer.run.folder)
        assert trainer.resume() == []
        assert trainer.unfinished
    assert trainer.train() is None
    arrays, _ = trainer.agent.state_dict()
    assert arrays.keys() == expected.keys()
    assert [name for name in arrays if not np.array_equal(arrays[name], expected[name])] == []
    assert (folder / "metrics.csv").read_text() == (trainer.run.folder / "metrics.csv").read_text()
    assert len((trainer.run.folder / "evaluations.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize("fails", ["append", "rename"])
def test_a_disk_that_refuses_a_save_stops_the_run_with_the_old_one_whole(
    training: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    trainer = training()
    real, full = getattr(Disk, fails), [False]

    def call(self: Disk, *given: Any, **named: Any) -> None:
        if full[0]:
            raise OSError(28, "No space left on device")
        real(self, *given, **named)

    def on_step(agent: Any) -> bool:
        full[0] = agent.frames > 50
        return Trainer.on_step(trainer, agent)

    monkeypatch.setattr(Disk, fails, call)
    monkeypatch.setattr(trainer, "on_step", on_step)
    with pytest.raises(StopRun, match=r"No space left.*; the last good checkpoint is step-30"):
        trainer.train()


def test_a_remembered_row_that_is_not_finite_is_not_saved_however_small_the_ring(
    training: Callable[..., Trainer],
) -> None:
    trainer = training(learning__replay_capacity_transitions=16, checkpoint_every_frames=10)
    add = trainer.agent.replay_buffer.add  # type: ignore[attr-defined]

    def broken(action: Any, reward: float, terminated: bool, obs: Any, readout: Any) -> None:
        add(action, reward, terminated, obs, readout * np.nan if trainer.agent.decisions == 12 else readout)

    trainer.agent.replay_buffer.add = broken  # type: ignore[attr-defined]
    with pytest.raises(StopRun, match=r"replay column readout; the last good checkpoint is step-10"):
        trainer.train()


def test_an_evaluation_that_fails_costs_nothing_that_was_learned(training: Callable[..., Trainer]) -> None:
    trainer = training(eval_every_frames=45, checkpoint_every_frames=1_000)
    evaluates = trainer.evaluate

    def broken(agent: Any) -> Any:
        raise envs.EnvFault("a wheel came off", env="x", seed=10_002, episode=0, step=3)

    trainer.evaluate = broken
    with pytest.raises(StopRun, match=r"frame 45: .*wheel came off; the last good checkpoint is step-45"):
        trainer.train()
    trainer.run.close()
    again = training(trainer.run.folder, eval_every_frames=45, checkpoint_every_frames=1_000)
    assert again.resume() == []
    again.evaluate = evaluates
    assert again.train() is None
    assert len((again.run.folder / "evaluations.csv").read_text().splitlines()) == 3


def test_a_folder_that_is_gone_is_not_made_again(training: Callable[..., Trainer], tmp_path: Path) -> None:
    trainer = training()
    trainer.agent.learn(5, on_step=trainer.on_step)
    trainer.run.folder.rename(tmp_path / "elsewhere")
    with pytest.raises(StopRun, match="was removed or moved"):
        trainer.train()
    assert not trainer.run.folder.exists()


HANGING = """
import sys, time
sys.path.insert(0, {tests!r})
import envs, numpy as np, tiny_env
body = envs.make(tiny_env.ID, step_timeout_seconds=0.4)
body.reset(seed=3)
body.step(np.zeros(1))
def step(action):
    print("in", flush=True)
    while {condition}: time.sleep(0.01)
    return real(action)
real, tiny_env.Point.step = tiny_env.Point.step.__get__(body.unwrapped), lambda self, action: step(action)
body.step(np.zeros(1))
print("out")
"""


def hanging(condition: str) -> subprocess.Popen[str]:
    program = HANGING.format(tests=str(Path(__file__).parents[3] / "tests" / "support"), condition=condition)
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", program], stdout=pipe, stderr=pipe, text=True, cwd=Path(__file__).parents[3]
    )


def test_a_step_that_hangs_ends_the_process_and_says_where() -> None:
    _, err = (process := hanging("True")).communicate(timeout=60)
    assert process.returncode == 1
    assert (
        "joule-tests/Point-v0 failed at episode 0, step 2 (seed 3, action [0.]): step did not return" in err
    )
    assert "at <string>:" in err


def test_a_process_that_was_stopped_has_not_hung() -> None:
    process = hanging("not time.sleep(0.2)" + " and False")
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(1.5)
    os.kill(process.pid, signal.SIGCONT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "out\n", "")

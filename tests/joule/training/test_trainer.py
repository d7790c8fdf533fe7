"""The trainer logs, evaluates and saves when it is due, and counts only the time of training."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_env
from quiet_callback import QuietCallback
from run_comparison import checkpoint_frames, rows_without_seconds

import joule
from joule.callbacks.callback import EvaluationResult
from joule.commands import train
from joule.storage import checkpoint
from joule.storage.agent_checkpoint import newest_checkpoint, restore_checkpoint
from joule.storage.run_folder import Run
from joule.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("unchecked")


def test_a_run_evaluates_logs_and_saves_when_it_is_due(whole: Path) -> None:
    evaluations = rows_without_seconds(whole / "evaluations.csv")
    assert [row["frames"] for row in evaluations] == ["40", "80", "90"]
    assert {row["episodes"] for row in evaluations} == {"2"}
    metrics = rows_without_seconds(whole / "metrics.csv")
    assert [int(row["frames"]) for row in metrics] == list(range(4, 91, 4))
    assert {"surprise", "episode/return", "loss/prediction", "latent/rank"} <= metrics[-1].keys()
    assert float(metrics[-1]["surprise"]) > 0
    assert checkpoint_frames(whole) == [60, 90]


class FixedScores:
    """The results of two episodes."""

    returns, lengths = np.array([1.0, 3.0]), np.array([5, 5])
    diverged, forecast_log, read_steps, success_rate = 0, None, None, None


class Rows(QuietCallback):
    """Remembers the rows of evaluations."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Any] = []

    def on_evaluation(self, evaluation: EvaluationResult) -> None:
        self.rows.append(evaluation.row)


def test_the_time_of_evaluations_does_not_count_as_training(
    make_agent: Callable[..., Any], tmp_path: Path
) -> None:
    agent = make_agent(steps=10, eval_every_frames=1, explore__warmup_decisions=100)
    run = Run.create(tmp_path / "run", agent.config, ["train.py"], {})

    def slow(_: Any) -> FixedScores:
        end = time.process_time() + 0.05
        while time.process_time() < end:
            pass
        return FixedScores()

    callback = Rows()
    with run.lock():
        Trainer(agent, run, slow, callback).train()
    assert 0 < agent.clock.seconds()["cpu"] < 10 * 0.05
    assert agent.clock.seconds()["wall"] < 10 * 0.05 + 2
    scores = {(row["return_mean"], row["return_std"], row["episodes"]) for row in callback.rows}
    assert (len(callback.rows), scores) == (10, {(2.0, 1.0, 2)})


def test_another_planner_drops_the_settings_of_a_presets_planner(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    brief = ["--steps", "30", "--eval-episodes", "1", "--no-video", "--env", tiny_env.ID]
    chosen = ["--preset", "smoke", "--planner.kind", "random_shooting"]
    assert train.main([*chosen, *brief, "--out", str(folder)]) == 0
    planner = joule.load(folder).config.planner
    assert planner.kind == "random_shooting"
    assert planner.settings["samples"] == 64
    assert "iterations" not in planner.settings


@pytest.mark.parametrize(
    "forged", [{"random": {"has_uint32": 2**64}}, {"rows": [10**30]}, {"rows": 3}, {"metrics": 3}]
)
def test_a_checkpoint_with_a_state_that_no_agent_wrote_is_refused(
    trained_run: Path, forged: dict[str, Any]
) -> None:
    agent, run = joule.load(trained_run), Run.open(trained_run)
    found = newest_checkpoint(agent, run)
    assert found is not None
    saved, logs = found
    restore_checkpoint(agent, saved, logs)
    meta = saved.meta["agent"]
    for name, value in forged.items():
        meta[name] = {**meta[name], **value} if isinstance(value, dict) else value
    with pytest.raises(checkpoint.CheckpointError, match="does not hold the state of this agent"):
        restore_checkpoint(agent, saved, logs)

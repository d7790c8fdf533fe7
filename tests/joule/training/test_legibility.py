"""Legibility of readouts on held-out episodes: in readouts.csv, and in what `joule evaluate` gives."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny_env

import envs
import joule
from joule.report.evaluation_text import summary
from joule.training.evaluation import MOST_READ, evaluate
from joule.training.evaluation_rows import recorded

pytestmark = pytest.mark.usefixtures("unchecked")


def test_a_run_writes_how_well_each_readout_is_read(trained_run: Path) -> None:
    with (trained_run / "readouts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (trained_run / "evaluations.csv").open(newline="") as file:
        evaluations = [row["frames"] for row in csv.DictReader(file)]
    assert [row["frames"] for row in rows] == [frames for frames in evaluations for _ in range(2)]
    assert [row["readout"] for row in rows[:2]] == ["position", "distance"]
    assert float(rows[-2]["r_squared"]) > 0.5


def test_a_readout_that_never_moves_has_an_empty_entry() -> None:
    agent = SimpleNamespace(legibility=lambda *steps: {"still": math.nan})
    scores = SimpleNamespace(
        returns=None, lengths=None, diverged=0, forecast_log=None, read_steps=(1, 2), success_rate=None
    )
    agent_of_any_kind: Any = agent
    given: Any = scores
    rows = recorded(agent_of_any_kind, given, 7).readouts
    assert rows == [{"frames": 7, "readout": "still", "r_squared": ""}]


@pytest.mark.slow
def test_an_evaluation_says_what_is_legible(trained_run: Path) -> None:
    record = joule.evaluate(trained_run, episodes=4, out=trained_run.parent / "evaluation.json")
    assert set(record["readouts"]) == {"position", "distance"}
    assert "readouts legible (R² at least 0.8)" in summary(record)
    few = {"returns": {"decisions": 12, "correlation": None, "slope": None, "bias": None}}
    assert "is not known: 12 decisions far enough from the time limit" in summary({**record, "forecast": few})
    told = summary({**record, "readouts": {"a": 0.9, "b": -0.5, "c": None, "d": 0.79}})
    assert "1 of 3 readouts legible (R² at least 0.8), not b below 0, d 0.79" in told


def test_steps_are_spread_over_the_episodes_and_their_readouts_are_of_the_observed_moment() -> None:
    class Still:
        """Does nothing."""

        def predict(
            self,
            observation: np.ndarray,
            state: Any = None,
            episode_start: Any = None,
            deterministic: bool = True,
        ) -> tuple[np.ndarray, Any]:
            """A force of 0."""
            return np.zeros((len(observation), 1), np.float32), None

    made = evaluate(Still(), lambda: envs.make(tiny_env.ID), 100, read=True)
    assert made.read_steps is not None
    observations, readouts = made.read_steps
    assert MOST_READ / 2 <= len(observations) == len(readouts) <= MOST_READ
    np.testing.assert_allclose(readouts[:, 0], observations[:, 0])
    assert len(np.unique(observations[:, 2])) == 100
    assert evaluate(Still(), lambda: envs.make(tiny_env.ID), 1).read_steps is None

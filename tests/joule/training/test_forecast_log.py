"""The ledger: what was foretold is settled by what came, and nothing of an evaluation changes by it."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny_env

import envs
import joule
from agent.forecast import Forecast
from joule.report import forecasts as read_back
from joule.report.results import ResultsError
from joule.training import forecast_log as forecast_log
from joule.training.evaluation import Evaluator, evaluate

DISCOUNT = 0.9


class Steady:
    """Rewards of 1 + t at step t, until step `ends` where seed 10_000 + k ends by itself if k is even, and by
    its limit if k is odd."""

    def __init__(self, ends: int) -> None:
        self.ends = ends
        self.env_spec = SimpleNamespace(env="Steady", episode_limit=ends)

    def reset(self, *, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
        self.seed, self.t = seed, 0
        return np.array([seed, 0.0]), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.t += 1
        done, by_itself = self.t == self.ends, self.seed % 2 == 0
        seen = np.array([self.seed, float(self.t)])
        return seen, float(self.t), done and by_itself, done and not by_itself, {"frames": 1}


def remaining(ends: int, t: np.ndarray) -> np.ndarray:
    """sum_{j=t}^{ends-1} DISCOUNT^(j-t) (1 + j), in closed form."""
    n, g = ends - t, DISCOUNT
    steady = (1 - g**n) / (1 - g)
    rising = g * (1 - n * g ** (n - 1) + (n - 1) * g**n) / (1 - g) ** 2
    return (1 + t) * steady + rising


class Prophet:
    """Foretells the exact return of a terminating episode, and the exact cost; counts how often."""

    def __init__(self, ends: int) -> None:
        self.ends, self.asked = ends, 0

    def predict(self, observation: np.ndarray, state: Any = None, *_: Any, **__: Any) -> tuple[Any, Any]:
        return np.zeros((len(observation), 1)), observation[:, 1]

    def forecast(self, state: Any) -> Forecast:
        self.asked += 1
        return Forecast(remaining(self.ends, state), -(1.0 + state), DISCOUNT)


@pytest.mark.parametrize(("ends", "apart"), [(40, 1), (250, 3)])
def test_what_was_foretold_stands_beside_what_came(ends: int, apart: int) -> None:
    prophet = Prophet(ends)
    kept = evaluate(prophet, lambda: Steady(ends), 4).forecast_log  # type: ignore[arg-type, return-value]
    assert kept is not None
    times = np.arange(0, ends, apart)
    assert prophet.asked == len(times) <= forecast_log.MOST_OF_AN_EPISODE
    np.testing.assert_array_equal(kept.seeds, np.repeat(10_000 + np.arange(4), len(times)))
    np.testing.assert_array_equal(kept.decisions, np.tile(times, 4))
    np.testing.assert_array_equal(kept.costs, kept.predicted_costs)
    by_itself = kept.seeds % 2 == 0
    np.testing.assert_allclose(kept.returns[by_itself], kept.predicted_returns[by_itself], rtol=1e-12)
    # A time limit hides DISCOUNT**n of the future of a decision that is n steps before it: too much below 38.
    cut, left = kept.returns[~by_itself], ends - kept.decisions[~by_itself]
    np.testing.assert_array_equal(np.isnan(cut), left < 38)
    np.testing.assert_allclose(cut[left >= 38], kept.predicted_returns[~by_itself][left >= 38], rtol=1e-12)


def test_however_many_episodes_are_played_the_ledger_is_bounded() -> None:
    for episodes, entries in ((70, 200), (70, 35), (3, 1)):
        kept = Evaluator(lambda: Steady(30), episodes, entries=entries)(Prophet(30)).forecast_log  # type: ignore[arg-type, return-value]
        assert kept is not None
        assert 0 < len(kept.decisions) <= entries
    assert forecast_log.entries_of_an_evaluation(50_000, 10_000) == forecast_log.MOST_OF_AN_EVALUATION
    assert forecast_log.entries_of_an_evaluation(10**7, 100) * (10**5 + 1) <= 2 * forecast_log.MOST_OF_A_RUN
    assert forecast_log.entries_of_an_evaluation(10**10, 1) == 1


def test_an_evaluation_is_the_same_to_the_last_bit_with_and_without_a_ledger(trained_run: Path) -> None:
    class Silent:
        def __init__(self, trained: Any) -> None:
            self.predict = trained.predict

    def make() -> Any:
        return envs.make(tiny_env.ID)

    trained = joule.load(trained_run)
    with_it, without = evaluate(trained, make, 3), evaluate(Silent(trained), make, 3)
    assert with_it.returns.tobytes() == without.returns.tobytes()
    assert with_it.surprise == without.surprise
    assert without.forecast_log is None
    assert with_it.forecast_log is not None
    # A point that has learned its line for 400 steps knows what its next step costs: over seeds the median
    # is 0.8, with a wide spread; by chance it would be within 0.25 of nothing.
    assert read_back.calibration(with_it.forecast_log.predicted_costs, with_it.forecast_log.costs).correlation > 0.4
    alone = joule.load(trained_run, settings={"planner.kind": "policy", **dict.fromkeys(UNSET)})
    assert evaluate(alone, make, 1).forecast_log is None, "mode 1 foretells nothing"


UNSET = ("planner.samples", "planner.iterations", "planner.elites", "planner.temperature")


def test_a_forecast_is_minus_the_energy_of_the_plan_and_the_cost_of_its_first_step(trained_run: Path) -> None:
    trained: Any = joule.load(trained_run, settings={"cost.action": 0.1})
    obs = np.random.default_rng(0).uniform(-1, 1, (2, 3)).astype(np.float32)
    _, state = trained.predict(obs)
    terms, predicted = trained.explain(state), trained.forecast(state)
    np.testing.assert_array_equal(predicted.returns, -(terms["task"] + terms["critic"]))
    assert (terms["control"] > 0).all(), "the control cost is no part of the environment's reward"
    one = trained.modules.energy(state.z).terms(state.plan.actions[:, None, :1])["task"][:, 0].detach().numpy()
    np.testing.assert_allclose(predicted.costs, one, rtol=1e-5)
    assert predicted.discount == trained.modules.discount


def test_the_ledger_of_a_run_is_read_back_by_evaluation(trained_run: Path, tmp_path: Path) -> None:
    with (trained_run / "forecasts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == forecast_log.COLUMNS == read_back.COLUMNS
    assert {row["frames"] for row in rows} == {"200", "400"}
    assert len(rows) == 2 * 3 * 25
    assert {row["return"] for row in rows} == {""}, "25 decisions are too few to see a return's end"
    newest, first = read_back.read(trained_run), read_back.read(trained_run, 200)
    assert newest is not None
    assert first is not None
    assert (newest.frames, first.frames) == (400, 200)
    np.testing.assert_array_equal(newest.costs, [float(row["cost"]) for row in rows[75:]])
    assert np.isnan(newest.returns).all()
    assert newest.of_returns().words() == "every decision too near the time limit"
    assert read_back.read(trained_run, 300) is None
    assert read_back.read(tmp_path) is None
    path = tmp_path / "forecasts.csv"
    path.write_text((trained_run / "forecasts.csv").read_text() + "400,10")  # a kill came within a write
    again = read_back.read(tmp_path)
    assert again is not None
    np.testing.assert_array_equal(again.costs, newest.costs)
    for text, word in ((",".join(forecast_log.COLUMNS) + "\n1,2,3,x,,,\n", "not a number"), ("a,b\n", "columns")):
        path.write_text(text)
        with pytest.raises(ResultsError, match=word):
            read_back.read(tmp_path)


def test_calibration_is_that_of_a_line() -> None:
    predicted = np.array([1.0, 2.0, 4.0, np.nan, 9.0])
    found = read_back.calibration(predicted, 3.0 + 0.5 * predicted)
    assert (found.decisions, found.correlation, found.slope) == (4, pytest.approx(1), pytest.approx(0.5))
    assert found.bias == pytest.approx(4 - 5)
    wild = read_back.calibration(np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, -1.0, 1.0, 0.0]))
    assert wild.correlation == pytest.approx(np.corrcoef([0, 1, 2, 3], [1, -1, 1, 0])[0, 1])
    assert wild.slope == pytest.approx(np.polyfit([0, 1, 2, 3], [1, -1, 1, 0], 1)[0])
    for few in (predicted[:2], np.ones(5)):
        assert np.isnan(read_back.calibration(few, few).slope)

"""The forecast log: predicted beside observed values, bounded in size, and without effect on the evaluation."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_env
from env_doubles import BareEnv, spec_of

import envs
import joule
from agent.forecast import Forecast
from joule.report import forecasts
from joule.storage.log_files import FORECAST_COLUMNS
from joule.training import forecast_log
from joule.training.evaluation import Evaluator, evaluate

DISCOUNT = 0.9


class Steady(BareEnv):
    """Rewards of 1 + t at step t, for `length` steps. Observations are [seed, t].

    The episode terminates where its seed is even, and is truncated where it is odd.
    """

    def __init__(self, length: int) -> None:
        self.length, self.seed, self.t = length, 0, 0
        self.env_spec = spec_of("Steady", observation_size=2, action_size=1, episode_limit=length)

    def reset(self, *, seed: int | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        assert seed is not None
        self.seed, self.t = seed, 0
        return np.array([seed, 0.0]), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.t += 1
        done, terminates = self.t == self.length, self.seed % 2 == 0
        observation = np.array([self.seed, float(self.t)])
        return observation, float(self.t), done and terminates, done and not terminates, {"frames": 1}


def discounted_return(length: int, t: np.ndarray) -> np.ndarray:
    """sum_{j=t}^{length-1} DISCOUNT^(j-t) (1 + j), in closed form."""
    n, g = length - t, DISCOUNT
    constant = (1 - g**n) / (1 - g)
    rising = g * (1 - n * g ** (n - 1) + (n - 1) * g**n) / (1 - g) ** 2
    return (1 + t) * constant + rising


class ExactForecasts:
    """Predicts the exact return of a terminating episode, and the exact cost; counts its forecasts."""

    def __init__(self, length: int) -> None:
        self.length, self.count = length, 0

    def predict(
        self,
        observation: np.ndarray,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
    ) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((len(observation), 1)), observation[:, 1]

    def forecast(self, state: Any) -> Forecast:
        self.count += 1
        return Forecast(discounted_return(self.length, state), -(1.0 + state), DISCOUNT)


@pytest.mark.parametrize(("length", "stride"), [(40, 1), (250, 3)])
def test_predicted_values_are_logged_beside_observed_ones(length: int, stride: int) -> None:
    agent = ExactForecasts(length)
    log = evaluate(agent, lambda: Steady(length), 4).forecast_log
    assert log is not None
    decisions = np.arange(0, length, stride)
    assert agent.count == len(decisions) <= forecast_log.MAX_PER_EPISODE
    np.testing.assert_array_equal(log.seeds, np.repeat(10_000 + np.arange(4), len(decisions)))
    np.testing.assert_array_equal(log.decisions, np.tile(decisions, 4))
    np.testing.assert_array_equal(log.costs, log.predicted_costs)
    terminated = log.seeds % 2 == 0
    np.testing.assert_allclose(log.returns[terminated], log.predicted_returns[terminated], rtol=1e-12)
    # A time limit hides DISCOUNT**n of the future of a decision n steps before it: too much where n < 38.
    truncated, left = log.returns[~terminated], length - log.decisions[~terminated]
    np.testing.assert_array_equal(np.isnan(truncated), left < 38)
    known = left >= 38
    np.testing.assert_allclose(truncated[known], log.predicted_returns[~terminated][known], rtol=1e-12)


@pytest.mark.parametrize(("episodes", "entries"), [(70, 200), (70, 35), (3, 1)])
def test_the_log_of_an_evaluation_is_bounded(episodes: int, entries: int) -> None:
    log = Evaluator(lambda: Steady(30), episodes, entries=entries)(ExactForecasts(30)).forecast_log
    assert log is not None
    assert 0 < len(log.decisions) <= entries


def test_the_log_of_a_run_is_bounded() -> None:
    assert forecast_log.max_entries(50_000, 10_000) == forecast_log.MAX_PER_EVALUATION
    assert forecast_log.max_entries(10**7, 100) * (10**5 + 1) <= 2 * forecast_log.MAX_PER_RUN
    assert forecast_log.max_entries(10**10, 1) == 1


class WithoutForecasts:
    """The policy of an agent, and nothing else of it."""

    def __init__(self, agent: Any) -> None:
        self.predict = agent.predict


def test_forecasts_do_not_change_an_evaluation(trained_run: Path) -> None:
    def make() -> envs.SafeEnv:
        return envs.make(tiny_env.ID)

    agent = joule.load(trained_run)
    with_log, without = evaluate(agent, make, 3), evaluate(WithoutForecasts(agent), make, 3)
    assert with_log.returns.tobytes() == without.returns.tobytes()
    assert with_log.surprise == without.surprise
    assert without.forecast_log is None
    log = with_log.forecast_log
    assert log is not None
    # After 400 steps the model predicts the next cost. Over seeds the median correlation is 0.8, with a wide
    # spread; by chance it would be below 0.25.
    assert forecasts.calibration(log.predicted_costs, log.costs).correlation > 0.4


def test_an_agent_that_does_not_plan_has_no_forecast_log(trained_run: Path) -> None:
    policy = joule.load(trained_run, settings={"planner.kind": "policy"})
    assert evaluate(policy, lambda: envs.make(tiny_env.ID), 1).forecast_log is None


def test_a_forecast_is_minus_the_energy_without_the_terms_of_the_planner(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run, settings={"cost.action": 0.1})
    obs = np.random.default_rng(0).uniform(-1, 1, (2, 3)).astype(np.float32)
    _, state = agent.predict(obs)
    terms, forecast = agent.explain(state), agent.forecast(state)
    np.testing.assert_array_equal(forecast.returns, -(terms["task"] + terms["critic"]))
    assert (terms["control"] > 0).all(), "the control cost is no part of the environment's reward"
    first = agent.modules.energy(state.z).terms(state.plan.actions[:, None, :1])
    np.testing.assert_allclose(forecast.costs, first["task"][:, 0].detach().numpy(), rtol=1e-5)
    assert forecast.discount == agent.modules.discount


def test_every_evaluation_of_a_run_is_in_its_forecast_log(trained_run: Path) -> None:
    with (trained_run / "forecasts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == FORECAST_COLUMNS
    assert {row["frames"] for row in rows} == {"200", "400"}
    assert len(rows) == 2 * 3 * 25
    assert {row["return"] for row in rows} == {""}, "after 25 decisions too much of every return is hidden"
    newest, first = forecasts.read(trained_run), forecasts.read(trained_run, 200)
    assert newest is not None
    assert first is not None
    assert (newest.frames, first.frames) == (400, 200)
    np.testing.assert_array_equal(newest.costs, [float(row["cost"]) for row in rows[75:]])
    assert np.isnan(newest.returns).all()

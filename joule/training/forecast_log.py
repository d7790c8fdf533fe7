"""The ledger of an agent's word: what a decision foretold, beside what came of it.

A decision that was planned foretells its immediate cost, and the discounted return from there to the
episode's end. An evaluation writes both down and, once the episode has ended, what came. Where a time limit
cut the episode off, the return that would have followed is not known: a decision so close to the cut that
more than `MOST_UNSEEN` of its discounted future lies behind it has no return in the ledger.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.forecast import Forecast

COLUMNS = ("frames", "seed", "decision", "foretold_return", "return", "foretold_cost", "cost")
"""The columns of ledger.csv; a decision without a known return leaves that cell empty."""
LARGEST_HIDDEN_SHARE = 0.02
MOST_OF_A_RUN, MOST_OF_AN_EVALUATION, MOST_OF_AN_EPISODE = 100_000, 1_000, 100
"""Decisions written down; neighbours foretell much the same, and a forecast takes a moment too."""


@dataclass(frozen=True, eq=False)
class ForecastLog:
    """Decisions of an evaluation, by seed and then by time; every array is [entries], float64 or int64."""

    seeds: np.ndarray
    decisions: np.ndarray
    """Decisions taken before in the episode."""
    predicted_returns: np.ndarray
    returns: np.ndarray
    """What came, NaN where a time limit hid it."""
    predicted_costs: np.ndarray
    costs: np.ndarray

    def rows(self, frames: int) -> list[dict[str, int | float]]:
        """The entries as rows of ledger.csv; six digits are enough for a plot, and halve the file."""
        table = []
        for row in zip(*vars(self).values(), strict=True):
            seed, decision, *numbers = row
            values = [frames, int(seed), int(decision), *(float(f"{number:.6g}") for number in numbers)]
            named = zip(COLUMNS, values, strict=True)
            table.append({name: value for name, value in named if not math.isnan(value)})
        return table


def entries_of_an_evaluation(steps: int, every: int) -> int:
    """How many decisions one evaluation of a run writes down, so that the ledger of all stays small."""
    return max(1, min(MOST_OF_AN_EVALUATION, MOST_OF_A_RUN // (steps // every + 1)))


def joined(forecast_logs: Sequence[ForecastLog]) -> ForecastLog:
    """One ledger of several, at least one."""
    columns = zip(*(vars(forecast_log).values() for forecast_log in forecast_logs), strict=True)
    return ForecastLog(*(np.concatenate(column) for column in columns))


class ForecastRecorder:
    """Keeps the ledger of episodes that are played side by side.

    Of `episodes` of at most `limit` decisions it writes down `entries` at most, evenly spread, and of each
    `MOST_OF_AN_EPISODE`.
    """

    def __init__(self, first_seed: int, episodes: int, limit: int, entries: int) -> None:
        self.first_seed = first_seed
        self._lanes_apart = math.ceil(episodes / entries)
        of_each = min(MOST_OF_AN_EPISODE, entries // math.ceil(episodes / self._lanes_apart))
        self._decisions_apart = math.ceil(limit / of_each)
        self._rewards: list[list[float]] = [[] for _ in range(episodes)]
        self._forecasts: list[list[tuple[int, float, float]]] = [[] for _ in range(episodes)]
        self._ended: list[bool] = [False] * episodes
        self._discount = 1.0

    def due(self, decision: int) -> bool:
        """Whether decisions taken after this many others are written down."""
        return decision % self._decisions_apart == 0

    def record_forecast(self, decision: int, lanes: np.ndarray, forecast: Forecast) -> None:
        """Takes down what the episodes `lanes` [batch] expect of a decision."""
        self._discount = forecast.discount
        for lane, value, cost in zip(lanes, forecast.returns, forecast.costs, strict=True):
            if lane % self._lanes_apart == 0:
                self._forecasts[lane].append((decision, float(value), float(cost)))

    def record_outcome(self, lane: int, reward: float, terminated: bool) -> None:
        """Takes down what a step of an episode gave, and whether the world ended it there."""
        self._rewards[lane].append(reward)
        self._ended[lane] = terminated

    def settle(self) -> ForecastLog:
        """The entries of all episodes, which have ended."""
        seeds, entries = [], []
        for lane, predicted in enumerate(self._forecasts):
            returns = returns_to_go(self._rewards[lane], self._discount, self._ended[lane])
            for decision, value, cost in predicted:
                seeds.append(self.first_seed + lane)
                entries.append((decision, value, returns[decision], cost, -self._rewards[lane][decision]))
        decisions, *numbers = np.array(entries, np.float64).reshape(-1, 5).T
        return ForecastLog(np.array(seeds, np.int64), decisions.astype(np.int64), *numbers)


def returns_to_go(rewards: Sequence[float], discount: float, terminated: bool) -> np.ndarray:
    """The discounted sum of rewards from each decision to the episode's end, [decisions].

    NaN where the episode did not end by itself and more than `MOST_UNSEEN` of its discounted future is
    hidden.
    """
    returns, value = np.empty(len(rewards)), 0.0
    for decision in range(len(rewards) - 1, -1, -1):
        value = rewards[decision] + discount * value
        returns[decision] = value
    if not terminated:
        hidden = discount ** np.arange(len(rewards), 0, -1)
        returns[hidden > LARGEST_HIDDEN_SHARE] = np.nan
    return returns

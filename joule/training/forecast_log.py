"""The forecast log: what decisions of an evaluation predicted, beside what was observed (value calibration).

A planned decision predicts its immediate cost, and the discounted return from there to the episode's end. An
evaluation records both and, once the episode has ended, the observed values. Where a time limit cut the episode
off, the return that would have followed is not known: a decision with more than `LARGEST_HIDDEN_SHARE` of its
discounted future behind the cut has no return in the log.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.forecast import Forecast
from joule.storage.log_files import FORECAST_COLUMNS as COLUMNS

LARGEST_HIDDEN_SHARE = 0.02
MAX_PER_RUN, MAX_PER_EVALUATION, MAX_PER_EPISODE = 100_000, 1_000, 100
"""Decisions recorded at most: neighbouring ones predict much the same, and a forecast takes time."""


@dataclass(frozen=True, eq=False)
class ForecastLog:
    """Recorded decisions of an evaluation, by seed and then by time; every array is [entries]."""

    seeds: np.ndarray
    """int64, the episode's seed"""
    decisions: np.ndarray
    """int64, decisions taken before in the episode"""
    predicted_returns: np.ndarray
    returns: np.ndarray
    """observed; NaN where a time limit hid it"""
    predicted_costs: np.ndarray
    costs: np.ndarray

    def rows(self, frames: int) -> list[dict[str, int | float]]:
        """The entries as rows of forecasts.csv, to six significant digits."""
        table = []
        for row in zip(*vars(self).values(), strict=True):
            seed, decision, *numbers = row
            values = [frames, int(seed), int(decision), *(float(f"{number:.6g}") for number in numbers)]
            named = zip(COLUMNS, values, strict=True)
            table.append({name: value for name, value in named if not math.isnan(value)})
        return table


def max_entries(steps: int, eval_every_frames: int) -> int:
    """Decisions that each evaluation of a run records, so that the log of the whole run stays small."""
    return max(1, min(MAX_PER_EVALUATION, MAX_PER_RUN // (steps // eval_every_frames + 1)))


def joined(logs: Sequence[ForecastLog]) -> ForecastLog:
    """The entries of several logs, at least one, as one."""
    columns = zip(*(vars(log).values() for log in logs), strict=True)
    return ForecastLog(*(np.concatenate(column) for column in columns))


class ForecastRecorder:
    """Records forecasts of episodes that are played side by side.

    Args:
        first_seed: seed of episode 0.
        episodes: number of episodes.
        limit: decisions of the longest episode.
        entries: decisions recorded at most, evenly spread; at most MAX_PER_EPISODE of each episode.
    """

    def __init__(self, first_seed: int, episodes: int, limit: int, entries: int) -> None:
        self.first_seed = first_seed
        self._episode_stride = math.ceil(episodes / entries)
        per_episode = min(MAX_PER_EPISODE, entries // math.ceil(episodes / self._episode_stride))
        self._decision_stride = math.ceil(limit / per_episode)
        self._rewards: list[list[float]] = [[] for _ in range(episodes)]
        self._forecasts: list[list[tuple[int, float, float]]] = [[] for _ in range(episodes)]
        self._terminated: list[bool] = [False] * episodes
        self._discount = 1.0

    def due(self, decision: int) -> bool:
        """Whether decisions taken after this many others are recorded."""
        return decision % self._decision_stride == 0

    def record_forecast(self, decision: int, episodes: np.ndarray, forecast: Forecast) -> None:
        """Records what a decision in the episodes numbered `episodes` [batch] predicts."""
        self._discount = forecast.discount
        for episode, value, cost in zip(episodes, forecast.returns, forecast.costs, strict=True):
            if episode % self._episode_stride == 0:
                self._forecasts[episode].append((decision, float(value), float(cost)))

    def record_outcome(self, episode: int, reward: float, terminated: bool) -> None:
        """Records the reward of a step, and whether the episode terminated with it."""
        self._rewards[episode].append(reward)
        self._terminated[episode] = terminated

    def finish(self) -> ForecastLog:
        """The log of all episodes, which have ended."""
        seeds, entries = [], []
        for episode, predicted in enumerate(self._forecasts):
            rewards = self._rewards[episode]
            returns = returns_to_go(rewards, self._discount, self._terminated[episode])
            for decision, value, cost in predicted:
                seeds.append(self.first_seed + episode)
                entries.append((decision, value, returns[decision], cost, -rewards[decision]))
        decisions, *numbers = np.array(entries, np.float64).reshape(-1, 5).T
        return ForecastLog(np.array(seeds, np.int64), decisions.astype(np.int64), *numbers)


def returns_to_go(rewards: Sequence[float], discount: float, terminated: bool) -> np.ndarray:
    """The discounted sum of rewards from each decision to the episode's end [decisions].

    NaN where the episode did not terminate and more than `LARGEST_HIDDEN_SHARE` of its discounted future is
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

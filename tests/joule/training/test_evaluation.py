"""Evaluation: side by side is one by one, rows are dropped as episodes end, and no trace is left."""

from __future__ import annotations

import random
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from agent import random_state as generators
from joule.training.evaluation import EvaluationError, Evaluator, evaluate


class Countdown:
    """An episode of seed 10_000 + k ends after 2 + k % 4 steps; obs = [seed, t]; reward = seed / 10_000 + t.

    It draws from every global generator, as a careless environment may.
    """

    made = 0

    def __init__(self, limit: int | None = 10) -> None:
        type(self).made += 1
        self.env_spec = SimpleNamespace(env="Countdown", episode_limit=limit)

    def reset(self, *, seed: int | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        assert seed is not None
        self.seed, self.t = seed, 0
        return np.array([seed, 0], np.float32), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        assert action.tolist() == [self.seed, self.t], "the action of another row"
        self.t += 1
        torch.rand(1), np.random.rand(), random.random()  # noqa: NPY002
        done = self.t == 2 + self.seed % 4
        truncated = done and self.seed % 4 == 1
        info = {"frames": 2, "diverged": truncated}
        return np.array([self.seed, self.t], np.float32), self.seed / 1e4 + self.t, done, truncated, info


def make(limit: int | None = 10) -> Any:
    """A Countdown, of which an evaluation uses no more than it has."""
    return Countdown(limit)


@dataclass
class ReplayBuffer:
    seeds: np.ndarray
    surprise: np.ndarray

    def rows(self, keep: np.ndarray) -> ReplayBuffer:
        return ReplayBuffer(self.seeds[keep], self.surprise[keep])


class Echo:
    """Acts what it sees, and remembers which row is whose."""

    def predict(
        self,
        observation: np.ndarray,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[np.ndarray, ReplayBuffer]:
        obs = observation
        assert deterministic
        assert (episode_start == (obs[:, 1] == 0)).all()
        if state is not None:
            np.testing.assert_array_equal(state.seeds, obs[:, 0])
        return obs, ReplayBuffer(obs[:, 0], np.where(episode_start, np.nan, obs[:, 1]))


def test_rows_are_dropped_as_episodes_end_and_results_come_in_order() -> None:
    count = 70  # more than are played side by side
    evaluation = evaluate(Echo(), make, count)
    k = np.arange(count)
    lengths = 2 + k % 4
    np.testing.assert_array_equal(evaluation.lengths, lengths)
    np.testing.assert_array_equal(evaluation.frames, 2 * lengths)
    expected = lengths * (10_000 + k) / 1e4 + lengths * (lengths + 1) / 2
    np.testing.assert_allclose(evaluation.returns, expected, rtol=1e-12)
    assert evaluation.mean == pytest.approx(expected.mean())
    assert evaluation.std == pytest.approx(expected.std())
    assert evaluation.diverged == (k % 4 == 1).sum()
    surprises = np.concatenate([np.arange(1, length) for length in lengths])
    assert evaluation.surprise == pytest.approx(surprises.mean())


def test_environments_are_made_once_and_the_generators_left_alone() -> None:
    Countdown.made = 0
    evaluator = Evaluator(make, 3)
    before = generators.capture()
    one, two = evaluator(Echo()), evaluator(Echo())
    assert Countdown.made == 3
    np.testing.assert_array_equal(one.returns, two.returns)
    after = generators.capture()
    assert all(np.array_equal(before[0][name], after[0][name]) for name in before[0])
    assert before[1] == after[1]
    torch.rand(1), np.random.rand(), random.random()  # noqa: NPY002
    moved = generators.capture()
    assert all(not np.array_equal(moved[0][name], after[0][name]) for name in ("torch", "numpy", "python"))
    generators.restore(*before)
    assert generators.capture()[1] == before[1]


def test_generators_go_on_where_they_were() -> None:
    random.random()  # leaves a second value waiting
    np.random.standard_normal()  # noqa: NPY002
    captured = generators.capture()

    def draw() -> list[float]:
        draws = [random.random(), random.random(), *torch.randn(2).tolist()]
        return [*draws, np.random.standard_normal(), np.random.rand()]  # noqa: NPY002

    first = draw()
    generators.restore(*captured)
    assert draw() == first


def test_what_cannot_be_evaluated_is_refused() -> None:
    with pytest.raises(EvaluationError, match="needs an episode limit"):
        Evaluator(lambda: make(None), 3)
    with pytest.raises(EvaluationError, match="at least 1"):
        Evaluator(make, 0)

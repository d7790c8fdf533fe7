"""An evaluation plays episodes side by side as if one by one, and changes nothing but its own environments."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from env_doubles import BareEnv, spec_of

from agent import random_state
from agent.actor.actor import ActingState
from agent.interface import DIVERGED_KEY
from envs.faults.errors import EnvFailure
from joule.training.decision_time import time_decisions
from joule.training.evaluation import EvaluationError, Evaluator, evaluate


class Countdown(BareEnv):
    """Episodes of seed 10_000 + k end after 2 + k % 4 steps; observations are [seed, t], rewards seed / 10_000 + t.

    It draws from every global random generator, as an environment of the user may.
    """

    made = 0

    def __init__(self, limit: int | None = 10) -> None:
        type(self).made += 1
        self.env_spec = spec_of("Countdown", observation_size=2, action_size=2, episode_limit=limit)
        self.seed, self.t = 0, 0

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
        info = {"frames": 2, DIVERGED_KEY: truncated}
        return np.array([self.seed, self.t], np.float32), self.seed / 1e4 + self.t, done, truncated, info


class Echo:
    """Returns observations as actions. Its state holds them too, so that a row in a wrong place is noticed."""

    def predict(
        self,
        observation: np.ndarray,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[np.ndarray, ActingState]:
        assert deterministic
        assert (episode_start == (observation[:, 1] == 0)).all()
        if state is not None:
            np.testing.assert_array_equal(state.z[:, 0], observation[:, 0])
        z = torch.from_numpy(observation)
        surprise = np.where(episode_start, np.nan, observation[:, 1])
        return observation, ActingState(torch.Generator(), None, z, z, surprise)


class Told:
    """Keeps what an evaluation tells."""

    def __init__(self) -> None:
        self.shares: list[float] = []
        self.episodes: list[tuple[int, float, int]] = []

    def progress(self, share: float) -> None:
        self.shares.append(share)

    def episode(self, seed: int, total_return: float, decisions: int) -> None:
        self.episodes.append((seed, total_return, decisions))

    def note(self, sentence: str) -> None:
        raise AssertionError(sentence)


def test_each_episode_is_told_as_it_ends_and_how_far_the_evaluation_is() -> None:
    told = Told()
    evaluation = evaluate(Echo(), Countdown, 6, parallel=4, callback=told)
    assert [decisions for _, _, decisions in told.episodes] == [2, 3, 4, 5, 2, 3]
    assert [seed for seed, _, _ in told.episodes] == list(range(10_000, 10_006))
    assert [value for _, value, _ in told.episodes] == evaluation.returns.tolist()
    assert (told.shares == sorted(told.shares), told.shares[-1], max(told.shares[:-1]) < 1) == (
        True,
        1.0,
        True,
    )
    # After two of ten decisions one of the first four episodes has ended: that is 1/6 and 3/6 of 2/10.
    assert told.shares[:2] == pytest.approx([4 / 6 * 0.1, 1 / 6 + 3 / 6 * 0.2])


def test_rows_leave_the_batch_as_episodes_end_and_results_follow_the_seeds() -> None:
    count = 70  # more than are played side by side
    evaluation = evaluate(Echo(), Countdown, count)
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


class Judged(Countdown):
    """Says of the first three episodes in four whether they succeeded, under different names and types."""

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        obs, reward, terminated, truncated, info = super().step(action)
        said: list[dict[str, Any]] = [
            {"is_success": np.True_, "success": False},
            {"success": np.zeros(1)},
            {"success": 1.0},
            {"success": "no"},
        ]
        return obs, reward, terminated, truncated, {**info, DIVERGED_KEY: False, **said[self.seed % 4]}


def test_successes_are_those_that_info_says_when_an_episode_ends() -> None:
    assert evaluate(Echo(), Countdown, 4).success_rate is None, "nothing is said"
    evaluation = evaluate(Echo(), Judged, 8, parallel=3)
    np.testing.assert_array_equal(evaluation.successes, [1, 0, 1, np.nan] * 2)
    assert evaluation.success_rate == 0.5, "one that says nothing is none"


class DivergedAtGoal(Judged):
    """Its physics diverges in the last step of every episode."""

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        obs, reward, terminated, truncated, info = super().step(action)
        over = terminated or truncated
        return obs, reward, terminated, truncated, {**info, DIVERGED_KEY: over}


def test_an_episode_whose_physics_diverged_has_not_succeeded() -> None:
    evaluation = evaluate(Echo(), DivergedAtGoal, 4)
    assert evaluation.diverged == 4
    assert np.isnan(evaluation.successes).all()


def test_environments_are_made_once_and_the_global_generators_do_not_move() -> None:
    Countdown.made = 0
    evaluator = Evaluator(Countdown, 3)
    # A generator that was just seeded writes its whole array at the first draw; later draws move its index only.
    torch.manual_seed(0), np.random.seed(0), random.seed(0)  # noqa: NPY002
    before = random_state.capture()
    one, two = evaluator(Echo()), evaluator(Echo())
    assert Countdown.made == 3
    np.testing.assert_array_equal(one.returns, two.returns)
    after = random_state.capture()
    assert all(np.array_equal(before[0][name], after[0][name]) for name in before[0])
    assert before[1] == after[1]
    torch.rand(1), np.random.rand(), random.random()  # noqa: NPY002
    moved = random_state.capture()
    assert all(not np.array_equal(moved[0][name], after[0][name]) for name in ("torch", "numpy", "python"))
    random_state.restore(*before)
    assert random_state.capture()[1] == before[1]


def test_restored_generators_repeat_their_numbers() -> None:
    random.random()  # Python's and NumPy's generators now hold a second value back
    np.random.standard_normal()  # noqa: NPY002
    captured = random_state.capture()

    def draw() -> list[float]:
        numbers = [random.random(), random.random(), *torch.randn(2).tolist()]
        return [*numbers, np.random.standard_normal(), np.random.rand()]  # noqa: NPY002

    first = draw()
    random_state.restore(*captured)
    assert draw() == first


def test_an_evaluation_needs_an_episode_limit_and_an_episode() -> None:
    with pytest.raises(EvaluationError, match="needs an episode limit"):
        Evaluator(lambda: Countdown(None), 3)
    with pytest.raises(EvaluationError, match="at least 1"):
        Evaluator(Countdown, 0)


class Failing(Countdown):
    """The environment fails in its step number `last` over all episodes, or in its second reset."""

    last, taken, resets_fail = 0, 0, False

    def reset(self, *, seed: int | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        if self.resets_fail and self.taken:
            raise EnvFailure("reset raised ValueError")
        return super().reset(seed=seed)

    def step(self, action: np.ndarray) -> Any:
        self.taken += 1
        if self.taken == self.last:
            raise EnvFailure("step raised ValueError")
        return super().step(np.array([self.seed, self.t]))


@pytest.mark.parametrize(("last", "resets_fail", "timed"), [(8, False, 3), (5, False, None), (0, True, None)])
def test_an_environment_that_fails_while_decisions_are_timed_costs_no_result(
    last: int, resets_fail: bool, timed: int | None
) -> None:
    env = Failing()
    env.last, env.resets_fail = last, resets_fail
    policy: Any = SimpleNamespace(predict=lambda obs, state, starts, deterministic: (np.zeros(2), None))
    found = time_decisions(policy, lambda: env, 10_000)
    assert (None if found is None else found.decisions) == timed

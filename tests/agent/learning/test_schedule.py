"""The schedule of a run: when updates are due, and which decisions and episodes are special."""

from __future__ import annotations

import pytest

from agent.configurator.settings import ExploreConfig, LearningConfig
from agent.learning.schedule import is_broken_off, is_planned, rows_for, updates_due

LEARNING = LearningConfig(pretrain_updates=50, utd=0.5, initial_utd=2.5, initial_utd_decisions=200)


@pytest.mark.parametrize(
    ("decisions", "due"),
    [(99, 0.0), (100, 50.0), (101, 0.5 + 2.0 * 99 / 200), (150, 1.0), (200, 0.5), (900, 0.5)],
)
def test_updates_begin_at_the_end_of_warm_up_and_their_ratio_falls(decisions: int, due: float) -> None:
    explore = ExploreConfig(warmup_decisions=100)
    assert updates_due(decisions, 80, explore, LEARNING) == pytest.approx(due)
    assert updates_due(decisions, 0, explore, LEARNING) == 0.0, "there is nothing to learn from"


def test_without_warm_up_the_first_decision_ends_it() -> None:
    explore = ExploreConfig(warmup_decisions=0)
    assert updates_due(1, 1, explore, LEARNING) == 50.0
    assert updates_due(2, 1, explore, LEARNING) == pytest.approx(0.5 + 2.0 * 198 / 200)


def test_one_episode_in_so_many_is_planned_from_a_decision_on() -> None:
    explore = ExploreConfig(plan_from_decisions=1_000, plan_every_episodes=3)
    assert [is_planned(decisions, 6, explore) for decisions in (999, 1_000, 5_000)] == [False, True, True]
    assert [is_planned(1_000, episode, explore) for episode in range(4)] == [True, False, False, True]
    assert not is_planned(10**6, 0, ExploreConfig(plan_from_decisions=None))


def test_early_episodes_are_broken_off_after_so_many_decisions() -> None:
    explore = ExploreConfig(short_episode_decisions=100, short_episodes_until_decisions=5_000)
    assert [is_broken_off(4_999, length, explore) for length in (99, 100, 101)] == [False, True, True]
    assert not is_broken_off(5_000, 300, explore)


def test_a_budget_fits_though_every_episode_is_one_decision_long() -> None:
    for steps, streams in ((10, 1), (10, 3), (1, 4)):
        decisions = -(-steps // streams)
        assert rows_for(steps, streams) >= 2 * decisions + 1

"""The statistics agree with independent formulas, and their coverage with the documented one."""

from __future__ import annotations

import numpy as np
import pytest

from joule.report import statistics
from joule.report.statistics import interval, strata


@pytest.mark.parametrize("shape", [(3, 1), (5, 4), (10, 7), (7, 3)])
def test_iqm_is_the_mean_of_the_middle_half_of_all_scores(shape: tuple[int, int]) -> None:
    scores = np.random.default_rng(0).normal(size=shape)
    pooled = np.sort(scores.ravel())
    cut = pooled.size // 4
    ours = statistics.interquartile_mean(strata(scores))
    assert ours == pytest.approx(pooled[cut : pooled.size - cut].mean(), abs=1e-12)


def test_mean_median_and_gap_weigh_tasks_alike() -> None:
    tasks = strata([np.array([0.0, 4.0]), np.array([10.0]), np.array([900.0, 1100.0])])
    assert statistics.mean(tasks) == pytest.approx((2 + 10 + 1000) / 3)
    assert statistics.median(tasks) == 10.0
    # 1,100 counts as the optimum, 1,000.
    assert statistics.optimality_gap(1000.0)(tasks) == pytest.approx(1000 - (2 + 10 + 950) / 3)


@pytest.mark.parametrize("statistic", [statistics.mean, statistics.interquartile_mean])
def test_interval_is_a_stratified_percentile_bootstrap(statistic: statistics.Statistic) -> None:
    rng = np.random.default_rng(1)
    tasks = [rng.exponential(size=9), 5.0 + rng.exponential(size=4)]
    ours = interval(tasks, statistic, resamples=2_000, seed=3)
    draws = np.random.default_rng(3)
    resampled = [task[draws.integers(0, task.size, (2_000, task.size))] for task in tasks]
    low, high = np.percentile(statistic(resampled), [2.5, 97.5])
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=1e-9)
    assert ours.low < ours.estimate < ours.high


def test_tasks_are_strata() -> None:
    # The seeds of a task are equal: only resampling across tasks could make the interval wide.
    scores = np.array([[0.0, 1000.0], [0.0, 1000.0], [0.0, 1000.0]])
    result = interval(scores, statistics.mean)
    assert (result.low, result.high) == (500.0, 500.0)


def test_interval_depends_on_its_seed() -> None:
    scores = np.random.default_rng(2).normal(size=(5, 3))
    assert interval(scores, seed=7) == interval(scores, seed=7)
    assert interval(scores, seed=7) != interval(scores, seed=8)


def test_one_seed_has_no_interval() -> None:
    single = interval(np.array([[3.0]]))
    assert single.estimate == 3.0
    assert not single.known
    assert not interval([np.array([3.0]), np.array([1.0, 2.0, 4.0])]).known, (
        "of one task nothing is resampled"
    )


@pytest.mark.parametrize(("seeds", "low", "high"), [(3, 0.66, 0.80), (5, 0.76, 0.90), (10, 0.86, 0.96)])
def test_coverage_is_the_documented_one(seeds: int, low: float, high: float) -> None:
    rng = np.random.default_rng(seeds)
    inside = 0
    for trial in range(400):
        ends = interval([rng.normal(size=seeds)], statistics.mean, resamples=400, seed=trial)
        inside += ends.low <= 0.0 <= ends.high
    assert low <= inside / 400 <= high


def test_probability_of_improvement_is_the_share_of_pairs_won() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.integers(0, 6, (5, 3)).astype(float), rng.integers(0, 6, (4, 3)).astype(float)
    difference = x[:, None] - y[None]
    expected = [np.mean(0.5 * (np.sign(difference[:, :, task]) + 1.0)) for task in range(3)]
    assert statistics.probability_of_improvement(x, y) == pytest.approx(np.mean(expected))
    both = statistics.probability_of_improvement(x, y) + statistics.probability_of_improvement(y, x)
    assert both == pytest.approx(1.0)
    ends = statistics.improvement_interval(x, y)
    assert 0.0 <= ends.low <= ends.estimate <= ends.high <= 1.0


def test_the_seeds_of_both_sides_are_resampled() -> None:
    # Of four drawn seeds, one in sixteen times all are 0: that is more often than 2.5 %.
    always_one, varied = np.ones((4, 1)), np.array([[0.0], [2.0], [0.0], [2.0]])
    for ours, theirs in ((always_one, varied), (varied, always_one)):
        ends = statistics.improvement_interval(ours, theirs)
        assert (ends.low, ends.estimate, ends.high) == (0.0, 0.5, 1.0)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.zeros(3), "axes"),
        (np.array([[np.nan]]), "finite"),
        ([], "no task"),
        ([np.zeros(0)], "non-empty"),
    ],
)
def test_unusable_scores_are_refused(scores: statistics.Scores, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        strata(scores)

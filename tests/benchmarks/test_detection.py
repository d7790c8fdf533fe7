"""Pairs, ranks, delays and false alarms against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from benchmarks.comprehension.detection import auroc, false_alarms_per_thousand, latency, pairwise_accuracy


def test_area_under_the_curve_of_two_normals() -> None:
    rng = np.random.default_rng(0)
    real, edited = rng.normal(0.0, 1.0, 4000), rng.normal(1.0, 1.0, 4000)
    # P(X + 1 > Y) for independent standard normals.
    assert auroc(real, edited) == pytest.approx(norm.cdf(1 / math.sqrt(2)), abs=0.01)


def test_area_under_the_curve_counts_pairs_and_halves_ties() -> None:
    real, edited = np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0])
    wins = [1.0, 0.5, 0.0, 1.0, 1.0, 1.0]
    assert auroc(real, edited) == pytest.approx(np.mean(wins))
    assert auroc(edited, real) == pytest.approx(1.0 - np.mean(wins))
    assert math.isnan(auroc(real, np.array([])))


def test_a_pair_is_won_lost_or_tied() -> None:
    assert pairwise_accuracy(np.array([0.0, 5.0, 1.0, 2.0]), np.array([1.0, 4.0, 1.0, 3.0])) == 2.5 / 4
    with pytest.raises(ValueError, match="as many real clips"):
        pairwise_accuracy(np.zeros(2), np.zeros(3))


def test_pairs_share_what_ranks_do_not() -> None:
    """Each edited clip beats its own twin by a little: pairs see it, ranks over all clips hardly do."""
    real = np.arange(100.0)
    assert pairwise_accuracy(real, real + 0.1) == 1.0
    assert auroc(real, real + 0.1) == pytest.approx(0.5 + 0.5 / 100)


def test_latency_is_one_at_the_broken_step_itself_and_ignores_what_was_before() -> None:
    scores = np.array([9.0, 0.0, 0.0, 1.0, 4.0, 4.0])
    assert latency(scores, 3, 1.0) == 1.0
    assert latency(scores, 3, 3.0) == 2.0
    assert latency(scores, 3, 5.0) == math.inf
    assert latency(scores, 0, 5.0) == 1.0


def test_false_alarms_of_a_thousand() -> None:
    scores = np.zeros(2000)
    scores[[3, 77, 1500]] = 2.0
    scores[0] = np.nan  # before there is anything to compare
    assert false_alarms_per_thousand(scores, 2.0) == 1.5

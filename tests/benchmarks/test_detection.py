"""Accuracy on pairs, AUROC, latency and false alarms agree with closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from benchmarks.comprehension.detection import auroc, false_alarms_per_thousand, latency, pairwise_accuracy


def test_auroc_of_two_normals() -> None:
    rng = np.random.default_rng(0)
    real, edited = rng.normal(0.0, 1.0, 4000), rng.normal(1.0, 1.0, 4000)
    # P(X + 1 > Y) for independent standard normals.
    assert auroc(real, edited) == pytest.approx(norm.cdf(1 / math.sqrt(2)), abs=0.01)


def test_auroc_counts_pairs_and_half_of_ties() -> None:
    real, edited = np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0])
    wins = [1.0, 0.5, 0.0, 1.0, 1.0, 1.0]
    assert auroc(real, edited) == pytest.approx(np.mean(wins))
    assert auroc(edited, real) == pytest.approx(1.0 - np.mean(wins))
    assert math.isnan(auroc(real, np.array([])))


def test_a_pair_is_won_lost_or_tied() -> None:
    assert pairwise_accuracy(np.array([0.0, 5.0, 1.0, 2.0]), np.array([1.0, 4.0, 1.0, 3.0])) == 2.5 / 4
    with pytest.raises(ValueError, match="as many real clips"):
        pairwise_accuracy(np.zeros(2), np.zeros(3))


def test_pairwise_accuracy_detects_what_auroc_does_not() -> None:
    """Each edited clip scores a little above its own real clip, and below the next real one."""
    real = np.arange(100.0)
    assert pairwise_accuracy(real, real + 0.1) == 1.0
    assert auroc(real, real + 0.1) == pytest.approx(0.5 + 0.5 / 100)


def test_latency_is_one_at_the_violating_step_and_ignores_alarms_before_it() -> None:
    scores = np.array([9.0, 0.0, 0.0, 1.0, 4.0, 4.0])
    assert latency(scores, 3, 1.0) == 1.0
    assert latency(scores, 3, 3.0) == 2.0
    assert latency(scores, 3, 5.0) == math.inf
    assert latency(scores, 0, 5.0) == 1.0


def test_false_alarms_per_thousand() -> None:
    scores = np.zeros(2000)
    scores[[3, 77, 1500]] = 2.0
    scores[0] = np.nan  # a step without a score
    assert false_alarms_per_thousand(scores, 2.0) == 1.5

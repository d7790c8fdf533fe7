"""Surprise: errors over the usual one, which outliers do not redefine."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agent.perception.surprise import Surprise


def test_the_first_errors_have_their_mean_and_each_is_compared_with_those_before() -> None:
    surprise = Surprise()
    assert np.isnan(surprise.relative(np.array([1.0]))).all()
    assert [surprise.observe(error) for error in (2.0, 4.0, 6.0)] == [1.0, 2.0, 2.0]
    assert surprise.usual == pytest.approx(4.0)
    assert surprise.relative(np.array([2.0, 8.0])).tolist() == [0.5, 2.0]


def test_later_errors_count_by_the_rate() -> None:
    surprise = Surprise(rate=0.1)
    for error in [1.0] * 50:
        surprise.observe(error)
    surprise.observe(2.0)
    assert surprise.usual == pytest.approx(1.1)


def test_an_outlier_counts_as_ten_usual_errors_and_an_error_that_is_no_number_as_none() -> None:
    surprise = Surprise(rate=0.1)
    for error in [1.0] * 20:
        surprise.observe(error)
    assert surprise.observe(1e6) == pytest.approx(1e6)
    assert surprise.usual == pytest.approx(0.9 + 0.1 * 10.0)
    usual = surprise.usual
    assert surprise.observe(math.inf) == math.inf
    assert math.isnan(surprise.observe(math.nan))
    assert (surprise.usual, surprise.count) == (usual, 21)

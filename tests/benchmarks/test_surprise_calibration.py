"""Calibrated surprise: rarities against closed forms, and false alarms at the accepted rate."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.comprehension.surprise_calibration import (
    ALL_TERMS,
    CalibratedDetector,
    ConditionalTails,
    Spread,
    Tail,
    averaged,
)
from benchmarks.comprehension.surprise_detectors import Clip, Signals


class NoiseDetector:
    """A detector whose errors are noise: its size follows the context, and the cost is added to it."""

    name, absolute = "noise", frozenset[str]()

    def signals(self, clip: Clip) -> Signals:
        size = np.exp(clip.obs[:-1, :1].astype(np.float64))
        errors = clip.obs[1:, 1:].astype(np.float64) * size + clip.cost[:, None]
        return Signals({"one": errors, "two": errors[:, :1]}, np.log(size))


def noise_clip(rng: np.random.Generator, steps: int, shock: float = 0.0) -> Clip:
    """A clip of random observations; the cost is `shock` in its second half."""
    obs = rng.normal(size=(steps + 1, 4)).astype(np.float32)
    cost = np.zeros(steps, np.float32)
    cost[steps // 2 :] = shock
    return Clip(obs, np.zeros((steps, 1), np.float32), cost, obs)


def test_the_tail_of_a_power_law_continues_beyond_the_largest_value() -> None:
    rng = np.random.default_rng(0)
    tail = Tail(rng.pareto(2.0, 20_000) + 1.0)
    values = np.array([1.5, 5.0, 100.0, 1000.0])
    np.testing.assert_allclose(tail(values), 2.0 * np.log10(values), rtol=0.12)
    assert tail(np.array([np.nan])) == 0.0


def test_the_mean_distance_is_one_in_any_units_and_for_correlated_errors() -> None:
    rng = np.random.default_rng(0)
    errors = rng.normal(size=(5000, 3)) @ np.array([[1.0, 0.9, 0.0], [0.0, 0.4, 0.0], [0.0, 0.0, 1e-3]]) + 7.0
    distance, _ = Spread(errors, None)(errors, errors)
    assert distance.mean() == pytest.approx(1.0, abs=0.05)
    # A step against the correlation is further than one of the same length along it.
    along, against = np.array([[8.0, 7.9, 7.0]]), np.array([[8.0, 6.1, 7.0]])
    spread = Spread(errors, None)
    assert spread(against, along)[0] > 5.0 * spread(along, along)[0]


def test_errors_are_divided_by_the_size_that_their_context_predicts() -> None:
    rng = np.random.default_rng(0)
    context = rng.normal(size=(20_000, 1))
    errors = rng.normal(size=(20_000, 2)) * np.exp(context)
    scaled, expected = Spread(errors, context)(errors, context)
    large, small = scaled[context[:, 0] > 1], scaled[context[:, 0] < -1]
    assert np.log(np.median(large) / np.median(small)) == pytest.approx(0.0, abs=0.15)
    assert np.corrcoef(expected, context[:, 0])[0, 1] > 0.99


def test_an_error_that_is_usual_in_a_collision_is_rare_without_contacts() -> None:
    rng = np.random.default_rng(0)
    collides = np.arange(16_000) % 8 == 0
    values = np.where(collides, rng.pareto(1.0, 16_000) + 1.0, rng.uniform(0.9, 1.1, 16_000))
    tails = ConditionalTails(values, collides + rng.normal(size=16_000) / 100)
    free, collision = tails(np.array([20.0, 20.0]), np.array([0.0, 1.0]))
    assert collision == pytest.approx(np.log10(20.0), abs=0.2)
    assert free > 10.0
    assert Tail(values)(np.array([20.0]))[0] < 3.0
    one_group = ConditionalTails(values, np.zeros(16_000))
    np.testing.assert_array_equal(one_group(values, np.zeros(16_000)), Tail(values)(values))


def test_steps_that_are_all_alike_are_no_surprise_and_another_one_is() -> None:
    rest = ConditionalTails(np.ones(500), np.repeat([0.0, 0.0, 0.0, 1.0], 125))
    found = rest(np.array([1.0, 100.0]), np.array([0.0, 2.0]))
    assert found[0] == 0.0
    assert 2.0 < found[1] < 8.0


def test_the_mean_of_recent_errors_is_nan_where_there_are_too_few() -> None:
    rows = np.arange(5.0)[:, None]
    np.testing.assert_array_equal(averaged(rows, 2)[:, 0], [np.nan, 0.5, 1.5, 2.5, 3.5])
    np.testing.assert_array_equal(averaged(rows, 1), rows)


def test_false_alarms_have_the_accepted_rate_and_shocks_are_detected() -> None:
    rng = np.random.default_rng(0)
    calibrated = CalibratedDetector(NoiseDetector(), [noise_clip(rng, 500) for _ in range(16)])
    usual = np.concatenate([calibrated.surprise(noise_clip(rng, 500))[ALL_TERMS] for _ in range(16)])
    for decades in (1.0, 2.0):
        assert np.mean(usual >= decades) == pytest.approx(10.0**-decades, rel=0.35)
    assert np.mean(usual >= 3.0) < 3e-3
    shocked = calibrated.surprise(noise_clip(rng, 100, shock=30.0))[ALL_TERMS]
    assert shocked[:50].max() < 3.0 < np.median(shocked[50:])

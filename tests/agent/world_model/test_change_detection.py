"""Change detection: the rate of false alarms and the delay, on data of a known distribution."""

from __future__ import annotations

import numpy as np
import pytest

from agent.perception.surprise import Surprise
from agent.world_model.change_detection import (
    FEWEST_DECISIONS,
    ChangeDetectionError,
    ChangeDetector,
    ModelComparison,
    as_first_seen,
    calibrate,
    cusum_step,
    excursion_heights,
    threshold_for,
)


def errors(rng: np.random.Generator, decisions: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Errors and disagreements: log error = 0.7 log disagreement + noise of deviation 0.5, plus `shift` of it."""
    disagreement = np.exp(rng.normal(-8.0, 1.0, decisions))
    return np.exp(0.7 * np.log(disagreement) + 0.5 * (rng.normal(0, 1, decisions) + shift)), disagreement


def test_the_calibration_finds_the_known_distribution() -> None:
    usual = calibrate(*errors(np.random.default_rng(0), 20_000), 1_000.0)
    assert usual.slope == pytest.approx(0.7, abs=0.02)
    assert usual.deviation == pytest.approx(0.5, rel=0.05)
    assert usual.standardise(np.exp(0.7 * -8 + 0.5 * 2), np.exp(-8)) == pytest.approx(2.0, abs=0.1)


def test_excursions_have_the_heights_of_their_peaks() -> None:
    steps = np.array([1.0, 1.0, -3.0, -1.0, 2.0, -0.5, 1.0, -9.0, 0.5])
    assert excursion_heights(steps) == pytest.approx([2.0, 2.5, 0.5])


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_false_alarms_come_at_the_wanted_rate(correlation: float) -> None:
    """Within a factor of three, also when neighbouring errors are correlated."""
    rng, wanted = np.random.default_rng(1), 1_000.0

    def standardised(count: int) -> np.ndarray:
        noise = rng.normal(0, np.sqrt(1 - correlation**2), count)
        level, found = 0.0, np.empty(count)
        for k, fresh in enumerate(noise):
            level = correlation * level + fresh
            found[k] = level
        return found

    detector = ChangeDetector(threshold_for(cusum_step(standardised(20_000)), wanted))
    alarms = 0
    for error in standardised(100_000):
        if detector.update(error):
            alarms += 1
            detector = ChangeDetector(detector.threshold)
    assert 100_000 / wanted / 3 < alarms < 100_000 / wanted * 3


def test_a_lasting_rise_is_detected_within_25_decisions_and_dated() -> None:
    rng = np.random.default_rng(2)
    usual = calibrate(*errors(rng, 10_000), 50_000.0)
    delays, dated = [], []
    for _ in range(50):
        detector = ChangeDetector(usual.threshold)
        error, disagreement = errors(rng, 60, shift=2.0)
        for step, pair in enumerate(zip(error, disagreement, strict=True), 1):
            if detector.update(float(usual.standardise(*pair))):
                delays.append(step)
                dated.append(step - detector.since)
                break
    assert len(delays) == 50
    assert np.median(delays) <= 12
    assert max(delays) <= 25
    assert np.median(dated) <= 1  # the change is before the first step


def test_errors_that_disagreement_predicts_are_no_change() -> None:
    """Errors rise a hundredfold: no alarm where the disagreement rises as well, an alarm where it does not."""
    rng = np.random.default_rng(3)
    usual = calibrate(*errors(rng, 10_000), 50_000.0)
    pairs = list(zip(*errors(rng, 100), strict=True))
    expected, unexpected = ChangeDetector(usual.threshold), ChangeDetector(usual.threshold)
    predicted = [expected.update(float(usual.standardise(e * 100**0.7, d * 100))) for e, d in pairs]
    surprising = [unexpected.update(float(usual.standardise(e * 100**0.7, d))) for e, d in pairs]
    assert not any(predicted)
    assert surprising.index(True) < 6


def test_too_little_or_too_uniform_data_is_refused() -> None:
    with pytest.raises(ChangeDetectionError, match=f"and {FEWEST_DECISIONS} are needed"):
        calibrate(np.ones(10), np.ones(10), 100.0)
    with pytest.raises(ChangeDetectionError, match="does not vary"):
        calibrate(np.ones(FEWEST_DECISIONS), np.ones(FEWEST_DECISIONS), 100.0)


def test_errors_that_never_rise_far_still_have_a_threshold() -> None:
    errors = np.random.default_rng(0).uniform(0.0, 1.0, 1_000)
    calibration = calibrate(errors, np.ones(1_000), 50_000.0)
    detector = ChangeDetector(calibration.threshold)
    assert not any(detector.update(float(one)) for one in calibration.standardise(errors, np.ones(1_000)))
    assert sum(not detector.update(10.0) for _ in range(5)) < 5, "a lasting rise is an alarm"


def test_errors_on_training_data_are_scaled_to_their_size_on_new_data() -> None:
    surprise = Surprise()
    surprise.usual = 3.0
    error = np.full(5_000, 1.0)
    np.testing.assert_allclose(as_first_seen(error, surprise), 3.0 * error)
    surprise.usual = 0.5
    np.testing.assert_array_equal(as_first_seen(error, surprise), error)  # never scaled down


def test_the_newest_errors_on_training_data_count_most() -> None:
    """The mean is that which surprise follows: errors that have not changed since are not scaled."""
    surprise, error = Surprise(), np.linspace(0.5, 1.5, 20_000)
    surprise.usual, surprise.count = 0.5, 10**6
    for one in error:
        surprise.observe(float(one))
    np.testing.assert_allclose(as_first_seen(error, surprise), error, rtol=1e-3)
    error[-50:] = 1e6  # accidents, which count as ten usual errors
    assert (as_first_seen(error, surprise) == error).all()
    surprise.usual *= 3.0
    assert as_first_seen(error, surprise)[0] > 1.2 * error[0]


def test_a_test_dates_a_change_where_its_sum_was_last_zero() -> None:
    detector = ChangeDetector(threshold=3.0, allowance=1.0, largest=9.0)
    assert not any(detector.update(number) for number in (0.0, 2.0, -5.0, 2.0, 2.0))
    assert (detector.level, detector.since) == (2.0, 2)
    assert detector.update(3.0)
    assert detector.since == 3


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_erases_no_evidence(number: float) -> None:
    detector, comparison = ChangeDetector(threshold=3.0), ModelComparison()
    for _ in range(2):
        detector.update(2.0)
        comparison.update(2.0, 1.0, 0.0)
    before = (detector.level, detector.since), (comparison.level, comparison.steps, comparison.total)
    assert not detector.update(number)
    assert not comparison.update(number, 1.0, 0.0)
    assert not comparison.update(1.0, number, 0.0)
    assert not comparison.update(2.0, 1.0, number)
    assert (
        (detector.level, detector.since),
        (comparison.level, comparison.steps, comparison.total),
    ) == before
    assert before[0][0] > 0.0
    assert before[1][0] > 0.0


def test_another_model_is_better_when_it_errs_less_and_no_more_than_usual() -> None:
    better, equal, unusual = ModelComparison(), ModelComparison(), ModelComparison()
    assert any(better.update(2.0, 1.0, 0.0) for _ in range(12))
    assert not any(equal.update(1.0, 1.0, 0.0) for _ in range(200))
    assert not any(unusual.update(2.0, 1.0, 2.5) for _ in range(200))


def test_a_model_is_judged_by_the_steps_since_its_sum_was_last_zero() -> None:
    comparison = ModelComparison()
    for _ in range(100):
        comparison.update(1.0, 1.5, -3.0)  # it fitted its own world well, long ago
    assert not any(comparison.update(2.0, 1.0, 2.5) for _ in range(50)), "now it does not"

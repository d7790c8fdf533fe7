"""The CUSUM test: its false alarms and its delay on streams of known distribution."""

from __future__ import annotations

import numpy as np
import pytest

from agent.world_model.change_detection import (
    FEWEST_DECISIONS,
    ChangeDetectionError,
    ChangeDetector,
    ModelComparison,
    calibrate,
    cusum_step,
    excursion_heights,
    threshold_for,
)


def stream(rng: np.random.Generator, decisions: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Errors that follow the disagreement, in logarithms with noise of deviation 0.5 and `shift` of them."""
    disagreement = np.exp(rng.normal(-8.0, 1.0, decisions))
    return np.exp(0.7 * np.log(disagreement) + 0.5 * (rng.normal(0, 1, decisions) + shift)), disagreement


def test_the_calibration_finds_the_parameters_of_a_known_stream() -> None:
    usual = calibrate(*stream(np.random.default_rng(0), 20_000), 1_000.0)
    assert usual.slope == pytest.approx(0.7, abs=0.02)
    assert usual.deviation == pytest.approx(0.5, rel=0.05)
    assert usual.standardise(np.exp(0.7 * -8 + 0.5 * 2), np.exp(-8)) == pytest.approx(2.0, abs=0.1)


def test_the_heights_of_excursions() -> None:
    assert excursion_heights(np.array([1.0, 1.0, -3.0, -1.0, 2.0, -0.5, 1.0, -9.0, 0.5])) == pytest.approx(
        [2.0, 2.5, 0.5]
    )


@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_false_alarms_come_as_often_as_wanted(correlation: float) -> None:
    """Within a factor of three, also when neighbouring steps resemble each other."""
    rng, wanted = np.random.default_rng(1), 1_000.0

    def steps(count: int) -> np.ndarray:
        noise = rng.normal(0, np.sqrt(1 - correlation**2), count)
        level, found = 0.0, np.empty(count)
        for k, fresh in enumerate(noise):
            level = correlation * level + fresh
            found[k] = level
        return found

    test = ChangeDetector(threshold_for(cusum_step(steps(20_000)), wanted))
    alarms = 0
    for standardised in steps(100_000):
        if test.update(standardised):
            alarms += 1
            test = ChangeDetector(test.threshold)
    assert 100_000 / wanted / 3 < alarms < 100_000 / wanted * 3


def test_a_lasting_rise_is_found_within_twenty_steps_and_dated() -> None:
    rng = np.random.default_rng(2)
    usual = calibrate(*stream(rng, 10_000), 50_000.0)
    delays, dated = [], []
    for _ in range(50):
        test = ChangeDetector(usual.threshold)
        error, disagreement = stream(rng, 60, shift=2.0)
        for step, pair in enumerate(zip(error, disagreement, strict=True), 1):
            if test.update(float(usual.standardise(*pair))):
                delays.append(step)
                dated.append(step - test.since)
                break
    assert len(delays) == 50
    assert np.median(delays) <= 12
    assert max(delays) <= 25
    assert np.median(dated) <= 1  # the change was before the first step


def test_disagreement_excuses_an_error() -> None:
    """Errors rise a hundredfold where the heads expect it: no alarm; where they do not: one at once."""
    rng = np.random.default_rng(3)
    usual = calibrate(*stream(rng, 10_000), 50_000.0)
    expected, unexpected = ChangeDetector(usual.threshold), ChangeDetector(usual.threshold)
    error, disagreement = stream(rng, 100)
    excused = [
        expected.update(float(usual.standardise(e * 100**0.7, d * 100)))
        for e, d in zip(error, disagreement, strict=True)
    ]
    blamed = [
        unexpected.update(float(usual.standardise(e * 100**0.7, d)))
        for e, d in zip(error, disagreement, strict=True)
    ]
    assert not any(excused)
    assert blamed.index(True) < 6


def test_too_little_or_constant_data_is_refused() -> None:
    with pytest.raises(ChangeDetectionError, match=f"{FEWEST_DECISIONS} do"):
        calibrate(np.ones(10), np.ones(10), 100.0)
    with pytest.raises(ChangeDetectionError, match="does not vary"):
        calibrate(np.ones(FEWEST_DECISIONS), np.ones(FEWEST_DECISIONS), 100.0)


def test_another_model_is_taken_when_it_errs_less_and_no_more_than_usual() -> None:
    better, equal, unusual = ModelComparison(), ModelComparison(), ModelComparison()
    assert any(better.update(2.0, 1.0, 0.0) for _ in range(12))
    assert not any(equal.update(1.0, 1.0, 0.0) for _ in range(200))
    assert not any(unusual.update(2.0, 1.0, 2.5) for _ in range(200))

"""Change detection: a sequential test of whether the world has changed, at a wanted rate of false alarms.

A prediction error is compared with what the model itself leads to expect: where its heads disagree, it errs
in the known world as well. What remains of the logarithm of the error is the *standardised error*, the
counterpart of a Kalman filter's normalised innovation (Bar-Shalom et al. 2001, section 5.4). One large
standardised error is an accident. Many that are a little large are a change. The CUSUM test (Page 1954) adds
up by how much they exceed an allowance, and never falls below zero. Above a threshold, the world is held to
have changed, most likely where the sum was last zero.

The threshold follows from the wanted rate of false alarms. Excursions of such a sum have an exponential tail
(Iglehart 1972), also where neighbouring steps are correlated. So the highest excursions on known data are
extrapolated to the height that is reached once in so many decisions.
"""

import math
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import scipy  # its parts are imported when they are used: scipy.stats takes a second
from jaxtyping import Float

from agent.perception.surprise import Surprise
from joule_errors import Refused

ALLOWANCE = 1.25
"""In standard deviations: half of the lasting rise that the test looks for (Page 1954). The calibration uses
errors on training data, mostly of the policy; the test runs on new data under plans. The difference is half a
deviation, and one at an episode's start; it must not add up."""
LARGEST_STEP = 2.5
"""In standard deviations: the most that one error adds. A few outliers in a row are not a change."""
FEWEST_DECISIONS = 300
"""Decisions that a calibration needs."""
TAIL_SHARE = 0.2
"""Share of the excursions, the highest ones, whose tail is extrapolated."""
SMALLEST = 1e-12
"""An error or a disagreement below this is rounding."""


Numbers = TypeVar("Numbers", float, np.ndarray)
"""One number, or an array of them."""


class ChangeDetectionError(Refused):
    """Data that does not tell what errors are usual; the message is one sentence."""


@dataclass(frozen=True)
class ErrorCalibration:
    """Errors in a known world: log error = intercept + slope log disagreement + deviation standard error."""

    slope: float
    intercept: float
    deviation: float
    threshold: float
    """Height of the CUSUM sum that is an alarm."""

    def standardise(self, error: Numbers, disagreement: Numbers) -> Numbers:
        """By how many standard deviations log errors exceed what the model's disagreement leads to expect."""
        logs = np.log(np.maximum(error, SMALLEST)), np.log(np.maximum(disagreement, SMALLEST))
        return (logs[0] - self.intercept - self.slope * logs[1]) / self.deviation


def middle_and_deviation(values: np.ndarray) -> tuple[Any, Any]:
    """Median and standard deviation along the first axis, by quartiles: an accident or two must not count."""
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75), axis=0)
    return middle, (high - low) / 1.349


def cusum_step(standardised: Numbers, allowance: float = ALLOWANCE, largest: float = LARGEST_STEP) -> Numbers:
    """What standardised errors add to the CUSUM sum."""
    return np.minimum(standardised, largest) - allowance


def excursion_heights(steps: Float[np.ndarray, " decisions"]) -> Float[np.ndarray, " excursions"]:
    """The height of each excursion of a sum of `steps` that never falls below zero."""
    found, level, highest = [], 0.0, 0.0
    for step in steps:
        level = max(0.0, level + step)
        highest = max(highest, level)
        if level == 0.0 and highest > 0.0:
            found.append(highest)
            highest = 0.0
    return np.array([*found, highest] if highest > 0.0 else found)


def threshold_for(steps: Float[np.ndarray, " decisions"], decisions_per_alarm: float) -> float:
    """The height that a CUSUM sum of `steps` reaches once in `decisions_per_alarm`, by its tail.

    Where the sum never rose, it is that of one number as large as counts: a single accident is no alarm.
    """
    heights = np.sort(excursion_heights(steps))
    if not len(heights):
        return LARGEST_STEP - ALLOWANCE
    tail = max(1, round(TAIL_SHARE * len(heights)))
    start = float(heights[-tail - 1]) if tail < len(heights) else 0.0
    beyond = float((heights[-tail:] - start).mean())
    # Excursions above a height in so many decisions: expected * exp(-(height - start) / beyond), to be one.
    expected = tail / len(steps) * decisions_per_alarm
    return start + beyond * max(float(np.log(expected)), 0.0)


def calibrate(
    error: Float[np.ndarray, " decisions"],
    disagreement: Float[np.ndarray, " decisions"],
    decisions_per_alarm: float,
) -> ErrorCalibration:
    """Calibrates on errors and disagreements in a world that did not change, in the order of time.

    Raises:
        ChangeDetectionError: for fewer than FEWEST_DECISIONS, or where they do not vary.
    """
    if len(error) < FEWEST_DECISIONS:
        raise ChangeDetectionError(
            f"found {len(error)} decisions from which to tell what is usual, and {FEWEST_DECISIONS} are needed"
        )
    y, x = np.log(np.maximum(error, SMALLEST)), np.log(np.maximum(disagreement, SMALLEST))
    slope = float(scipy.stats.linregress(x, y).slope) if np.ptp(x) > 0.0 else 0.0
    rest = y - slope * x
    middle, deviation = map(float, middle_and_deviation(rest))
    if not deviation > 0.0:
        raise ChangeDetectionError("surprise does not vary, so that no rise of it can be judged")
    usual = ErrorCalibration(slope, middle, deviation, np.inf)
    threshold = threshold_for(cusum_step(usual.standardise(error, disagreement)), decisions_per_alarm)
    return ErrorCalibration(slope, middle, deviation, threshold)


def as_first_seen(error: Float[np.ndarray, " decisions"], seen: Surprise) -> Float[np.ndarray, " decisions"]:
    """Errors on data that was learned from, oldest first, scaled to their size when the data was new.

    What has been learned from is predicted better, most so by a young agent. `seen` has the mean error on new
    data, with the weights and the cap that are used here.
    """
    weight = (1.0 - seen.rate) ** np.arange(len(error))[::-1]
    total = max(float(weight.sum()), SMALLEST)
    mean = float((weight * np.minimum(error, 10.0 * seen.usual)).sum() / total)
    return error * max(seen.usual / max(mean, SMALLEST), 1.0)


class ChangeDetector:
    """The CUSUM test in progress.

    Args:
        threshold: height of the sum that is an alarm.
        allowance: what is taken off each number, in its unit.
        largest: the most that one number counts, in its unit.
    """

    def __init__(self, threshold: float, allowance: float = ALLOWANCE, largest: float = LARGEST_STEP) -> None:
        self.threshold, self.allowance, self.largest = threshold, allowance, largest
        self.level = 0.0
        self.since = 0
        """Decisions since the sum was last zero: how long ago a change most likely happened."""

    def update(self, standardised: float, weight: float = 1.0) -> bool:
        """Takes in one step's standardised error. Returns whether the world is held to have changed.

        What it adds to the sum counts by `weight`, from 0 to 1. A number that is not finite says nothing: it leaves
        the sum as it is.
        """
        if not math.isfinite(standardised):
            return self.level > self.threshold
        step = weight * float(cusum_step(standardised, self.allowance, self.largest))
        self.level = max(0.0, self.level + step)
        self.since = self.since + 1 if self.level > 0.0 else 0
        return self.level > self.threshold


class ModelComparison:
    """The CUSUM test of whether another model predicts the present better than the one in use.

    It adds up log(error in use / error of the other), less an allowance, both errors in one latent space. A
    model that is better than the one in use, but errs more than in its own world, is not taken.
    """

    ALLOWANCE, THRESHOLD, LARGEST_STEP = 0.1, 5.0, 3.0
    UNUSUAL = 1.0
    """Mean standardised error above which a model does not fit the present world either."""

    def __init__(self) -> None:
        self.level, self.steps, self.total = 0.0, 0, 0.0

    def update(self, in_use: float, other: float, standardised: float) -> bool:
        """Takes in the errors of one step.

        Args:
            in_use: error of the model in use.
            other: error of the other model.
            standardised: the other's error, standardised in its own world; 0 where that is not known.

        Returns:
            Whether the other is held to be the better model. Numbers that are not finite say nothing of it.
        """
        if not all(map(math.isfinite, (in_use, other, standardised))):
            return self._is_better()
        ratio = np.log(max(in_use, SMALLEST) / max(other, SMALLEST))
        gain = float(np.clip(ratio, -self.LARGEST_STEP, self.LARGEST_STEP))
        self.level = max(0.0, self.level + gain - self.ALLOWANCE)
        if self.level == 0.0:
            self.steps, self.total = 0, 0.0
            return False
        self.steps, self.total = self.steps + 1, self.total + min(standardised, self.LARGEST_STEP)
        return self._is_better()

    def _is_better(self) -> bool:
        return self.level > self.THRESHOLD and self.total < self.UNUSUAL * self.steps

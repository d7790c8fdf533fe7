"""Several signals of a changed world, at one joint rate of false alarms.

No single sign shows every change. Each signal turns a step into a number that is low in the known world, a
CUSUM test adds these numbers up, and its threshold is calibrated on episodes in the known world. Each signal is
given an equal share of the joint rate of false alarms, so that together they keep it.

A test adds up what is independent. A robot that lies still errs by the same error at every decision, which is one
error. So where the latent hardly changes from one decision to the next, the step counts for less.

- errors: the size of the prediction error, given the ensemble's disagreement.
- correction: whether the errors can be predicted from the last ones (`correction_statistic`).
- shortfall: the TD error of the cost-to-go. The world is worse than the critic expects.
- falls: terminations, against their usual rate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from agent.world_model.change_detection import (
    ALLOWANCE,
    LARGEST_STEP,
    SMALLEST,
    ChangeDetector,
    calibrate,
    cusum_step,
    excursion_heights,
    middle_and_deviation,
    threshold_for,
)
from agent.world_model.correction_statistic import CorrectionTest
from agent.world_model.home_episodes import HomeEpisodes
from agent.world_model.observed_steps import ObservedSteps
from agent.world_model.residuals import HomeResiduals

FALL_RATIO = 8.0
"""Falls are tested against so many times their usual rate."""
FALLS_ADDED = 2
"""Falls that are added to those in the known world: the rate of rare events is not known exactly."""
WITHOUT_EXCURSION = 10.0
"""Threshold of a sum that never rose in the known world: one large number is no change."""

FAST, FULL_CHANGE = 0.9, 0.3
"""The change of the latent in a fast decision, as a quantile: in most decisions a robot may stand still.
After that share of it a step counts wholly, after half of the share by half."""


class StepWeight:
    """By how much steps count: the change of the latent since the step before, against that of a fast step.

    Args:
        z: latents in the known world, in the order of time [rows, latent].
    """

    def __init__(self, z: np.ndarray) -> None:
        self.full = max(FULL_CHANGE * float(np.quantile(self._changes(z), FAST)), SMALLEST)
        self._before: np.ndarray | None = None

    @staticmethod
    def _changes(z: np.ndarray) -> np.ndarray:
        return np.linalg.norm(np.diff(z, axis=0), axis=-1)

    def of_rows(self, z: np.ndarray) -> np.ndarray:
        """The weights of steps in the order of time, [rows]; the first counts wholly."""
        return np.append(1.0, np.minimum(self._changes(z) / self.full, 1.0))

    def next(self, z: np.ndarray) -> float:
        """The weight of a step with latent `z` [1, latent], which follows that of the call before."""
        rows = z if self._before is None else np.concatenate((self._before, z))
        self._before = z
        return float(self.of_rows(rows)[-1])

    def reset(self) -> None:
        """Forgets all steps."""
        self._before = None


class Signal(Protocol):
    """Turns steps into numbers that are low in the known world."""

    def numbers(self, steps: ObservedSteps) -> np.ndarray:
        """One number for each of the steps [rows], which follow those of the call before."""
        ...


class Errors:
    """The size of the error, given the ensemble's disagreement; in standard deviations."""

    def __init__(self, home: ObservedSteps) -> None:
        self.calibration = calibrate(np.mean(home.error**2, -1), home.disagreement, 1.0)

    def numbers(self, steps: ObservedSteps) -> np.ndarray:
        """See `Signal`."""
        return self.calibration.standardise(np.mean(steps.error**2, -1), steps.disagreement)


class Correction:
    """The log-likelihood ratio of the correction test; in nats."""

    def __init__(self, home: ObservedSteps) -> None:
        self.residuals = HomeResiduals(home)
        self.test = CorrectionTest(1 + len(self.residuals.middle), self.residuals.axes.shape[1])

    def numbers(self, steps: ObservedSteps) -> np.ndarray:
        """See `Signal`."""
        pairs = zip(self.residuals.features(steps), self.residuals.standardise(steps), strict=True)
        return np.array([self.test.update(x, y) for x, y in pairs])


class Shortfall:
    """The TD error of the cost-to-go; in standard deviations."""

    def __init__(self, home: ObservedSteps) -> None:
        self.middle, deviation = middle_and_deviation(home.shortfall)
        self.deviation = max(float(deviation), SMALLEST)

    def numbers(self, steps: ObservedSteps) -> np.ndarray:
        """See `Signal`."""
        return (steps.shortfall - self.middle) / self.deviation


class Falls:
    """The log-likelihood ratio of falls that come FALL_RATIO times as often as usual; in nats."""

    def __init__(self, home: ObservedSteps) -> None:
        self.rate = (int(home.terminated.sum()) + FALLS_ADDED) / len(home)

    def numbers(self, steps: ObservedSteps) -> np.ndarray:
        """See `Signal`."""
        return steps.terminated * np.log(FALL_RATIO) - (FALL_RATIO - 1.0) * self.rate


def tail_threshold(
    sums: np.ndarray, decisions_per_alarm: float, margin: float = 1.5, outlier: float = 2.0
) -> float:
    """A threshold by the tail of the sums, at least `margin` times the highest, unless that is an outlier.

    Args:
        sums: what the numbers add to the sum in the known world, [decisions].
        decisions_per_alarm: one false alarm in so many is wanted.
        margin: see above.
        outlier: the threshold is at most so many times what the tail leads to expect.
    """
    heights = excursion_heights(sums)
    if not len(heights):
        return WITHOUT_EXCURSION
    extrapolated = threshold_for(sums, decisions_per_alarm)
    highest = margin * float(heights.max())
    # A single episode that went wrong, out of ten, must not make a signal deaf.
    return min(max(extrapolated, highest), outlier * extrapolated)


def fall_threshold(sums: np.ndarray, decisions_per_alarm: float) -> float:
    """The threshold of `Falls`; arguments as for `tail_threshold`.

    A sum of log-likelihood ratios exceeds h by chance at most once in exp(h) events; each fall is one.
    """
    rate = max(float(-sums.min()) / (FALL_RATIO - 1.0), 1.0 / len(sums))
    return max(float(np.log(max(decisions_per_alarm * rate, 1.0))), 2.0 * float(np.log(FALL_RATIO)))


@dataclass(frozen=True)
class Kind:
    """One kind of signal, and its CUSUM test."""

    make: Callable[[ObservedSteps], Signal]
    allowance: float
    """What is taken off each number."""
    largest: float
    """The most that one number counts."""
    threshold: Callable[[np.ndarray, float], float] = tail_threshold
    """From what the numbers add to the sum in the known world, and the decisions per false alarm."""


KINDS: dict[str, Kind] = {
    "errors": Kind(Errors, ALLOWANCE, LARGEST_STEP),
    # Its sums have the heaviest tail: one stumble points one way for dozens of decisions.
    "correction": Kind(Correction, 1.5, 6.0, partial(tail_threshold, margin=2.0, outlier=2.5)),
    "shortfall": Kind(Shortfall, 1.0, 3.0, partial(tail_threshold, margin=2.5)),
    "falls": Kind(Falls, 0.0, 10.0, fall_threshold),
}
"""Name -> kind."""


@dataclass(frozen=True)
class Alarm:
    """A change that was noticed."""

    signal: str
    """Which signal noticed it."""
    since: int
    """How many decisions before, the change most likely happened."""


class Signals:
    """The signals at work, calibrated on episodes in the known world.

    Args:
        home: the episodes.
        decisions_per_alarm: in the known world, all signals together raise one false alarm in so many.

    Raises:
        ChangeDetectionError: for episodes that do not tell what is usual.
    """

    def __init__(self, home: HomeEpisodes, decisions_per_alarm: float) -> None:
        self.home, self.thresholds = home, dict[str, float]()
        half = home.halves
        self.weight = StepWeight(home.steps.z)
        weights = self.weight.of_rows(home.steps.z)
        weights = np.concatenate((weights[half], weights[~half]))
        for name, kind in KINDS.items():
            # What is fitted to steps fits them too well: each half is judged by a signal made of the other.
            judged = np.concatenate([
                kind.make(home.steps.at(~part)).numbers(home.steps.at(part)) for part in (half, ~half)
            ])  # fmt: skip
            sums = weights * cusum_step(judged, kind.allowance, kind.largest)
            self.thresholds[name] = kind.threshold(sums, decisions_per_alarm * len(KINDS))
        self.reset()

    def reset(self) -> None:
        """Forgets all steps: the world is the known one."""
        self.weight.reset()
        self.signals = {name: kind.make(self.home.steps) for name, kind in KINDS.items()}
        self.tests = {
            name: ChangeDetector(self.thresholds[name], kind.allowance, kind.largest)
            for name, kind in KINDS.items()
        }

    def update(self, step: ObservedSteps) -> Alarm | None:
        """Takes in one step. Returns an alarm where a signal notices a change."""
        found, weight = None, self.weight.next(step.z)
        for name, test in self.tests.items():
            number = float(self.signals[name].numbers(step)[0])
            if test.update(number, weight) and found is None:
                found = Alarm(name, max(1, test.since))
        return found

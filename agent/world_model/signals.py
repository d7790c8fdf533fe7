"""Several signals of a changed world, at one joint rate of false alarms.

No single sign shows every change. Each signal turns a step into a number that is low in the known world, a
CUSUM test adds these numbers up, and its threshold is calibrated on episodes in the known world. Each signal is
given an equal share of the joint rate of false alarms, so that together they keep it.

A test adds up what is independent. A robot that lies still errs by the same error at every decision, and one that
struggles on its back by the same few, which are no more evidence each time. So a step counts by how new its latent
is: by its distance from those of the last hundred steps.

- errors: the size of the prediction error, given the ensemble's disagreement.
- correction: whether the errors can be predicted from the last ones (`correction_statistic`).
- shortfall: the TD error of the cost-to-go. The world is worse than the critic expects.
- falls: terminations, against their usual rate.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
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

WEIGHTS = (1.0, 0.3, 0.1)
"""Of remembered steps: the one under which the known world speaks least for a correction is taken."""
RECALLED = 100
"""Steps before a step with which it is compared."""
NEW = 0.9
"""Newness of the latent from which on a step counts wholly, as a quantile: in most decisions a robot may stand
still. After half of it a step counts by half."""
_ROWS = 256
"""Rows whose newness is computed at once."""


class StepWeight:
    """By how much steps count: how new the latent is, against that of a new step in the known world.

    The newness of a latent is its distance from the nearest one of the last RECALLED steps.

    Args:
        z: latents in the known world, in the order of time [rows, latent].
    """

    def __init__(self, z: np.ndarray) -> None:
        self.full = max(float(np.quantile(self._newness(z), NEW)), SMALLEST)
        self._before = np.zeros((0, z.shape[1]))

    @staticmethod
    def _newness(z: np.ndarray) -> np.ndarray:
        """That of all rows but the first, [rows - 1]."""
        found = []
        for begin in range(1, len(z), _ROWS):
            rows = np.arange(begin, min(begin + _ROWS, len(z)))
            others = np.arange(max(0, begin - RECALLED), rows[-1])
            since = rows[:, None] - others
            squares = _squares(z[rows])[:, None] + _squares(z[others]) - 2.0 * z[rows] @ z[others].T
            nearest = np.where((since > 0) & (since <= RECALLED), squares, np.inf).min(1)
            found.append(np.sqrt(np.maximum(nearest, 0.0)))
        return np.concatenate(found)

    def of_rows(self, z: np.ndarray) -> np.ndarray:
        """The weights of steps in the order of time, [rows]; the first counts wholly."""
        return np.append(1.0, np.minimum(self._newness(z) / self.full, 1.0))

    def next(self, z: np.ndarray) -> float:
        """The weight of a step with latent `z` [1, latent], which follows those of the calls before."""
        before = self._before
        self._before = np.concatenate((before[1 - RECALLED :], z))
        return min(float(np.sqrt(_squares(before - z).min())) / self.full, 1.0) if len(before) else 1.0

    def reset(self) -> None:
        """Forgets all steps."""
        self._before = self._before[:0]


def _squares(z: np.ndarray) -> np.ndarray:
    """The squared length of each row."""
    return np.einsum("rk,rk->r", z, z)


class Signal(Protocol):
    """Turns steps into numbers that are low in the known world."""

    def numbers(self, steps: ObservedSteps) -> np.ndarray:
        """One number for each of the steps [rows], which follow those of the call before."""
        ...


class Errors:
    """The size of the error, given the ensemble's disagreement; in standard deviations."""

    def __init__(self, home: HomeEpisodes) -> None:
        steps = home.steps
        self.calibration = calibrate(np.mean(steps.error**2, -1), steps.disagreement, 1.0)

    def numbers(self, steps: ObservedSteps) -> np.ndarray:
        """See `Signal`."""
        return self.calibration.standardise(np.mean(steps.error**2, -1), steps.disagreement)


class Correction:
    """The log-likelihood ratio of the correction test; in nats."""

    def __init__(self, home: HomeEpisodes) -> None:
        self.residuals = HomeResiduals(home.steps, home.remembered, home.remembered_weight)
        self.test = CorrectionTest(1 + len(self.residuals.middle), self.residuals.axes.shape[1])

    def numbers(self, steps: ObservedSteps) -> np.ndarray:
        """See `Signal`."""
        pairs = zip(self.residuals.features(steps), self.residuals.standardise(steps), strict=True)
        return np.array([self.test.update(x, y) for x, y in pairs])


class Shortfall:
    """The TD error of the cost-to-go; in standard deviations."""

    def __init__(self, home: HomeEpisodes) -> None:
        self.middle, deviation = middle_and_deviation(home.steps.shortfall)
        self.deviation = max(float(deviation), SMALLEST)

    def numbers(self, steps: ObservedSteps) -> np.ndarray:
        """See `Signal`."""
        return (steps.shortfall - self.middle) / self.deviation


class Falls:
    """The log-likelihood ratio of falls that come FALL_RATIO times as often as usual; in nats."""

    def __init__(self, home: HomeEpisodes) -> None:
        self.rate = (int(home.steps.terminated.sum()) + FALLS_ADDED) / len(home.steps)

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

    make: Callable[[HomeEpisodes], Signal]
    allowance: float
    """What is taken off each number."""
    largest: float
    """The most that one number counts."""
    threshold: Callable[[np.ndarray, float], float] = tail_threshold
    """From what the numbers add to the sum in the known world, and the decisions per false alarm."""
    uses_remembered: bool = False
    """Whether it learns usual errors from remembered steps too."""


KINDS: dict[str, Kind] = {
    "errors": Kind(Errors, ALLOWANCE, LARGEST_STEP),
    # Its sums have the heaviest tail: one stumble points one way for dozens of decisions.
    "correction": Kind(Correction, 1.5, 6.0, partial(tail_threshold, margin=3.5, outlier=4.4), True),
    "shortfall": Kind(Shortfall, 1.0, 3.0, partial(tail_threshold, margin=2.5)),
    "falls": Kind(Falls, 0.0, 10.0, fall_threshold),
}
"""Name -> kind."""


def calibrated(kind: Kind, home: HomeEpisodes, weights: np.ndarray, decisions_per_alarm: float) -> float:
    """The threshold of a signal.

    Args:
        kind: of the signal.
        home: the episodes.
        weights: of their steps, [rows].
        decisions_per_alarm: one false alarm of it in so many is wanted.
    """
    half = home.halves
    # What is fitted to steps fits them too well: each half is judged by a signal made of the other.
    judged = np.concatenate([
        kind.make(home.at(~part)).numbers(home.steps.at(part)) for part in (half, ~half)
    ])  # fmt: skip
    ordered = np.concatenate((weights[half], weights[~half]))
    return kind.threshold(ordered * cusum_step(judged, kind.allowance, kind.largest), decisions_per_alarm)


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
        self.weight = StepWeight(home.steps.z)
        weights = self.weight.of_rows(home.steps.z)
        each = decisions_per_alarm * len(KINDS)
        self.home, self.thresholds = home, dict[str, float]()
        for name, kind in KINDS.items():
            tried = (
                WEIGHTS if kind.uses_remembered and home.remembered is not None else [home.remembered_weight]
            )
            found = [replace(home, remembered_weight=weight) for weight in tried]
            thresholds = [calibrated(kind, of, weights, each) for of in found]
            best = int(np.argmin(thresholds))
            self.thresholds[name] = thresholds[best]
            if kind.uses_remembered:
                self.home = found[best]
        self._made = {name: kind.make(self.home) for name, kind in KINDS.items()}
        """The signals before any step: to fit them again at each alarm would take a tenth of a second."""
        self.reset()

    def reset(self) -> None:
        """Forgets all steps: the world is the known one."""
        self.weight.reset()
        self.watch_anew()

    def watch_anew(self) -> None:
        """Begins all tests again, as after an alarm. States that were met just before stay known."""
        self.signals = copy.deepcopy(self._made)
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

"""VIGILANCE: has the world changed? A sequential test on surprise, with a wanted rate of false alarms.

A prediction error is judged by what the model itself expects it to be: where its heads disagree, it errs in
the known world as well, at an episode's start, at a stumble. What is left of the logarithm of the error after
that is the *excess*, the counterpart of a Kalman filter's normalised innovation (Bar-Shalom et al. 2001,
section 5.4). One large excess is a stumble; many that are a little large are another world. Page's test
(1954) adds up by how much excesses exceed an allowance, and never falls below zero; the world has changed
once the sum passes a limit. Where the sum was last zero is the most likely moment of the change.

The limit follows from the wanted rate of false alarms: excursions of such a sum have an exponential tail
(Iglehart 1972), also where neighbouring steps resemble each other, so the highest excursions of a stretch of
known life are extrapolated to the height that is reached once in so many decisions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from agent.perception.surprise import Surprise
from joule_errors import Refused

ALLOWANCE = 1.25
"""In standard deviations: half of the lasting rise that is looked for (Page 1954). A smaller one would be
used up by the gap between errors on what was learned from, mostly drawn by the policy, which calibrate, and
errors on the course of the best plan, which is what is met: half a deviation, at an episode's start one."""
MOST = 2.5
"""In standard deviations: what one step counts at most. A few shocks in a row do not make another world."""
LEAST_LIVED = 300
"""Decisions of known life that a calibration needs."""
TAIL = 0.2
"""Share of the excursions, the highest ones, whose tail is extrapolated."""
TINY = 1e-12
"""Below it an error or a disagreement is rounding."""


class VigilanceError(Refused):
    """A stretch of life that tells nothing of what is usual; the message is one sentence."""


@dataclass(frozen=True)
class Usual:
    """What errors are in a known world: log error = intercept + slope log disagreement + deviation excess."""

    slope: float
    intercept: float
    deviation: float
    limit: float
    """How high Page's sum may rise."""

    def excess(self, error: np.ndarray | float, disagreement: np.ndarray | float) -> np.ndarray:
        """By how many standard deviations log errors lie above what the model's disagreement lets expect."""
        logs = np.log(np.maximum(error, TINY)), np.log(np.maximum(disagreement, TINY))
        return (logs[0] - self.intercept - self.slope * logs[1]) / self.deviation


def counted(excess: np.ndarray | float) -> np.ndarray:
    """What excesses add to Page's sum."""
    return np.minimum(excess, MOST) - ALLOWANCE


def peaks(steps: Float[np.ndarray, " decisions"]) -> Float[np.ndarray, " excursions"]:
    """The height of each excursion of a sum of `steps` that never falls below zero."""
    found, level, highest = [], 0.0, 0.0
    for step in steps:
        level = max(0.0, level + step)
        highest = max(highest, level)
        if level == 0.0 and highest > 0.0:
            found.append(highest)
            highest = 0.0
    return np.array([*found, highest] if highest > 0.0 else found)


def limit_for(steps: Float[np.ndarray, " decisions"], decisions_per_alarm: float) -> float:
    """The height that Page's sum reaches once in `decisions_per_alarm`, by the tail of what it reached.

    Raises VigilanceError when the sum never rose.
    """
    heights = np.sort(peaks(steps))
    if not len(heights):
        raise VigilanceError("surprise does not vary, so that no rise of it can be judged")
    tail = max(1, round(TAIL * len(heights)))
    start = float(heights[-tail - 1]) if tail < len(heights) else 0.0
    beyond = float((heights[-tail:] - start).mean())
    # Excursions above a height in so many decisions: expected * exp(-(height - start) / beyond), to be one.
    expected = tail / len(steps) * decisions_per_alarm
    return start + beyond * max(float(np.log(expected)), 0.0)


def calibrate(
    error: Float[np.ndarray, " decisions"],
    disagreement: Float[np.ndarray, " decisions"],
    decisions_per_alarm: float,
) -> Usual:
    """What is usual, from errors and disagreements in a world that did not change, in the order of life.

    Raises VigilanceError when there are fewer than LEAST_LIVED, or they do not vary.
    """
    if len(error) < LEAST_LIVED:
        raise VigilanceError(f"{len(error)} decisions do not tell what is usual; {LEAST_LIVED} do")
    y, x = np.log(np.maximum(error, TINY)), np.log(np.maximum(disagreement, TINY))
    across = x - x.mean()
    slope = float((across * y).sum() / max(float((across * across).sum()), TINY))
    rest = y - slope * x
    # Median and quartiles: a stumble or two in the stretch must not pass for the usual.
    low, middle, high = np.quantile(rest, (0.25, 0.5, 0.75))
    deviation = float(high - low) / 1.349
    if not deviation > 0.0:
        raise VigilanceError("surprise does not vary, so that no rise of it can be judged")
    usual = Usual(slope, float(middle), deviation, np.inf)
    limit = limit_for(counted(usual.excess(error, disagreement)), decisions_per_alarm)
    return Usual(slope, float(middle), deviation, limit)


def as_met(error: Float[np.ndarray, " decisions"], met: Surprise) -> Float[np.ndarray, " decisions"]:
    """Errors of what was lived, oldest first, as large as they were when it was met.

    What has been learned from since is predicted better, most so by a young agent; `met` has the mean of
    errors on what was new, with the weights and the cap that are used here.
    """
    weight = (1.0 - met.rate) ** np.arange(len(error))[::-1]
    mean = float((weight * np.minimum(error, 10.0 * met.usual)).sum() / max(float(weight.sum()), TINY))
    return error * max(met.usual / max(mean, TINY), 1.0)


class Vigilance:
    """Page's test in progress."""

    def __init__(self, limit: float):
        self.limit = limit
        self.level = 0.0
        self.since = 0
        """Decisions since the sum was last zero: how long ago a change is most likely to have been."""

    def watch(self, excess: float) -> bool:
        """Takes in one step's excess; whether the world is held to have changed."""
        self.level = max(0.0, self.level + float(counted(excess)))
        self.since = self.since + 1 if self.level > 0.0 else 0
        return self.level > self.limit


class Rival:
    """Page's test between two models: does another explain the present better than the one in use?

    It adds up log(error in use / error of the rival), less an allowance, both errors in one latent space. A
    rival that is better than the one in use, and yet errs as in a strange world, is not taken.
    """

    ALLOWANCE, LIMIT, MOST = 0.1, 5.0, 3.0
    STRANGE = 1.0
    """Mean excess, in standard deviations, from which on a rival is as much a stranger here."""

    def __init__(self) -> None:
        self.level, self.steps, self.total = 0.0, 0, 0.0

    def watch(self, in_use: float, rival: float, excess: float) -> bool:
        """Takes in the errors of one step, and the rival's excess in its own world (0 when not known);
        whether the rival is held to be the better model."""
        gain = float(np.clip(np.log(max(in_use, TINY) / max(rival, TINY)), -self.MOST, self.MOST))
        self.level = max(0.0, self.level + gain - self.ALLOWANCE)
        if self.level == 0.0:
            self.steps, self.total = 0, 0.0
            return False
        self.steps, self.total = self.steps + 1, self.total + min(excess, self.MOST)
        return self.level > self.LIMIT and self.total < self.STRANGE * self.steps

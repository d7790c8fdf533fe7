"""Surprise: the prediction error of what was observed, over the usual error.

A one-step prediction is made before the observation is known, so its error is always held out. It is divided
by a running mean of such errors. The weight of a new error starts at one and falls to `rate`, so that the
first errors calibrate the mean at once.
"""

import math

import numpy as np


class Surprise:
    """Running calibration of latent prediction errors.

    Args:
        rate: final weight of a new error in the mean.
    """

    def __init__(self, rate: float = 1e-3):
        self.rate = rate
        self.usual = 0.0
        """The running mean; 0 before the first error."""
        self.count = 0

    def relative(self, errors: np.ndarray) -> np.ndarray:
        """Errors over the usual one; NaN before the first error."""
        return errors / self.usual if self.usual > 0.0 else np.full_like(errors, np.nan)

    def observe(self, error: float) -> float:
        """Takes in a held-out error. Returns its surprise, relative to the mean before."""
        surprise = error / self.usual if self.usual > 0.0 else 1.0
        if not math.isfinite(error):  # it says nothing of what is usual
            return surprise
        self.count += 1
        weight = max(self.rate, 1.0 / self.count)
        # Capped: one outlier must not redefine what is usual.
        capped = min(error, 10.0 * self.usual) if self.usual > 0.0 else error
        self.usual += weight * (capped - self.usual)
        return surprise

"""Surprise: the prediction energy of what really happened, calibrated so that 1 means as usual.

The error of a one-step prediction made before the observation was seen is always held out. It is
divided by what such errors usually are: a running mean whose weight starts at one and falls to
`rate`, so that the first errors calibrate it at once.
"""

import numpy as np


class Surprise:
    """Running calibration of latent prediction errors."""

    def __init__(self, rate: float = 1e-3):
        self.rate = rate
        self.usual = 0.0
        self.count = 0

    def relative(self, errors: np.ndarray) -> np.ndarray:
        """Errors over the usual one; NaN before anything was observed."""
        return errors / self.usual if self.usual > 0.0 else np.full_like(errors, np.nan)

    def observe(self, error: float) -> float:
        """Surprise of one held-out error, which then counts towards what is usual."""
        surprise = error / self.usual if self.usual > 0.0 else 1.0
        self.count += 1
        weight = max(self.rate, 1.0 / self.count)
        # A single leap must not redefine what is usual.
        capped = min(error, 10.0 * self.usual) if self.usual > 0.0 else error
        self.usual += weight * (capped - self.usual)
        return surprise

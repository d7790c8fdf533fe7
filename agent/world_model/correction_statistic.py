"""The correction test: can the model's errors be predicted from its last errors? In a changed world they can.

Stronger gravity, a weak motor or a heavy torso turn every error into a direction that follows from the state and
the action. Noise does not. So a linear correction of the predictions is learned online, by recursive least
squares with forgetting, and each step is judged before it is learned from: the logarithm of the likelihood of the
error under the corrected prediction, over that without correction (a prequential test; Dawid 1984). Where there
is nothing to correct, the ratio is negative on average, because a correction of noise does harm.
"""

from __future__ import annotations

import numpy as np

FORGETTING = 0.98
"""Weight of the step before: the correction is that of the last fifty steps or so."""
PRIOR_STD = 0.15
"""Standard deviation of a coefficient before any step, in standard deviations of an error for one of a feature."""
DEGREES = 32.0
"""Of freedom of Student's t, by whose density errors are judged: errors have heavier tails than a normal's."""
LARGEST = 3.0
"""In standard deviations, on the mean of the axes: an error is learned from as if it were no larger."""


class CorrectionTest:
    """The test in progress.

    Args:
        features: number of features.
        axes: number of errors of a step.
    """

    def __init__(self, features: int, axes: int) -> None:
        self.precision = np.zeros((features, features))
        self.moments = np.zeros((features, axes))
        self._prior = np.eye(features) / PRIOR_STD**2

    def update(self, x: np.ndarray, y: np.ndarray) -> float:
        """Judges a step, and then learns from it.

        Args:
            x: features [features].
            y: standardised errors [axes].

        Returns:
            The log-likelihood ratio of the corrected prediction against the one without.
        """
        axes = len(y)
        direction = np.linalg.solve(self.precision + self._prior, x)
        widening = 1.0 + float(x @ direction)
        rest = y - direction @ self.moments
        plain, corrected = float(y @ y), float(rest @ rest) / widening
        ratio = 0.5 * (DEGREES + axes) * (np.log1p(plain / DEGREES) - np.log1p(corrected / DEGREES))
        ratio -= 0.5 * axes * np.log(widening)
        learned = y * min(1.0, LARGEST / np.sqrt(plain / axes + 1e-9))
        self.precision = FORGETTING * self.precision + np.outer(x, x)
        self.moments = FORGETTING * self.moments + np.outer(x, learned)
        return float(ratio)

"""Signed prediction errors made comparable: what is usual in the known world is taken out, the rest is whitened.

A model errs in the world that it has learned, too, and on a steady gait it errs the same way in every stride. A
ridge regression on steps of the known world predicts these errors from the latent, the action and the readouts.
Some of these steps are of training, where the robot was in states that it hardly ever meets now.
What remains is divided by the size that the ensemble's disagreement leads to expect, and projected onto its
principal axes, each of unit size in the known world.
"""

from __future__ import annotations

import numpy as np

from agent.world_model.change_detection import SMALLEST, middle_and_deviation
from agent.world_model.observed_steps import ObservedSteps

AXES = 16
"""Principal axes of the errors that are kept at most."""
RIDGE = 20.0
"""Weight of the prior in the regression, in rows."""
OUTLIER = 5.0
"""In standard deviations: errors count as no larger in the regression."""
FARTHEST = 3.0
"""In standard deviations: the most that one quantity may deviate as a feature."""


class HomeResiduals:
    """The usual errors of a model in the known world.

    Args:
        home: steps on which it was not trained.
        remembered: steps of training, which the regression alone uses: the usual size of errors is that of steps on
            which the model was not trained.
        weight: of one of these steps in the regression, beside one of the others.
    """

    def __init__(
        self, home: ObservedSteps, remembered: ObservedSteps | None = None, weight: float = 1.0
    ) -> None:
        self.middle = home.quantities.mean(0)
        self.spread = home.quantities.std(0) + 1e-6
        self.z_middle = home.z.mean(0)
        largest = OUTLIER * home.error.std(0) + SMALLEST
        x = self._explaining(home)
        gram = x.T @ x + RIDGE * np.eye(x.shape[1])
        moments = x.T @ np.clip(home.error, -largest, largest)
        if remembered is not None:
            rows = self._explaining(remembered)
            gram += weight * rows.T @ rows
            moments += weight * rows.T @ np.clip(remembered.error, -largest, largest)
        self.weights = np.linalg.solve(gram, moments)
        rest = home.error - x @ self.weights
        logs = np.log(np.maximum(home.disagreement, SMALLEST))
        size = np.log(np.maximum((rest**2).mean(1), SMALLEST))
        varies = float(np.var(logs)) > SMALLEST
        self.exponent = 0.5 * float(np.cov(logs, size)[0, 1] / np.var(logs, ddof=1)) if varies else 0.0
        self.usual_log = float(logs.mean())
        rest = rest * self._scale(home)[:, None]
        variances, axes = np.linalg.eigh(np.cov(rest.T))
        kept = [k for k in np.argsort(variances)[::-1][:AXES] if variances[k] > 1e-6 * variances.max()]
        self.axes = axes[:, kept] / np.sqrt(np.maximum(variances[kept], SMALLEST))
        _, deviations = middle_and_deviation(rest @ self.axes)
        self.axes = self.axes / np.maximum(deviations, 0.3)

    def features(self, steps: ObservedSteps) -> np.ndarray:
        """What a change may act through: 1, the action, the readouts; [rows, features], standardised."""
        deviations = np.clip((steps.quantities - self.middle) / self.spread, -FARTHEST, FARTHEST)
        return np.concatenate((np.ones((len(steps), 1)), deviations), 1)

    def standardise(self, steps: ObservedSteps) -> np.ndarray:
        """The errors beyond the usual ones, [rows, axes]; of about unit size in the known world."""
        rest = steps.error - self._explaining(steps) @ self.weights
        return (rest * self._scale(steps)[:, None]) @ self.axes

    def _explaining(self, steps: ObservedSteps) -> np.ndarray:
        """[rows, features + latent]. SimNorm's latents are small: a factor puts them on the features' scale."""
        return np.concatenate((self.features(steps), 4.0 * (steps.z - self.z_middle)), 1)

    def _scale(self, steps: ObservedSteps) -> np.ndarray:
        logs = np.log(np.maximum(steps.disagreement, SMALLEST))
        return np.exp(-self.exponent * (logs - self.usual_log))

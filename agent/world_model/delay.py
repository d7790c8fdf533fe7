"""Actions that take effect late: by how many decisions is inferred, and plans begin at the moment of effect.

Where commands are late, the dynamics are those of training, but the next observation follows from an action of
before. No model that reads the newest action can predict that, and none has to be learned: the model of
training predicts each step from the action that was due. A test compares its errors for every delay. Once it
knows the delay, the agent predicts the state at which its next action will take effect, from the actions that
are on their way, and decides for that state (Smith 1957; Walsh, Nouri, Li and Littman 2009).
"""

from __future__ import annotations

from collections import deque

import numpy as np

from agent.world_model.change_detection import ErrorCalibration, ModelComparison

LARGEST_DELAY = 3
"""Decisions by which actions are late at most, so that it is found."""
DELAY = "delay"
"""What noticed that actions take effect earlier or later than before."""


class Delay:
    """How late actions take effect now, and the test for another delay.

    Args:
        act: numbers of an action.
    """

    def __init__(self, act: int) -> None:
        self.decisions = 0
        """By which actions are late, as far as is known."""
        self._nothing = np.zeros(act, np.float32)
        self._taken: deque[np.ndarray] = deque(maxlen=LARGEST_DELAY + 1)
        self._tests: dict[int, ModelComparison] = {}
        self.watch_anew()

    def watch_anew(self) -> None:
        """Tests of other delays begin again."""
        self._tests = {delay: ModelComparison() for delay in range(LARGEST_DELAY + 1)}

    def begin_episode(self) -> None:
        """No action is on its way."""
        self._taken.clear()

    def take(self, action: np.ndarray) -> None:
        """The agent has chosen this action [act], and a step followed."""
        self._taken.append(np.asarray(action, np.float32))

    def due(self, delay: int | None = None) -> np.ndarray:
        """The action [act] that took effect in the newest step; zeros before the first one did.

        Args:
            delay: in place of the one that is known.
        """
        delay = self.decisions if delay is None else delay
        return self._taken[-1 - delay] if delay < len(self._taken) else self._nothing

    @property
    def pending(self) -> np.ndarray:
        """The actions [delay, act] that are on their way, the one that is due next first."""
        late = [self.due(delay) for delay in range(self.decisions - 1, -1, -1)]
        return np.stack(late) if late else np.zeros((0, len(self._nothing)), np.float32)

    @property
    def others(self) -> list[int]:
        """Other delays that the newest step says something of."""
        return [delay for delay in range(len(self._taken)) if delay != self.decisions]

    def better(
        self, error: float, others: list[tuple[float, float]], calibration: ErrorCalibration
    ) -> int | None:
        """Another delay with which the model of training predicts better; None while there is none.

        Args:
            error: of the newest step, by the model in use with the delay that is known.
            others: error and disagreement of the model of training for each of `others`.
            calibration: its usual errors.
        """
        found = [
            delay
            for delay, pair in zip(self.others, others, strict=True)
            if self._tests[delay].update(error, pair[0], float(calibration.standardise(*pair)))
        ]
        return max(found, key=lambda delay: self._tests[delay].level, default=None)

    def use(self, delay: int) -> int:
        """From now on this delay is known. Returns since how many steps it most likely holds."""
        since = max(1, self._tests[delay].steps)
        self.decisions = delay
        self.watch_anew()
        return since

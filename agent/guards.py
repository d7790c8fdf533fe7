"""What must never go on unseen: learning that is no longer finite, and a representation that collapsed."""

from collections.abc import Mapping

import numpy as np

COLLAPSED_IN_A_ROW = 3
"""Measurements that must agree before a collapse is believed: a young encoder passes through low ranks."""


class StopRun(RuntimeError):
    """A run that must not go on; the message is one sentence that says why."""


class SkipBudget:
    """Gradient steps may be skipped, but not many: more than `limit` among the last `window` end the run."""

    def __init__(self, limit: int, window: int = 100):
        self.limit, self.window = limit, window
        self.total = 0
        self.recent: list[int] = []
        """Numbers of the updates that were skipped, as far as the window reaches back."""

    def skipped(self, update: int, cause: str) -> None:
        """Takes note that update number `update` was skipped. Raises StopRun beyond the limit."""
        self.total += 1
        self.recent = [number for number in self.recent if number > update - self.window] + [update]
        if len(self.recent) > self.limit:
            raise StopRun(
                f"{cause} at update {update}; {len(self.recent)} of the last {self.window} updates were "
                f"skipped, learner.max_skips allows {self.limit}"
            )


def not_finite(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Names of the arrays that hold a NaN or an infinity where none may be.

    A plan carries energies, which are infinite where imagination exploded; a body's state is its own.
    """
    kept = {n: a for n, a in arrays.items() if a.dtype.kind == "f" and not n.startswith(("acting/", "env/"))}
    return [name for name, array in kept.items() if not np.isfinite(array).all()]

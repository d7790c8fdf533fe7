"""Ends a run whose updates are no longer finite."""

import torch
from jaxtyping import Float
from torch import Tensor

from agent.errors import StopRun
from agent.learning.flat_parameters import FlatParameters


class SkipBudget:
    """Counts skipped gradient steps; too many among the recent updates end the run.

    Args:
        limit: largest number of skipped updates among the last `window`.
        window: number of updates.
    """

    def __init__(self, limit: int, window: int = 100):
        self.limit, self.window = limit, window
        self.total = 0
        self.recent: list[int] = []
        """Numbers of the skipped updates within the window."""

    def skipped(self, update: int, cause: str) -> None:
        """Counts update number `update` as skipped.

        Raises:
            StopRun: beyond the limit.
        """
        self.total += 1
        self.recent = [number for number in self.recent if number > update - self.window] + [update]
        if len(self.recent) > self.limit:
            raise StopRun(
                f"{cause} at update {update}; {len(self.recent)} of the last {self.window} updates were "
                f"skipped, learning.max_skipped_updates allows {self.limit}"
            )

    def step(
        self, parameters: FlatParameters, loss: Float[Tensor, ""], max_norm: float, update: int, of: str
    ) -> bool:
        """One gradient step, which is skipped where the gradient is not finite.

        Args:
            parameters: learn.
            loss: of this step.
            max_norm: of the gradient, which is scaled down to it.
            update: its number.
            of: what learns, for the message.

        Returns:
            Whether the step was made.

        Raises:
            StopRun: as `skipped`.
        """
        parameters.zero_grad()
        loss.backward()
        if torch.isfinite(parameters.step(max_norm)):
            return True
        self.skipped(update, f"the gradient of {of} is not finite (loss {loss.item()})")
        return False

"""What must never go on unseen: learning that is no longer finite, and a representation that collapsed."""

from agent.errors import StopRun


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
                f"skipped, learning.max_skipped_updates allows {self.limit}"
            )

"""An environment whose step takes longer than learning: a slow simulator, or a robot at 50 Hz."""

from __future__ import annotations

import time
from typing import Any

import gymnasium

ID = "joule-benchmarks/SlowPendulum-v0"
STEP_SECONDS = 0.02


class SlowStep(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Waits in every step, as for something that takes no time of this processor."""

    def step(self, action: Any) -> Any:
        """A step, after `STEP_SECONDS`."""
        time.sleep(STEP_SECONDS)
        return self.env.step(action)


def make(**kwargs: Any) -> gymnasium.Env[Any, Any]:
    """InvertedDoublePendulum-v5 with slow steps."""
    return SlowStep(gymnasium.make("InvertedDoublePendulum-v5", **kwargs))


gymnasium.register(ID, entry_point=f"{__name__}:make", max_episode_steps=1_000)

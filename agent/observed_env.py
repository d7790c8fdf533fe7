"""ATTENTION: a body whose every step is noticed, so that an agent can learn in any loop that plays it."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from agent.interface import TrainingEnv


class Noticing(Protocol):
    """Who is told what is lived."""

    def begin(self, obs: np.ndarray, readouts: np.ndarray) -> None: ...

    def notice(
        self, action: np.ndarray, reward: float, terminated: bool, obs: np.ndarray, readouts: np.ndarray
    ) -> None: ...


class Attended:
    """A body whose every step `agent` notices; all else is the body's own."""

    def __init__(self, body: TrainingEnv, agent: Noticing):
        self.body, self.agent = body, agent

    def __getattr__(self, name: str) -> Any:
        return getattr(self.body, name)

    def reset(self, **how: Any) -> tuple[np.ndarray, dict[str, Any]]:
        """Begins an episode."""
        obs, info = self.body.reset(**how)
        self.agent.begin(obs, self.body.readouts())
        return obs, info

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One decision. What comes of physics that diverged is not noticed: it is of no world."""
        obs, reward, terminated, truncated, info = self.body.step(action)
        if not info.get("diverged", False):
            self.agent.notice(action, reward, terminated, obs, self.body.readouts())
        return obs, reward, terminated, truncated, info

"""An agent whose decisions are due by a deadline, for whoever plays episodes with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from agent.actor.actor import ActingState
from agent.actor.decision_timing import TimingStatistics
from agent.agent import WorldModelAgent
from agent.forecast import Forecast
from agent.interface import TrainingEnv

WARM_UP_DECISIONS = 20
"""Decisions before the first that counts: the first ones take longer, and show how long decisions take."""


class OnDeadline:
    """Acts as the agent does, with a deadline for every decision.

    Args:
        agent: the agent; its own `timing` stays as it is.
        milliseconds: until an action is due.
    """

    def __init__(self, agent: WorldModelAgent, milliseconds: float) -> None:
        self.agent, self.milliseconds = agent, milliseconds
        self.timing = TimingStatistics()
        """Of the decisions since the warm-up."""

    def predict(
        self,
        observation: np.ndarray,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
    ) -> tuple[np.ndarray, Any]:
        """See `ActingAgent.predict`."""
        modules = self.agent.modules
        deadline = modules.actor.pace.deadline(self.milliseconds)
        decided = modules.predict(observation, state, episode_start, deterministic, deadline=deadline)
        self.timing.add(decided[1].timing)
        return decided

    def forecast(self, state: ActingState) -> Forecast | None:
        """See `ActingAgent.forecast`."""
        return self.agent.forecast(state)

    def warm_up(self, make_env: Callable[[], TrainingEnv], seed: int) -> None:
        """Decides for the first observation of an episode, and forgets the timing, as before a robot moves."""
        env = make_env()
        try:
            obs, _ = env.reset(seed=seed)
        finally:
            env.close()
        for _ in range(WARM_UP_DECISIONS):
            self.predict(obs)
        self.timing.clear()

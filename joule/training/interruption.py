"""Evaluations that a signal can end."""

from collections.abc import Callable
from typing import Any

import numpy as np

from agent.interface import Forecasting, Policy


class Interrupted(Exception):
    """A signal asked the run to end while an evaluation was due."""


class InterruptiblePolicy:
    """A policy that calls `check` before every decision."""

    def __init__(self, policy: Policy, check: Callable[[], None]) -> None:
        self._policy, self._check = policy, check

    def predict(
        self,
        observation: np.ndarray,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
    ) -> tuple[np.ndarray, Any]:
        """See `agent.interface.Policy`."""
        self._check()
        return self._policy.predict(observation, state, episode_start, deterministic)


class InterruptibleForecasting(InterruptiblePolicy):
    """The same for an agent that predicts its returns."""

    def __init__(self, agent: Forecasting, policy: Policy, check: Callable[[], None]) -> None:
        super().__init__(policy, check)
        self.forecast = agent.forecast


def interruptible(agent: Policy, check: Callable[[], None]) -> InterruptiblePolicy:
    """An agent for an evaluation, which calls `check` before every decision."""
    if isinstance(agent, Forecasting):
        return InterruptibleForecasting(agent, agent, check)
    return InterruptiblePolicy(agent, check)

"""An environment that reports every step to an observer: an agent can learn in any loop that steps it."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from agent.errors import ConfigError
from agent.interface import DIVERGED_KEY, EnvSpec, TrainingEnv


class StepObserver(Protocol):
    """Is told of every step."""

    def begin(self, obs: np.ndarray, readouts: np.ndarray) -> None:
        """An episode begins with `obs` [obs]."""
        ...

    def observe_step(
        self, action: np.ndarray, reward: float, terminated: bool, obs: np.ndarray, readouts: np.ndarray
    ) -> None:
        """`action` [act] led to `obs` [obs] and `readouts` [readouts]."""
        ...

    def forget(self) -> None:
        """The next step does not follow the last one: the environment went to another moment."""
        ...


class OfOneEnv(Protocol):
    """Is told of the steps of one environment at a time, each of which follows the one before."""

    observed: StepsOfOneEnv | None
    """Those of the environment that is observed now."""

    def begin(self, obs: np.ndarray, readouts: np.ndarray) -> None:
        """See `StepObserver`."""
        ...

    def observe_step(
        self, action: np.ndarray, reward: float, terminated: bool, obs: np.ndarray, readouts: np.ndarray
    ) -> None:
        """See `StepObserver`."""
        ...


class StepsOfOneEnv:
    """Tells `observer` of one environment. A step from a moment that was not observed begins what is."""

    def __init__(self, observer: OfOneEnv) -> None:
        self.observer, self._follows = observer, False

    def begin(self, obs: np.ndarray, readouts: np.ndarray) -> None:
        """See `StepObserver`."""
        self.observer.observed, self._follows = self, True
        self.observer.begin(obs, readouts)

    def observe_step(
        self, action: np.ndarray, reward: float, terminated: bool, obs: np.ndarray, readouts: np.ndarray
    ) -> None:
        """See `StepObserver`.

        Raises:
            ConfigError: where another environment began an episode since.
        """
        if not self._follows:
            self.begin(obs, readouts)
            return
        if self.observer.observed is not self:
            raise ConfigError("env: another environment is observed since this one was; reset this one first")
        self.observer.observe_step(action, reward, terminated, obs, readouts)

    def forget(self) -> None:
        """See `StepObserver`."""
        self._follows = False


class ObservedEnv:
    """`env`, whose every step is reported to `observer`."""

    def __init__(self, env: TrainingEnv, observer: StepObserver) -> None:
        self.env, self.observer = env, observer

    @property
    def env_spec(self) -> EnvSpec:
        """See `TrainingEnv`."""
        return self.env.env_spec

    def reset(self, *, seed: int | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Begins an episode."""
        obs, info = self.env.reset(seed=seed)
        self.observer.begin(obs, self.env.readouts())
        return obs, info

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One decision. A step in which the physics diverged is not reported."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        if not info.get(DIVERGED_KEY, False):
            self.observer.observe_step(action, reward, terminated, obs, self.env.readouts())
        return obs, reward, terminated, truncated, info

    def readouts(self) -> np.ndarray:
        """See `TrainingEnv`."""
        return self.env.readouts()

    def snapshot(self) -> dict[str, Any]:
        """See `TrainingEnv`."""
        return self.env.snapshot()

    def restore(self, snapshot: dict[str, Any]) -> bool:
        """See `TrainingEnv`."""
        self.observer.forget()
        return self.env.restore(snapshot)

    def close(self) -> None:
        """See `TrainingEnv`."""
        self.env.close()

"""An environment that reports every step to an observer: an agent can learn in any loop that steps it."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from agent.errors import ConfigError
from agent.interface import DIVERGED_KEY, EnvSpec, TrainingEnv, moment_of


class TakesSteps(Protocol):
    """Is told of steps."""

    def begin(self, obs: np.ndarray, readouts: np.ndarray) -> None:
        """An episode begins with `obs` [obs]."""
        ...

    def observe_step(
        self, action: np.ndarray, reward: float, terminated: bool, obs: np.ndarray, readouts: np.ndarray
    ) -> None:
        """`action` [act], in [-1, 1], led to `obs` [obs] and `readouts` [readouts]."""
        ...

    def ended(self) -> None:
        """The episode of the newest step has terminated, or was truncated."""
        ...


class StepObserver(TakesSteps, Protocol):
    """Is told of every step, and asked before it."""

    def before_step(self) -> None:
        """A step follows, unless this raises."""
        ...


class StepsOfOneEnv:
    """Tells `observer` of one environment. A step from a moment that was not observed begins what is.

    Args:
        observer: is told of the steps of one environment at a time, each of which follows the one before.
        env: the environment.
    """

    def __init__(self, observer: ObservesOneEnv, env: TrainingEnv) -> None:
        self.observer, self.env = observer, env
        self._begun = self._follows = self._whole = False
        self._left_at: Any = None
        """The moment at which what was observed last left the environment."""

    def begin(self, obs: np.ndarray, readouts: np.ndarray) -> None:
        """See `StepObserver`."""
        self.observer.observed, self._begun, self._whole = self, True, True
        self.observer.begin(obs, readouts)
        self._left_at = moment_of(self.env)

    def before_step(self) -> None:
        """Sees whether the step follows what was observed last.

        Raises:
            ConfigError: where another environment began an episode since.
        """
        self._follows = self._begun and self._left_at == moment_of(self.env)
        if self._follows and self.observer.observed is not self:
            raise ConfigError("env: another environment is observed since this one was; reset this one first")

    def observe_step(
        self, action: np.ndarray, reward: float, terminated: bool, obs: np.ndarray, readouts: np.ndarray
    ) -> None:
        """See `StepObserver`."""
        if not self._follows:
            self.begin(obs, readouts)
            self._whole = False
            return
        self.observer.observe_step(action, reward, terminated, obs, readouts)
        self._left_at = moment_of(self.env)

    def ended(self) -> None:
        """See `TakesSteps`; not said of an episode whose beginning was not observed."""
        if self._whole:
            self.observer.ended()


class ObservesOneEnv(TakesSteps, Protocol):
    """Is told of one environment at a time."""

    observed: StepsOfOneEnv | None
    """The steps of the environment that is observed now."""


class ObservedEnv:
    """`env`, whose every step is reported to `observer`."""

    def __init__(self, env: TrainingEnv, observer: StepObserver) -> None:
        self.env, self.observer = env, observer

    @property
    def moment(self) -> Any:
        """That of the environment; see `agent.interface.moment_of`."""
        return moment_of(self.env)

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
        """One decision. A step in which the physics diverged is not reported, an action as it was executed."""
        self.observer.before_step()
        obs, reward, terminated, truncated, info = self.env.step(action)
        if not info.get(DIVERGED_KEY, False):
            executed = np.asarray(action, np.float32).reshape(-1).clip(-1.0, 1.0)
            self.observer.observe_step(executed, reward, terminated, obs, self.env.readouts())
            if terminated or truncated:
                self.observer.ended()
        return obs, reward, terminated, truncated, info

    def readouts(self) -> np.ndarray:
        """See `TrainingEnv`."""
        return self.env.readouts()

    def snapshot(self) -> dict[str, Any]:
        """See `TrainingEnv`."""
        return self.env.snapshot()

    def restore(self, snapshot: dict[str, Any]) -> bool:
        """See `TrainingEnv`."""
        return self.env.restore(snapshot)

    def close(self) -> None:
        """See `TrainingEnv`."""
        self.env.close()

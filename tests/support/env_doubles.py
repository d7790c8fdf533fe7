"""What environments that tests write themselves have in common."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.env_spec import STATE, EnvSpec, ObservationPart


def spec_of(
    name: str, *, observation_size: int, action_size: int, episode_limit: int | None, action_repeat: int = 1
) -> EnvSpec:
    """The specification of an environment without readouts and without physics."""
    return EnvSpec(
        env=name,
        resolved=name,
        observation=(ObservationPart(STATE, (observation_size,), "float32"),),
        action_size=action_size,
        episode_limit=episode_limit,
        action_repeat=action_repeat,
        seconds_per_decision=None,
        readout_sizes={},
        mujoco=False,
    )


class BareEnv:
    """An environment that has neither readouts nor snapshots; a test adds `env_spec`, `reset` and `step`."""

    def readouts(self) -> np.ndarray:
        return np.zeros(0, np.float32)

    def snapshot(self) -> dict[str, Any]:
        return {}

    def restore(self, snapshot: dict[str, Any]) -> bool:
        return False

    def close(self) -> None: ...


class PassingEnv:
    """An environment that passes everything on to another one; subclasses change what they test.

    Its methods are its own: from Python 3.12 on a protocol does not see what `__getattr__` gives.
    """

    def __init__(self, env: Any) -> None:
        self.env, self.env_spec = env, env.env_spec

    def reset(self, *, seed: int | None = None) -> Any:
        return self.env.reset(seed=seed)

    def step(self, action: np.ndarray) -> Any:
        return self.env.step(action)

    def readouts(self) -> np.ndarray:
        found: np.ndarray = self.env.readouts()
        return found

    def snapshot(self) -> dict[str, Any]:
        saved: dict[str, Any] = self.env.snapshot()
        return saved

    def restore(self, snapshot: dict[str, Any]) -> bool:
        return bool(self.env.restore(snapshot))

    def close(self) -> None:
        self.env.close()

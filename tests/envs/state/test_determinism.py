"""The determinism check."""

from __future__ import annotations

from typing import Any

import counter_env  # noqa: F401 - registers Counter-v0
import gymnasium
import numpy as np

import envs
from envs.state.determinism import is_deterministic


class Unseeded(gymnasium.Env[np.ndarray, np.ndarray]):
    """Draws its rewards from a generator that no seed reaches."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action: np.ndarray) -> Any:
        return np.zeros(1, np.float32), np.random.default_rng().random(), False, False, {}


def test_an_environment_with_an_unseeded_generator_is_not_deterministic() -> None:
    gymnasium.register("Unseeded-v0", entry_point=f"{__name__}:Unseeded")
    assert not is_deterministic(envs.make("Unseeded-v0"), seed=1)


def test_mujoco_is_deterministic_and_a_fault_does_not_count() -> None:
    assert is_deterministic(envs.make("Hopper-v5"), seed=1)
    assert is_deterministic(envs.make("Counter-v0", kwargs={"fault": "raise"}), seed=1)

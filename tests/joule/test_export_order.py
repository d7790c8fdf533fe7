"""The order in which an export takes the parts of a `Dict` observation."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import FlattenObservation

import envs
from joule.exporting.export_record import dict_order


class Sensors(gymnasium.Env[Any, Any]):
    """An environment of two sensors, in another order than that of their names."""

    observation_space = spaces.Dict({"joints": spaces.Box(-1, 1, (2, 2)), "gyro": spaces.Box(-1, 1, (3,))})
    action_space = spaces.Box(-1.0, 1.0, (1,))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        return {"joints": np.full((2, 2), 0.5, np.float32), "gyro": np.zeros(3, np.float32)}, {}

    def step(self, action: Any) -> Any:
        return self.reset()[0], 0.0, False, False, {}


def flat_sensors(**kwargs: Any) -> gymnasium.Env[Any, Any]:
    return FlattenObservation(Sensors(**kwargs))


gymnasium.register("Sensors-v0", entry_point=f"{__name__}:Sensors")
gymnasium.register("FlatSensors-v0", entry_point=flat_sensors)


def test_the_parts_are_in_the_order_of_the_vector() -> None:
    env = envs.make("Sensors-v0")
    assert [*dict_order(env).items()] == [("gyro", 3), ("joints", 4)]
    np.testing.assert_array_equal(env.reset(seed=0)[0], [0, 0, 0, 0.5, 0.5, 0.5, 0.5])


def test_an_observation_that_a_wrapper_makes_a_vector_has_no_parts() -> None:
    assert dict_order(envs.make("FlatSensors-v0")) == {}

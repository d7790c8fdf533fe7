"""A robot that hangs on a mocap body: what Joule computes of its parts follows where it is led."""

from __future__ import annotations

from typing import Any

import gymnasium
import mujoco
import numpy as np
from gymnasium import spaces

import envs
from envs.adoption import adopt
from envs.readouts.sensors import sensor_names
from envs.rendering.poses import RobotPoses

HAND = """<mujoco><worldbody><body name="hand" mocap="true"><geom size=".03"/>
  <body name="finger" pos=".1 0 0"><joint name="bend" axis="0 1 0"/>
    <geom type="capsule" fromto="0 0 0 .2 0 0" size=".02"/></body></body></worldbody>
  <actuator><motor joint="bend"/></actuator></mujoco>"""


class LedHand(gymnasium.Env[Any, Any]):
    """A hand that moves along x and y by itself; it observes where its finger is."""

    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
    observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float64)

    def __init__(self) -> None:
        self.model: Any = mujoco.MjModel.from_xml_string(HAND)
        self.data: Any = mujoco.MjData(self.model)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        mujoco.mj_resetData(self.model, self.data)
        return self._finger(), {}

    def step(self, action: Any) -> Any:
        self.data.ctrl[:] = action
        self.data.mocap_pos[0, :2] += self.np_random.uniform(-0.1, 0.2, 2)
        mujoco.mj_step(self.model, self.data)
        return self._finger(), 0.0, False, False, {}

    def _finger(self) -> np.ndarray:
        mujoco.mj_kinematics(self.model, self.data)
        return np.array(self.data.body("finger").xpos)


def test_the_ghost_of_a_hand_is_where_the_hand_is_led() -> None:
    env = adopt(LedHand())
    env.reset(seed=1)
    for _ in range(5):
        env.step(np.zeros(1, np.float32))
    poses, data = RobotPoses(env), env.unwrapped.data  # type: ignore[attr-defined]
    poses.set(poses.present())
    assert abs(data.mocap_pos[0, 0]) > 0.05
    np.testing.assert_allclose(poses.data.geom_xpos, data.geom_xpos, atol=1e-9)


def test_the_place_of_a_part_that_is_led_is_a_sensor() -> None:
    gymnasium.register("joule-tests/LedHand-v0", lambda **_: LedHand(), max_episode_steps=50)
    try:
        found = sensor_names(envs.make("joule-tests/LedHand-v0").env, 3)
    finally:
        del gymnasium.registry["joule-tests/LedHand-v0"]
    assert found["finger_position"].tolist() == [0, 1]

"""Which bodies motors act on, whatever transmits their force."""

from __future__ import annotations

import weakref

import control_env
import gymnasium
import mujoco
import numpy as np
import pytest
from mjcf_env import MjcfEnv

import envs
from envs.physics import dm_control_env, driven_bodies, find_physics
from envs.rendering.pixels import PixelSettings

MODEL = """<mujoco><worldbody><site name="world" pos="1.6 .3 1.3"/>
  <body name="arm" pos="0 0 1"><joint name="elbow" axis="0 1 0"/><geom size=".1"/><site name="tip" pos=".2 .1 -.5"/>
  </body>
  <body name="ball" pos="1 0 1"><joint name="socket" type="ball"/>
    <geom name="round" size=".1" pos=".1 .2 0"/><site name="on ball" pos=".3 .1 .1"/></body>
  <body name="stone" pos="2 0 1"><freejoint/><geom size=".1"/></body></worldbody>
  <tendon>
    <fixed name="fixed"><joint joint="elbow" coef="1"/></fixed>
    <spatial name="pull"><site site="tip"/><site site="on ball"/></spatial>
    <spatial name="press"><site site="world"/><geom geom="round"/><site site="tip"/></spatial>
  </tendon>
  <actuator>{}</actuator></mujoco>"""


@pytest.mark.parametrize(
    ("motor", "expected"),
    [
        ('<motor joint="elbow"/>', ["arm"]),
        ('<motor joint="socket" gear="1 1 1"/>', ["ball"]),
        ('<motor jointinparent="socket" gear="1 1 1"/>', ["ball"]),
        ('<motor tendon="fixed"/>', ["arm"]),
        ('<motor tendon="pull"/>', ["arm", "ball"]),
        ('<motor tendon="press"/>', ["arm", "ball"]),
        ('<motor site="tip" gear="1 1 1 0 0 0"/>', ["arm"]),
        ('<motor site="tip" refsite="on ball" gear="1 1 1 0 0 0"/>', ["arm", "ball"]),
        ('<general cranksite="tip" slidersite="on ball" cranklength="2"/>', ["arm", "ball"]),
        ('<general cranksite="world" slidersite="tip" cranklength="2"/>', ["arm"]),
        ('<orientation joint="socket" kp="3"/>', ["ball"]),
        ('<orientation site="tip" refsite="on ball" kp="3"/>', ["arm", "ball"]),
    ],
)
def test_a_motor_drives_the_bodies_that_its_force_accelerates(motor: str, expected: list[str]) -> None:
    try:
        model = mujoco.MjModel.from_xml_string(MODEL.format(motor))
    except ValueError as error:
        if "orientation" in motor:  # older releases of MuJoCo have no such motor
            pytest.skip(str(error).splitlines()[0])
        raise
    names = {model.body(body).name for body in driven_bodies(model)} - {"world"}
    assert sorted(names) == expected

    data = mujoco.MjData(model)
    data.qpos[:2] = 0.3, 0.9
    data.ctrl[:] = 1.0
    mujoco.mj_forward(model, data)
    pushed = model.dof_bodyid[np.flatnonzero(np.abs(data.qfrc_actuator) > 1e-9)]
    assert sorted({model.body(body).name for body in pushed}) == expected


def test_dm_control_is_found_in_an_environment_of_the_users_own() -> None:
    pytest.importorskip("dm_control")
    env = envs.make(control_env.ID, pixels=PixelSettings(16, stack=1), render_mode="rgb_array")
    assert env.env_spec.mujoco
    assert {"slider_position", "hinge_1_velocity"} <= env.env_spec.readout_sizes.keys()
    first = np.asarray(env.reset(seed=1)[0])
    assert first.shape == (3, 16, 16)
    assert env.render().shape == (480, 640, 3)
    physics = find_physics(env)
    assert physics is not None
    for _ in range(20):
        picture = np.asarray(env.step(np.ones(1, np.float32))[0])
    assert physics.data.time > 0
    assert (picture != first).any()
    env.close()
    env.close()


class Helped(MjcfEnv):
    """An environment with physics of its own, and a dm_control environment beside it."""

    def __init__(self) -> None:
        super().__init__(MODEL.format('<motor joint="elbow"/>'))
        self.expert = control_env.OwnCartpole()._inside


def test_an_environments_own_physics_goes_before_dm_controls() -> None:
    pytest.importorskip("dm_control")
    env = Helped()
    physics = find_physics(env)
    assert physics is not None
    assert physics.model is env.model
    assert dm_control_env(env) is None


class ClosesItself(control_env.OwnCartpole):
    """It frees its physics, as dm_control's composer does when it is closed."""

    def close(self) -> None:
        self._inside.physics.free()
        self._inside._physics = weakref.proxy(FreedAlready())


class FreedAlready:
    """Nothing holds it, so that a weak reference to it is dead at once."""


def test_an_environment_that_has_closed_itself_is_closed_without_a_fault(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pytest.importorskip("dm_control")
    gymnasium.register("ClosesItself-v0", entry_point=f"{__name__}:ClosesItself", max_episode_steps=5)
    env = envs.make("ClosesItself-v0")
    env.reset(seed=1)
    env.close()
    assert not caplog.messages, "nothing is left to free, and nothing is said of it"

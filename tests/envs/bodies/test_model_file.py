"""The environment of a model file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs
import joule
from agent.errors import ConfigError
from envs.faults.errors import EnvError
from envs.readouts.sensors import sensor_names
from joule_schema.errors import SchemaError
from joule_schema.model_file import MODEL_ENV

ARM = """
<mujoco>
  <option timestep="0.005"/>
  <worldbody>
    <geom type="plane" size="3 3 0.1"/>
    <body name="upper" pos="0 0 0.8">
      <joint name="shoulder" axis="0 1 0" range="-57.3 57.3" limited="true"/>
      <geom type="capsule" fromto="0 0 0 0 0 0.4" size="0.03"/>
      <body name="fore" pos="0 0 0.4">
        <joint name="elbow" axis="0 1 0"/>
        <geom type="capsule" fromto="0 0 0 0 0 0.3" size="0.03"/>
        <site name="tip" pos="0 0 0.3"/>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor joint="shoulder" ctrlrange="-2 4" ctrllimited="true"/>
    <intvelocity joint="elbow" kp="1" actrange="-1 1" ctrllimited="false"/>
  </actuator>
  <sensor><framepos name="tip" objtype="site" objname="tip"/></sensor>
  <keyframe><key name="folded" qpos="0.5 2" act="0.3"/><key name="home" qpos="0.99 1" act="0.2"/></keyframe>
</mujoco>
"""
CART = """
<mujoco>
  <worldbody>
    <geom type="plane" size="3 3 0.1"/>{fixed}
    <body name="cart" pos="0 0 0.5">
      <joint name="drive" type="slide" axis="1 0 0" {limits}/><geom size="0.1"/>
    </body>{moving}
  </worldbody>
  <actuator><motor joint="drive" ctrlrange="-1 1"/></actuator>
</mujoco>
"""


def written(folder: Path, text: str) -> str:
    path = folder / "robot.xml"
    path.write_text(text)
    return str(path)


def made(folder: Path, text: str, **kwargs: Any) -> Any:
    return gymnasium.make(MODEL_ENV, model=written(folder, text), **kwargs).unwrapped


@pytest.mark.filterwarnings("ignore:.*observation space (min|max)imum value is:UserWarning")
@pytest.mark.filterwarnings("ignore:.*alternative render modes:UserWarning")
def test_gymnasiums_checker_passes(tmp_path: Path) -> None:
    check_env(made(tmp_path, ARM), skip_render_check=True)


def test_joints_sensors_and_actuators_are_observed(tmp_path: Path) -> None:
    env = made(tmp_path, ARM, start_noise=0.0)
    observation, _ = env.reset(seed=1)
    # The shoulder's angle, the elbow's cosine and sine, both velocities, the tip, and the state of an actuator.
    turned = 0.99 + 1.0
    tip = [
        0.4 * np.sin(0.99) + 0.3 * np.sin(turned),
        0.0,
        1.2 - 0.4 + 0.4 * np.cos(0.99) + 0.3 * np.cos(turned),
    ]
    assert observation == pytest.approx([0.99, np.cos(1.0), np.sin(1.0), 0.0, 0.0, *tip, 0.2])
    assert env.dt == pytest.approx(0.04)
    assert (env.action_space.low.tolist(), env.action_space.high.tolist()) == ([-2.0, -1.0], [4.0, 1.0])
    safe = envs.make(MODEL_ENV, kwargs={"model": written(tmp_path, ARM)})
    assert {"tip", "shoulder_angle", "elbow_turn"} <= safe.env_spec.readout_sizes.keys()


def test_episodes_start_near_the_pose_of_the_file_within_the_limits(tmp_path: Path) -> None:
    env = made(tmp_path, ARM, start_noise=0.3)
    starts = np.array([(env.reset(seed=seed), env.data.qpos.copy())[1] for seed in range(50)])
    assert starts[:, 0].max() == pytest.approx(np.deg2rad(57.3))
    assert np.abs(starts - [0.99, 1.0]).max() <= 0.3
    assert np.ptp(starts[:, 1]) > 0.4
    assert made(tmp_path, ARM, keyframe="folded", start_noise=0.0).reset(seed=0)[0][0] == pytest.approx(0.5)
    built = made(tmp_path, ARM.replace('"home"', '"other"'), start_noise=0.0)
    assert built.reset(seed=0)[0][0] == 0.0


@pytest.mark.parametrize(
    ("limits", "fixed", "moving", "seen"),
    [
        ("", "", "", False),
        ('range="-1 1" limited="true"', "", "", True),
        ("", '<geom type="box" size="0.1 1 1" pos="2 0 0"/>', "", True),
        ("", '<geom type="box" size="0.1 1 1" pos="2 0 0" contype="0" conaffinity="0"/>', "", False),
        ("", "", '<body pos="1 0 1"><freejoint/><geom size="0.1"/></body>', True),
    ],
    ids=["alone", "limits", "a wall", "a picture of a wall", "a ball"],
)
def test_the_place_on_the_ground_is_observed_where_it_makes_a_difference(
    tmp_path: Path, limits: str, fixed: str, moving: str, seen: bool
) -> None:
    text = CART.format(limits=limits, fixed=fixed, moving=moving)
    observed = made(tmp_path, text).observation_space.shape[0]
    assert made(tmp_path, text, observe_place=True).observation_space.shape[0] == observed + (not seen)
    assert made(tmp_path, text, observe_place=False).observation_space.shape[0] == observed - seen


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('size="3 3 0.1"', 'size="3 3 0.1" zaxis="1 0 9"'),
        ("<worldbody>", '<worldbody><geom type="plane" size="1 1 0.1" pos="2 0 0" zaxis="-1 0 0"/>'),
        ("<motor", '<position kp="10"'),
        ('name="drive"', 'name="drive" stiffness="0.1"'),
        ("</worldbody>", '</worldbody><equality><connect body1="cart" anchor="0 0 0"/></equality>'),
    ],
    ids=["slope", "wall", "servo", "spring", "constraint"],
)
def test_the_place_is_observed_where_something_holds_the_robot(tmp_path: Path, old: str, new: str) -> None:
    text = CART.format(limits="", fixed="", moving="")
    assert made(tmp_path, text).observation_space.shape == (1,)
    held = made(tmp_path, text.replace(old, new))
    assert held.observation_space.shape == (2,)
    held.reset(seed=1)
    assert held._observation()[0] == held.data.qpos[0]


def test_sensors_have_names_of_their_own(tmp_path: Path) -> None:
    names = ("action", "qpos", "a b", "a_b", "drive_position")
    sensors = "".join(f'<jointvel name="{name}" joint="drive"/>' for name in names)
    text = CART.format(limits="", fixed="", moving="")
    path = written(tmp_path, text.replace("</mujoco>", f"<sensor>{sensors}</sensor></mujoco>"))
    found = envs.make(MODEL_ENV, kwargs={"model": path}).env_spec.readout_sizes
    own = ["action_sensor", "qpos_sensor", "a_b_sensor", "a_b", "drive_position"]
    assert [*found] == [*own, "drive_position_of_joint", "drive_velocity"]


def test_a_sensor_of_the_file_dies_by_its_name_even_one_that_never_changes(tmp_path: Path) -> None:
    sensors = '<jointpos name="gauge" joint="drive"/><clock name="time"/><user name="still" dim="2"/>'
    text = CART.format(limits="", fixed="", moving="")
    path = written(tmp_path, text.replace("</mujoco>", f"<sensor>{sensors}</sensor></mujoco>"))
    env = envs.make(MODEL_ENV, kwargs={"model": path}, perturb=["dead_sensor.time", "dead_sensor.still"])
    env.reset(seed=1)
    seen = env.step(env.action_space.sample())[0]
    robot: Any = env.unwrapped
    true = robot._observation()
    assert true[-3] > 0.0
    np.testing.assert_allclose(seen, np.where(np.arange(true.size) == true.size - 3, 0.0, true), rtol=1e-6)
    assert sensor_names(env, true.size)["still"].tolist() == [true.size - 2, true.size - 1]
    stacked = gymnasium.wrappers.FrameStackObservation(robot, 2)
    assert not {"time", "still"} & sensor_names(stacked, 2 * true.size).keys(), (
        "places are not those of the robot"
    )
    turned = gymnasium.wrappers.TransformObservation(robot, lambda seen: seen[::-1], robot.observation_space)
    assert not {"time", "still"} & sensor_names(turned, true.size).keys()


def test_a_sensor_and_a_joint_die_by_the_names_of_their_readouts(tmp_path: Path) -> None:
    sensor = '<sensor><jointvel name="drive_position" joint="drive"/></sensor>'
    text = CART.format(limits="", fixed="", moving="")
    path = written(tmp_path, text.replace("</mujoco>", f"{sensor}</mujoco>"))
    env = envs.make(MODEL_ENV, kwargs={"model": path, "observe_place": True})
    found = {name: places.tolist() for name, places in sensor_names(env, 3).items()}
    assert (found["drive_position"], found["drive_position_of_joint"]) == ([2], [0])
    assert "drive_position_sensor" not in found


def test_all_joints_of_a_large_model_are_observed(tmp_path: Path) -> None:
    many = "".join(f'<body><joint name="j{row}"/><geom size="0.1"/></body>' for row in range(120))
    env = made(tmp_path, CART.format(limits="", fixed="", moving=many))
    assert env.observation_space.shape == (2 + 3 * 120,)


@pytest.mark.parametrize(
    ("text", "kwargs", "message"),
    [
        ("<mujoco><worldbody/>", {}, "robot.xml: MuJoCo does not read it: XML .*number=1"),
        ("<mujoco/>", {}, "robot.xml: has no joint"),
        (
            ARM.replace("actuator", "custom").split("<custom>")[0] + "</mujoco>",
            {},
            "has no actuator; add some",
        ),
        (ARM, {"frame_skip": 0}, "frame_skip of .*: found 0; give a whole number of at least 1"),
        (ARM.replace("0.005", "0"), {}, "robot.xml: has a timestep of 0 s; give one above 0"),
        (ARM, {"observe_place": "no"}, "observe_place: found 'no'; give true, false or null"),
        (ARM, {"start_noise": True}, "start_noise: found True; give a number of at least 0"),
        (ARM, {"start_noise": -1}, "start_noise: found -1; give a number of at least 0"),
        (ARM, {"frame_skip": 10_001}, "one step would be 10,001 steps of the physics of 0.005 s"),
        (ARM, {"model": 5}, "found 5 as its model; name the model file"),
        (ARM, {"keyframe": "up"}, "keyframe of .*: found 'up'; the file has 2: folded, home"),
        (ARM, {"keyframe": 2}, "keyframe of .*: found 2; the file has 2"),
    ],
)
def test_what_makes_no_environment_is_refused(
    tmp_path: Path, text: str, kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(EnvError, match=message) as refused:
        envs.make(MODEL_ENV, kwargs={"model": written(tmp_path, text), **kwargs})
    assert "constructor" not in str(refused.value)


def test_a_model_file_stands_for_an_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, ARM)
    monkeypatch.chdir(tmp_path)
    agent = joule.make("joule", env="robot.xml", task="reach:tip=0,0,1.4", preset="smoke")
    assert (agent.config.env, agent.config.env_kwargs) == (MODEL_ENV, {"model": path})
    env = joule.make_env("robot.xml", env_kwargs={"start_noise": 0.0}, task="less:elbow_velocity")
    env.reset(seed=1)
    assert env.step(np.ones(2, np.float32))[1] < 0.0
    with pytest.raises(ConfigError, match="says nothing of what the robot is to do; give --task"):
        joule.make("joule", env="robot.xml")
    with pytest.raises(SchemaError, match=r"none\.xml: there is no such file"):
        joule.make_env("none.xml")
    assert joule.make_env(Path("robot.xml")).env_spec.env == MODEL_ENV
    for wrong in ("x", [1], True):
        with pytest.raises(ConfigError, match=r"^env_kwargs: "):
            joule.make_env("robot.xml", env_kwargs=wrong)
    (tmp_path / "of" / "robot.xml").mkdir(parents=True)
    with pytest.raises(SchemaError, match=r"robot\.xml: is a folder"):
        joule.make_env("of/robot.xml")
    with pytest.raises(SchemaError, match=r"env_kwargs has another one, 'b\.xml'"):
        joule.make_env("robot.xml", env_kwargs={"model": "b.xml"})
    with pytest.raises(EnvError, match=r"gone\.xml: there is no such file, .* put it back"):
        envs.make(MODEL_ENV, kwargs={"model": "gone.xml"})
    with pytest.raises(EnvError, match=r"name the model file, as in --env arm\.xml"):
        envs.make(MODEL_ENV)

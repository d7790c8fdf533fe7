"""Names of sensors are found by trying, and a dead one reads 0."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest
import tiny_env
import torch
from gymnasium import spaces

import envs
from agent.cost.readouts import Readouts
from envs.bodies.model_file import ModelFile
from envs.changes.factors import parse
from envs.readouts.model_sensors import model_sensors
from envs.readouts.sensors import parts_as_readouts, sensor_names


def test_numbers_of_an_observation_are_named_by_what_they_show() -> None:
    cheetah = envs.make("HalfCheetah-v5")
    found = {name: places.tolist() for name, places in sensor_names(cheetah, 17).items()}
    assert found["torso_pitch"] == found["rooty_angle"] == [1]
    assert (found["bthigh_angle"], found["rootx_velocity"], found["ffoot_velocity"]) == ([2], [8], [16])
    assert "rootx_position" not in found, "how far it has run is not observed"
    assert found["16"] == [16]
    push = sensor_names(envs.make("joule/Push-v0"), 20)
    assert push["block_heading"].tolist() == [10, 11]
    assert push["pusher_x_position"].tolist() == [0], "decimetres"


class OwnRobot(ModelFile):
    """An environment of one's own, which may observe its sensors anywhere. One shows 1 in the third step alone."""

    def step(self, action: np.ndarray) -> Any:
        _, *rest = super().step(action)
        self.data.sensordata[-1] = float(round(self.data.time / self.dt) == 3)
        return self._observation(), *rest


def test_sensors_of_a_model_are_found_where_an_environment_observes_them(tmp_path: Path) -> None:
    robot = '<body><joint name="j" axis="0 1 0"/><geom size="0.1"/></body>'
    motor = '<actuator><motor joint="j"/></actuator>'
    sensors = '<sensor><jointvel name="swing" joint="j"/><jointpos name="j_angle" joint="j"/>'
    sensors += '<user name="touched" dim="1"/></sensor>'
    (tmp_path / "robot.xml").write_text(f"<mujoco><worldbody>{robot}</worldbody>{motor}{sensors}</mujoco>")
    gymnasium.register("joule-tests/OwnRobot-v0", OwnRobot, max_episode_steps=50)
    try:
        env = envs.make("joule-tests/OwnRobot-v0", kwargs={"model": str(tmp_path / "robot.xml")})
        found = {name: places.tolist() for name, places in sensor_names(env, 6).items()}
    finally:
        del gymnasium.registry["joule-tests/OwnRobot-v0"]
    assert (found["swing"], found["j_angle_sensor"]) == ([3], [4])
    assert "touched" not in found, "what differs in one step alone looks like much else"


def test_a_sensor_has_its_own_name_also_where_that_of_another_becomes_the_same() -> None:
    names = ("tip place", "tip_place", "tip-place")
    sensors = "".join(f'<jointpos name="{name}" joint="j"/>' for name in names)
    robot = '<body><joint name="j" axis="0 1 0"/><geom size="0.1"/></body>'
    model = mujoco.MjModel.from_xml_string(
        f"<mujoco><worldbody>{robot}</worldbody><sensor>{sensors}</sensor></mujoco>"
    )
    places = {name: place.start for name, place in model_sensors(model, ()).items()}
    assert places == {"tip_place_sensor": 0, "tip_place": 1, "tip_place_sensor_2": 2}


def test_a_dead_sensor_reads_zero_from_its_frame_on_and_the_readouts_stay_true() -> None:
    plain: Any = envs.make("HalfCheetah-v5")
    env: Any = envs.make("HalfCheetah-v5", perturb=["dead_sensor.torso_pitch@2", "dead_sensor.5"])
    for each in (plain, env):
        each.reset(seed=3)
    for step in range(4):
        true, seen = (each.step(np.ones(6, np.float32))[0] for each in (plain, env))
        dead = [1, 5] if step >= 2 else [5]
        assert not seen[dead].any()
        np.testing.assert_array_equal(np.delete(seen, dead), np.delete(true, dead))
    np.testing.assert_array_equal(env.readouts(), plain.readouts())
    assert env.perturbations == ["dead_sensor.5", "dead_sensor.torso_pitch"]
    saved = env.snapshot()
    expected = env.step(np.ones(6, np.float32))[0]
    assert env.restore(saved)
    np.testing.assert_array_equal(env.step(np.ones(6, np.float32))[0], expected)
    env.unperturb()
    assert env.step(np.ones(6, np.float32))[0].all()


@pytest.mark.parametrize(
    "text", ["dead_sensor.torso_pitch", "dead_sensor.torso_pitch=0", "dead_sensor=torso_pitch"]
)
def test_a_dead_sensor_is_written_without_a_value(text: str) -> None:
    assert parse(text) == parse(str(parse(text)))
    assert (parse(f"{text}@30").target, parse(f"{text}@30").onset) == ("torso_pitch", 30)


def test_a_wrong_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        envs.EnvError,
        match=r"no sensor 'torso_pich'; there are .* from 0 to 16\); did you mean torso_pitch\?",
    ):
        envs.make("HalfCheetah-v5", perturb=["dead_sensor.torso_pich"])
    with pytest.raises(envs.EnvError, match=r"no sensor 'pitch'; none has a name \(or a place from 0 to 2\)"):
        envs.make(tiny_env.ID, perturb=["dead_sensor.pitch"])
    assert envs.make(tiny_env.ID, perturb=["dead_sensor.1"]).perturbations == []


def test_parts_inside_of_parts_have_names() -> None:
    three = spaces.Box(-1.0, 1.0, (3,), np.float32)
    imu = spaces.Dict({"gravity": three, "gyro": three, "5": three})
    env: Any = SimpleNamespace(observation_space=spaces.Dict({"command": three, "imu": imu}))
    env.unwrapped = env
    found = {name: places.tolist() for name, places in sensor_names(env, 12).items()}
    assert found["imu"] == list(range(3, 12))
    assert found["imu.gyro"] == [9, 10, 11]
    assert found["imu.gyro.0"] == [9]
    assert found["imu.5"] == [8], "the sixth number of the part, as before"
    assert found["command.2"] == [2]


@pytest.mark.parametrize("text", ["dead_sensor.torso_pich@30", "dead_sensor=torso_pich"])
def test_a_refusal_repeats_what_was_written(text: str) -> None:
    with pytest.raises(envs.EnvError, match=f"perturbation '{text}': there is no sensor"):
        envs.make("HalfCheetah-v5", perturb=[text])


def test_the_parts_of_a_dict_observation_are_readouts_of_an_environment_without_physics() -> None:
    class Parts(gymnasium.Env[Any, Any]):
        """A switch of two values beside a place."""

        observation_space = spaces.Dict(
            {"mode": spaces.Discrete(2), "pos": spaces.Box(-1.0, 1.0, (3,), np.float32)}
        )
        action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            return {"mode": 1, "pos": np.array([0.1, 0.2, 0.3], np.float32)}, {}

    gymnasium.register("joule-tests/Parts-v0", lambda **_: Parts(), max_episode_steps=9)
    try:
        env = envs.make("joule-tests/Parts-v0")
    finally:
        del gymnasium.registry["joule-tests/Parts-v0"]
    layout = Readouts(env.env_spec.readout_sizes, env.env_spec.derived_readouts)
    env.reset(seed=1)
    r = layout.of(torch.from_numpy(env.readouts())[None], torch.zeros(1, 1), lambda: torch.zeros(1))
    np.testing.assert_allclose(r["pos"][0], [0.1, 0.2, 0.3])
    assert r["mode"].tolist() == [[0.0, 1.0]]
    assert r["pos.2"].item() == pytest.approx(0.3)


def test_only_parts_of_moderate_size_are_readouts_and_names_do_not_collide() -> None:
    def box(size: int) -> spaces.Box:
        return spaces.Box(-1.0, 1.0, (size,), np.float32)

    env: Any = SimpleNamespace(
        observation_space=spaces.Dict({"a b": box(1), "a_b": box(2), "map": box(500), "obs": box(1)})
    )
    env.unwrapped = env
    found = parts_as_readouts(env, {"obs": 504})
    assert {name: part["at"] for name, part in found.items()} == {"a_b": [0], "a_b_2": [1, 2]}
    assert parts_as_readouts(env, {"qpos": 504}) == {}
    eye = spaces.Box(0, 255, (32, 32, 3), np.uint8)
    env.observation_space = spaces.Dict({"arm": box(2), "eye": eye, "wrist": box(1)})
    found = parts_as_readouts(env, {"obs": 3})
    assert {name: part["at"] for name, part in found.items()} == {"arm": [0, 1], "wrist": [2]}

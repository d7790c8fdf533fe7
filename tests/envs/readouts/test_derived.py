"""Derived readouts: which ones an environment has, and that their names are checked."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import tiny_env
import torch
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv

import envs
from agent.cost.readouts import Readouts
from envs.adoption import adopt
from envs.readouts.derived import derived
from envs.readouts.named import derived_readouts

STATE = ("qpos", "qvel")
GROUND = ("position", "velocity", "speed")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("HalfCheetah-v5", {*STATE, *GROUND, "height", "climb", "pitch", "upright", "rooty_angle"}),
        (
            "Ant-v5",
            {*STATE, *GROUND, "height", "climb", "pitch", "roll", "heading", "upright", "torso_quaternion"},
        ),
        ("Swimmer-v5", {*STATE, *GROUND, "heading", "free_body_rot_angle"}),
        ("InvertedPendulum-v5", {*STATE, *GROUND}),
        ("Reacher-v5", {*STATE, "joint0_angle"}),
        ("joule/Maze-v0", {*STATE, "position"}),
        ("joule/Push-v0", {*STATE, *GROUND, "block_quaternion"}),
        ("Pendulum-v1", set()),
    ],
)
def test_derived_readouts_of_an_environment(name: str, expected: set[str]) -> None:
    assert set(envs.make(name).env_spec.derived_readouts) == expected


def test_readouts_of_ones_own_leave_those_of_the_root_that_they_do_not_name() -> None:
    class Lean(HalfCheetahEnv):
        def readouts(self) -> dict[str, np.ndarray]:
            return {"qpos": self.data.qpos, "qvel": self.data.qvel, "height": self.data.qpos[1:2]}

    found = derived_readouts(Lean())
    assert {"velocity", "pitch", "upright"} <= found.keys()
    assert "height" not in found


def test_a_readout_of_ones_own_with_the_name_of_an_angle_keeps_it_and_qpos_is_not_made_of_it() -> None:
    class Degrees(HalfCheetahEnv):
        def readouts(self) -> dict[str, np.ndarray]:
            own = {"rooty_angle": np.rad2deg(self.data.qpos[2:3])}
            return {"qpos": self.data.qpos, "qvel": self.data.qvel, **own}

    env = adopt(Degrees())
    env.reset(seed=1)
    spec = env.env_spec
    assert "rooty_angle" in spec.readout_sizes
    assert spec.derived_readouts.keys() >= {"rooty_angle_2", "qpos"}
    assert spec.derived_readouts.keys().isdisjoint(spec.readout_sizes)
    layout = Readouts(spec.readout_sizes, spec.derived_readouts)
    rows, base = torch.from_numpy(env.readouts())[None], env.unwrapped
    assert isinstance(base, Degrees)
    values = {name: layout.value(name, rows) for name in ("rooty_angle", "rooty_angle_2", "qpos")}
    expected = {"rooty_angle": np.rad2deg(base.data.qpos[2:3]), "rooty_angle_2": base.data.qpos[2:3]}
    for name, value in {**expected, "qpos": base.data.qpos}.items():
        found = values[name]
        assert found is not None
        np.testing.assert_allclose(found[0], value, atol=1e-4)


def test_derived_readouts_point_at_the_numbers_of_the_root() -> None:
    cheetah = envs.make("HalfCheetah-v5").env_spec.derived_readouts
    assert cheetah["velocity"] == derived("rootx_velocity", 0)
    assert cheetah["pitch"] == derived("rooty_turn", 0, 1, how="angle")
    ant = envs.make("Ant-v5").env_spec.derived_readouts
    assert ant["position"] == derived("torso_position", 0, 1)
    assert ant["upright"] == derived("torso_up", 2)
    maze = envs.make("joule/Maze-v0").env_spec.derived_readouts
    assert maze["position"] == derived("ball", 0, 1)


class PointWithCost(tiny_env.Point):
    """Names a derived readout as a cost is named."""

    derived_readouts = {"cost": derived("position", 0)}  # noqa: RUF012


def test_a_reserved_name_is_refused() -> None:
    gymnasium.register("PointWithCost-v0", entry_point=f"{__name__}:PointWithCost")
    with pytest.raises(envs.EnvError, match=r"derived_readouts of .* names one 'cost'"):
        envs.make("PointWithCost-v0")


def test_without_physics_the_readout_is_the_observation() -> None:
    env: Any = envs.make("Pendulum-v1")
    observation, _ = env.reset(seed=0)
    assert env.env_spec.readout_sizes == {"obs": 3}
    np.testing.assert_array_equal(env.readouts(), observation)

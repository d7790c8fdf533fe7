"""Derived readouts: which ones an environment has, and that their names are checked."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import tiny_env

import envs
from envs.readouts.derived import derived


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("HalfCheetah-v5", {"position", "height", "velocity", "speed", "climb", "pitch", "upright"}),
        ("Ant-v5", {"position", "height", "velocity", "speed", "climb", "upright"}),
        ("InvertedPendulum-v5", {"position", "velocity", "speed"}),
        ("Reacher-v5", set()),
        ("joule/Maze-v0", {"position"}),
        ("joule/Push-v0", set()),
        ("Pendulum-v1", set()),
    ],
)
def test_derived_readouts_of_an_environment(name: str, expected: set[str]) -> None:
    assert set(envs.make(name).env_spec.derived_readouts) == expected


def test_derived_readouts_point_at_the_numbers_of_the_root() -> None:
    cheetah = envs.make("HalfCheetah-v5").env_spec.derived_readouts
    assert cheetah["velocity"] == derived("qvel", 0)
    assert cheetah["pitch"] == derived("qpos", 2)
    ant = envs.make("Ant-v5").env_spec.derived_readouts
    assert ant["position"] == derived("qpos", 0, 1)
    assert ant["upright"] == derived("qpos", 3, 4, 5, 6, how="up")
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

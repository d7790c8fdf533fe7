"""The record of a robot's physics, by which a run recognises that it has been changed."""

from __future__ import annotations

import mujoco
import pytest

from envs.physics_record import physics_record
from joule_schema.physics_change import RELEASE, changed_groups

ROBOT = """
<mujoco>
  <option timestep="0.005"/>
  <worldbody>
    <geom type="plane" size="3 3 0.1"/>
    <body name="arm" pos="0 0 0.8">
      <joint name="hinge" axis="0 1 0" damping="0.1"/>
      <geom name="link" type="capsule" fromto="0 0 0 0 0 0.4" size="0.03" mass="1"/>
      <geom name="shell" size="0.05" contype="0" conaffinity="0" mass="0" rgba="1 0 0 1"/>
    </body>
  </worldbody>
  <actuator><motor joint="hinge" gear="5"/></actuator>
</mujoco>
"""


def record(text: str) -> dict[str, str]:
    return physics_record(mujoco.MjModel.from_xml_string(text))


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ('mass="1"', 'mass="1.1"', ["masses"]),
        ('mass="1"', 'mass="1.0000001"', []),
        ('axis="0 1 0"', 'axis="1e-17 1 0"', []),
        ('damping="0.1"', 'damping="0.2"', ["joints"]),
        ('gear="5"', 'gear="6"', ["actuators"]),
        ('timestep="0.005"', 'timestep="0.002"', ["options"]),
        ('name="link"', 'name="link" friction="0.5 0.1 0.1"', ["contacts"]),
        ('pos="0 0 0.8"', 'pos="0 0 0.9"', ["shapes"]),
        ('size="0.05"', 'size="0.06"', []),  # it is seen and not touched
        ('rgba="1 0 0 1"', 'rgba="0 0 1 1"', []),
    ],
)
def test_what_was_changed_is_named(old: str, new: str, changed: list[str]) -> None:
    assert old in ROBOT
    assert changed_groups(record(ROBOT), record(ROBOT.replace(old, new))) == changed


def test_groups_that_one_of_two_records_lacks_are_not_compared() -> None:
    now = record(ROBOT)
    assert changed_groups({}, now) == []
    assert changed_groups({**now, "masses": "others"}, now) == ["masses"]
    assert changed_groups({RELEASE: now[RELEASE], "joints": "others"}, now) == ["joints"]


def test_records_of_two_releases_of_mujoco_are_not_compared() -> None:
    now = record(ROBOT)
    assert changed_groups({**now, RELEASE: "3.5.0", "masses": "others"}, now) == []

"""The record of a robot's physics, by which a run recognises that it has been changed."""

from __future__ import annotations

from typing import Any

import gymnasium
import mujoco
import pytest
from gymnasium import spaces

from envs.physics_record import physics_record, space_record
from joule_schema.physics_change import RELEASE, changed_groups

ROBOT = """
<mujoco>
  <option timestep="0.005"/>
  <worldbody>
    <geom type="plane" size="3 3 0.1"/>
    <body name="arm" pos="0 0 0.8">
      <joint name="hinge" axis="0 1 0" damping="0.1"/>
      <geom name="link" type="capsule" fromto="0 0 0 0 0 0.4" size="0.03" mass="1"/>
      <site name="tip" pos="0 0 0.4"/>
      <site name="mark" pos="0 0 0.1"/>
      <geom name="shell" size="0.05" contype="0" conaffinity="0" mass="0" rgba="1 0 0 1"/>
    </body>
  </worldbody>
  <actuator><motor joint="hinge" gear="5" ctrllimited="true" ctrlrange="-1 1"/></actuator>
  <sensor><framepos objtype="site" objname="tip"/></sensor>
  <equality><joint joint1="hinge" active="false"/></equality>
  <keyframe><key qpos="0.1"/></keyframe>
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
        ('ctrllimited="true"', 'ctrllimited="false"', ["actuators' switches"]),
        ('active="false"', 'active="true"', ["constraints' switches"]),
        ('pos="0 0 0.4"', 'pos="0 0 0.3"', ["sites"]),
        ('pos="0 0 0.1"', 'pos="0 0 0.2"', []),  # nothing refers to it
        ('objname="tip"', 'objname="mark"', ["sites", "sensors"]),
        ('qpos="0.1"', 'qpos="0.2"', ["poses of the start"]),
        ("<option ", '<option cone="elliptic" ', ["options of contacts"]),
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


def test_spaces_whose_sizes_stay_the_same_are_recorded() -> None:
    class Own(gymnasium.Env[Any, Any]):
        def __init__(self, high: float, names: str) -> None:
            self.action_space = spaces.Box(-1.0, high, (2,))
            self.observation_space = spaces.Dict(
                {name: spaces.Dict(at=spaces.Box(-1.0, 1.0, (2,))) for name in names}
            )

    before = space_record(Own(1.0, "ab"))
    assert changed_groups(before, space_record(Own(1.0, "ab"))) == []
    assert changed_groups(before, space_record(Own(2.0, "ab"))) == ["action bounds"]
    assert changed_groups(before, space_record(Own(1.0, "ac"))) == ["parts of the observation"]


def test_records_of_two_releases_of_mujoco_are_not_compared() -> None:
    now = record(ROBOT)
    assert changed_groups({**now, RELEASE: "3.5.0", "masses": "others"}, now) == []

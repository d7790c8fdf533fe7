"""Labels of actions and readouts: names of motors and joints, where there are any."""

from __future__ import annotations

import pytest
import tiny_env
from mjcf_env import MjcfEnv

import envs
from envs.adoption import adopt
from envs.readouts.labels import action_labels, readout_labels


def test_every_number_has_a_label() -> None:
    cheetah = envs.make("HalfCheetah-v5")
    assert action_labels(cheetah) == ["bthigh", "bshin", "bfoot", "fthigh", "fshin", "ffoot"]
    assert readout_labels(cheetah)[:3] == ["rootx_position", "rootz_position", "rooty_turn.0"]
    assert len(readout_labels(cheetah)) == 19
    push = envs.make("joule/Push-v0")
    labels = readout_labels(push)
    assert len(labels) == len(set(labels)) == sum(push.env_spec.readout_sizes.values())
    point = envs.make(tiny_env.ID)
    assert (action_labels(point), readout_labels(point)) == (["action 0"], ["position", "distance"])


def test_a_motor_with_two_controls_gives_no_names_to_the_numbers_of_an_action() -> None:
    try:
        env = MjcfEnv(
            '<mujoco><worldbody><body><joint name="elbow"/><geom size=".1"/></body></worldbody>'
            '<actuator><pid name="servo" joint="elbow" kp="3"/></actuator></mujoco>'
        )
    except ValueError:
        pytest.skip("this release of MuJoCo has no such motor")
    assert action_labels(adopt(env)) == ["action 0", "action 1"]

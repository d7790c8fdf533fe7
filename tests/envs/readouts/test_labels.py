"""Labels of actions and readouts: names of motors and joints, where there are any."""

from __future__ import annotations

import tiny_env

import envs
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

"""When a goal is reached."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import joule
from agent.errors import ConfigError
from envs.readouts.derived import derived
from joule.goals.nearness import Nearness


def test_angles_are_near_by_the_shorter_way_round() -> None:
    spec = joule.make_env("dmc:pendulum-swingup").env_spec
    for name in ("qpos", "hinge_angle", "hinge_angle.0"):
        nearness = Nearness(spec, {name: 0.2})
        here, there = (np.array([np.cos(a), np.sin(a), 0.0], np.float32) for a in (3.12, -3.12))
        assert nearness.excess(here, there) == pytest.approx((2 * np.pi - 6.24) / 0.2, abs=1e-4)


@pytest.mark.parametrize(
    ("size", "others", "example"),
    [
        (4, {}, "obs.0"),
        (1, {}, "obs"),
        (4, {"hinge": derived("obs", 1)}, "hinge"),
        (4, {"place": derived("obs", 1, 2)}, "place.0"),
    ],
)
def test_the_distance_that_is_suggested_is_of_one_number(
    size: int, others: dict[str, Any], example: str
) -> None:
    spec: Any = SimpleNamespace(env="Arm-v0", readout_sizes={"obs": size}, derived_readouts=others)
    with pytest.raises(ConfigError, match=f"a readout and a distance, such as {example}=0.1;"):
        Nearness(spec, {})

"""The estimate of an agent's memory counts the networks that the agent has."""

from types import SimpleNamespace
from typing import Any

import pytest

from agent.configurator.settings import Config
from agent.networks import Networks
from joule.memory_estimate import LEARNED, estimate


@pytest.mark.parametrize("size", [16, 256])
def test_the_networks_of_an_agent_that_sees_are_as_large_as_they_are(size: int) -> None:
    picture: Any = SimpleNamespace(name="pixels", shape=(9, size, size), dtype="uint8", angles=(), stack=3)
    spec: Any = SimpleNamespace(
        observation=(picture,), action_size=2, readout_sizes={"qpos": 2}, action_repeat=1
    )
    config = Config()
    learned = sum(
        each.numel() for each in Networks([picture], 2, 2, config).parameters() if each.requires_grad
    )
    assert 0.7 < estimate(config, spec).networks / (LEARNED * learned) < 1.5

"""The estimate of an agent's memory counts the networks that the agent has."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from agent.configurator.settings import Config
from agent.networks import Networks
from agent.perception import pixels
from joule.memory_estimate import LEARNED, MAPS, POSITIONS, estimate
from joule.memory_estimate import _of_pictures as of_pictures

ROWS = 7


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


def test_the_encoder_of_the_estimate_is_that_of_the_agent() -> None:
    features = pixels.CHANNELS[-1]
    assert (2 * features, 3 * features / pixels.PATCH**2) == (POSITIONS, MAPS)


@pytest.mark.parametrize(("channels", "size"), [(1, 48), (3, 48), (9, 64)])
def test_a_gradient_step_keeps_as_many_numbers_of_pictures_as_estimated(channels: int, size: int) -> None:
    picture: Any = SimpleNamespace(
        name="pixels", shape=(channels, size, size), dtype="uint8", angles=(), stack=1
    )
    encoder = Networks([picture], 2, 2, Config()).encoder
    weights = {each.untyped_storage().data_ptr() for each in encoder.parameters()}
    kept: dict[int, int] = {}

    def count(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes() // 4
        return tensor

    rows = torch.zeros(ROWS, channels, size, size, dtype=torch.uint8)
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        z = encoder(rows)
    assert z.requires_grad
    spec: Any = SimpleNamespace(observation=(picture,))
    assert 0.6 < of_pictures(spec) * ROWS / sum(kept.values()) < 1.7

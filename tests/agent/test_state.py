"""The state of an agent: whatever it holds comes back, in an agent that has learned other things since."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

pytestmark = pytest.mark.usefixtures("unchecked")

# Unlike those of a new agent, and unlike each other.
INTERACTION = {
    "update_credit": 0.75,
    "seeded": [False],
    "episode_number": [4],
    "episode_return": [2.5],
    "episode_decisions": [3],
}
LEARNER = {"collapsed": 2, "first_std": 0.375}


def test_every_number_of_a_state_comes_back(make_agent: Callable[..., Any]) -> None:
    agent = make_agent(explore__warmup_decisions=20, learning__pretrain_updates=3, cost__uncertainty=0.0)
    agent.learn(23)
    modules = agent.modules
    for owner, values in ((agent.interaction, INTERACTION), (modules.learner, LEARNER)):
        for name, value in values.items():
            setattr(owner, name, copy.copy(value))
    modules.terminations = 6
    modules.learner.budget.total, modules.learner.budget.recent = 5, [1, 2]
    agent.interaction.metrics["episode/return"] = 7.5
    arrays, meta = agent.state_dict()
    for name, value in (INTERACTION | LEARNER).items():
        assert meta[name] == value
    kept = json.dumps(meta)
    rows = agent.replay[0].since(0)
    # The generators, weights, moments, the open episode and its plan are others by now.
    other = make_agent(explore__warmup_decisions=20, learning__pretrain_updates=2, seed=9)
    other.learn(31)
    other.replay[0].restore(rows, len(rows["last"]))
    other.load_state_dict(arrays, json.loads(kept))
    found, again = other.state_dict()
    assert json.dumps(again) == kept
    assert found.keys() == arrays.keys()
    assert [name for name in arrays if not np.array_equal(arrays[name], found[name], equal_nan=True)] == []


def test_what_is_measured_once_an_update_is_measured_anew_in_another_state(
    make_agent: Callable[..., Any],
) -> None:
    agent = make_agent(explore__warmup_decisions=20, learning__pretrain_updates=3)
    agent.learn(22)
    state, modules = agent.state_dict(), agent.modules
    modules.margin_measured_at = modules.sensors.calibrated_at = modules.learner.updates
    agent.load_state_dict(*state)
    assert modules.learner.updates not in (modules.margin_measured_at, modules.sensors.calibrated_at)


def test_a_readout_that_has_never_varied_is_read_without_the_noise_of_the_head(
    make_agent: Callable[..., Any],
) -> None:
    networks = make_agent().modules.networks
    rows = torch.tensor([[0.5, 1.0], [2.5, 1.0]])
    networks.readout_normalizer.update(rows)
    z = torch.randn(5, networks.used_latent)
    read = networks.read(z)
    assert (read[:, 1] == 1.0).all()
    assert torch.equal(read[:, 0], networks.readout_normalizer.inverse(networks.readout(z))[:, 0])

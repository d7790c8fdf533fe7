"""Gradients by hand are those of autograd, and a run may change from one to the other at any update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from learner_pairs import (
    ACT,
    CASES,
    OBS,
    READOUTS,
    assert_same_state,
    gradients,
    learner_of,
    pair,
    windows_of,
)

from agent.configurator.settings import Config, LearningConfig, ModelConfig, RegularizerConfig
from agent.fused_networks import refusal
from agent.learning.flat_parameters import FlatParameters
from agent.networks import Networks
from agent.world_model.dynamics import WorldModel
from envs.env_spec import ObservationPart


@pytest.mark.parametrize("case", range(len(CASES)))
def test_gradients_by_hand_are_those_of_autograd(case: int) -> None:
    settings = CASES[case]
    learners = pair(seed=case, **settings)
    time = settings["window_decisions"] + settings["n_step"] - 1
    for update in range(5):
        frozen = update == 3
        windows = windows_of(time, 10 * case + update, ending=0.0 if update == 2 else 0.2)
        if update == 1:
            windows.cost[0, 0] = np.nan  # this step is skipped
        before = [gradients(learner).clone() for learner in learners]
        measured, drawn = [], []
        for learner in learners:
            torch.manual_seed(update)
            measured.append(learner.update(windows, measure=True, encoder_frozen=frozen))
            drawn.append(torch.get_rng_state())
        assert torch.equal(*drawn), "the same random numbers"
        assert measured[0] == pytest.approx(measured[1], rel=1e-9, abs=1e-12)
        assert [learner.skipped for learner in learners] == [update > 0] * 2
        if update == 1:
            continue
        expected, found = map(gradients, learners)
        assert not torch.equal(expected, before[0])
        assert (found - expected).norm() < 1e-12 * expected.norm()
        assert_same_state(*learners)


def test_a_run_may_change_between_autograd_and_gradients_by_hand(
    make_agent: Callable[..., Any], unchecked: None
) -> None:
    states = []
    for first, second in ((False, True), (True, False), (False, False)):
        begun = make_agent(learning__fused=first, learning__pretrain_updates=4, explore__warmup_decisions=40)
        begun.learn(42)
        arrays, meta = begun.state_dict()
        continued = make_agent(learning__fused=second)
        continued.interaction.run_due_updates()
        continued.load_state_dict(arrays, meta)
        for stream, rows in zip(continued.replay, begun.replay, strict=True):
            stream.restore(rows.since(0), rows.total)
        assert continued.modules.learner.served is second
        for _ in range(3):
            with continued.modules.own_random_streams():
                continued.interaction.update_once()
        states.append(continued.state_dict()[0])
    *changed, same = states
    for arrays in changed:
        assert arrays.keys() == same.keys()
        for name, array in arrays.items():
            np.testing.assert_allclose(array, same[name], rtol=1e-3, atol=1e-5, err_msg=name)


class AnotherModel(WorldModel):
    """As a user might write one."""


def test_what_is_not_the_default_is_left_to_autograd() -> None:
    def reason(kind: type[WorldModel] | None = None, regularizer: str = "simnorm", **learning: Any) -> Any:
        settings = LearningConfig(**({"fused": True} | learning))
        config = Config(
            model=ModelConfig(latent_dim=16, hidden_dim=12, head_width=8),
            regularizer=RegularizerConfig(kind=regularizer),
            learning=settings,
        )
        networks = Networks((ObservationPart("state", (OBS,), "float32"),), ACT, READOUTS, config)
        if kind is not None:
            networks.world_model.__class__ = kind
        found = refusal(networks, settings.precision)
        learner = learner_of(networks, settings)
        assert learner.served is (found is None and settings.fused)
        assert (learner.fused is not None) is learner.served
        return found

    assert reason() is None
    assert reason(fused=False) is None
    assert reason(precision="bfloat16") == "learning.precision bfloat16 is not float32"
    assert reason(regularizer="vicreg") == "regularizer.kind is not simnorm"
    assert reason(AnotherModel) == "the world model is not Joule's own"


def test_parameters_that_moved_are_found_again() -> None:
    (learner,) = pair()[1:]
    windows = windows_of(5, 0)
    learner.update(windows)
    before = learner.fused
    assert learner.fused is before
    FlatParameters([(list(learner.networks.critic.parameters()), 1e-3)])
    assert learner.fused is not before

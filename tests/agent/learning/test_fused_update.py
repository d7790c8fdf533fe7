"""Gradients by hand are those of autograd, and a run may change from one to the other at any update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from agent.configurator.settings import Config, CostConfig, LearningConfig, ModelConfig, RegularizerConfig
from agent.fused_networks import refusal
from agent.learning.flat_parameters import FlatParameters
from agent.learning.learner import Learner
from agent.memory.windows import Windows
from agent.networks import Networks
from agent.world_model.dynamics import WorldModel
from envs.env_spec import ObservationPart

OBS, ACT, READOUTS, BATCH = 5, 2, 3, 16


def learner_of(networks: Networks, learning: LearningConfig, curiosity: float = 0.05) -> Learner:
    return Learner(
        networks, learning, lambda: 0.97, target_entropy=-0.5, curiosity=curiosity, regularizer_weight=1.0
    )


def networks_of(config: Config) -> Networks:
    """Networks of double precision, whose zero-initialised heads have been filled."""
    torch.manual_seed(config.seed)
    networks = Networks((ObservationPart("state", (OBS,), "float32"),), ACT, READOUTS, config).double()
    for head in (networks.world_model.cost, *networks.critic.members):
        nn.init.normal_(list(head.parameters())[-2], std=0.3)
    networks.critic.scale.fill_(1.7)
    networks.target_critic.scale.fill_(1.7)
    networks.world_model.cost_scale.fill_(0.6)
    return networks


def pair(
    seed: int = 0, heads: int = 2, critics: int = 2, curiosity: float = 0.05, **learning: Any
) -> list[Learner]:
    """The same learner by autograd and by hand, in double precision."""
    rates = {"learning_rate": 3e-3, "encoder_learning_rate": 2e-3, "tau": 0.1}
    model = ModelConfig(latent_dim=16, hidden_dim=12, head_width=8, ensemble_size=heads)
    cost = CostConfig(critics=critics, bins=11)
    learners = []
    for fused in (False, True):
        settings = LearningConfig(**(rates | learning), fused=fused)
        config = Config(seed=seed, model=model, cost=cost, learning=settings)
        learner = learner_of(networks_of(config), settings, curiosity)
        learner.weight = learner.weight.double()
        learners.append(learner)
    return learners


def windows_of(time: int, seed: int, ending: float = 0.2) -> Windows:
    """Random windows in double precision; a share `ending` of the steps ends an episode, half by termination."""
    rng = np.random.default_rng(seed)
    valid, terminated = np.ones((time, BATCH), bool), np.zeros((time, BATCH))
    for b in range(BATCH):
        for k in range(time):
            if rng.random() < ending:
                terminated[k, b] = rng.random() < 0.5
                valid[k + 1 :, b] = False
                break
    return Windows(
        rng.normal(size=(time + 1, BATCH, OBS)),
        rng.uniform(-1, 1, (time, BATCH, ACT)),
        rng.normal(size=(time, BATCH)) * rng.choice([0.1, 3.0, 100.0]),
        terminated,
        valid,
        rng.normal(size=(time + 1, BATCH, READOUTS)),
    )


def gradients(learner: Learner) -> Tensor:
    vectors = [*learner.model_group.vectors, *learner.policy_group.vectors]
    return torch.cat([vector.grad for vector in vectors if vector.grad is not None])


def assert_same_state(one: Learner, other: Learner) -> None:
    """The same weights, statistics and moments, but for rounding."""
    for (name, ours), theirs in zip(
        one.networks.state_dict().items(), other.networks.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12, msg=name)
    for group in ("model_group", "policy_group"):
        parts = zip(getattr(one, group).moments, getattr(other, group).moments, strict=True)
        for ours, theirs in parts:
            assert ours, "a step was made"
            for name, value in ours.items():
                torch.testing.assert_close(value, theirs[name], rtol=1e-10, atol=1e-13)


CASES: list[dict[str, Any]] = [
    {"window_decisions": 3, "n_step": 3},
    {"window_decisions": 3, "n_step": 3, "curiosity": 0.0, "max_grad_norm": 1e-2},
    {"window_decisions": 1, "n_step": 1, "heads": 3, "critics": 3},
    {"window_decisions": 2, "n_step": 4, "heads": 3, "rho": 0.9},
    {"window_decisions": 3, "n_step": 2, "critics": 3, "prediction_weight": 1.0, "critic_weight": 2.0},
    {"window_decisions": 3, "n_step": 3, "behaviour_cloning": 0.7},
    {"window_decisions": 2, "n_step": 1, "behaviour_cloning": 3.0},
]


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
    assert reason(regularizer="vicreg") == "VICReg is not SimNorm"
    assert reason(AnotherModel) == "AnotherModel is not WorldModel"


def test_parameters_that_moved_are_found_again() -> None:
    (learner,) = pair()[1:]
    windows = windows_of(5, 0)
    learner.update(windows)
    before = learner.fused
    assert learner.fused is before
    FlatParameters([(list(learner.networks.critic.parameters()), 1e-3)])
    assert learner.fused is not before

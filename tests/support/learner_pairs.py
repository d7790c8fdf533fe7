"""Pairs of learners with the same networks in double precision, and windows that they learn from."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from agent.configurator.settings import Config, CostConfig, LearningConfig, ModelConfig
from agent.learning.learner import Learner
from agent.memory.windows import Windows
from agent.networks import Networks
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
        learner.weight = learner.autograd.step_weight = learner.weight.double()
        learners.append(learner)
    return learners


def compiled_pair(seed: int, **settings: Any) -> list[Learner]:
    """The same learner by hand, and compiled."""
    learners = [pair(seed, **settings, compiled=on)[1] for on in (False, True)]
    for learner in learners:
        learner.networks.usual_disagreement.fill_(0.1)  # without one, the first step is never compiled
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

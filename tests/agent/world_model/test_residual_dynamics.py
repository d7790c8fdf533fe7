"""Residual dynamics learn on latents that stay as they are, and plans for goals use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import joule
from agent.learning.dynamics_learning import DynamicsLearner
from agent.world_model.residual_dynamics import ResidualDynamics


def walk(episodes: int, length: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Latents [moments, 3] that an action moves along the first axis, turned; actions; ends of episodes."""
    rng = np.random.default_rng(seed)
    z, action, last = [], [], []
    for _ in range(episodes):
        place = rng.normal(size=3)
        for step in range(length):
            taken = rng.uniform(-1, 1, 1)
            z.append(place)
            action.append(taken)
            last.append(step == length - 1)
            place = place + 0.05 * np.array([taken[0], taken[0] * place[0], 0.0])
    return (
        torch.tensor(np.stack(z), dtype=torch.float32),
        torch.tensor(np.stack(action), dtype=torch.float32),
        np.array(last),
    )


def test_it_learns_what_actions_change() -> None:
    z, action, last = walk(40, 25)
    torch.manual_seed(0)
    model = ResidualDynamics(3, 1)
    learner = DynamicsLearner(model, z, action, last, 150, 10, seed=0)
    for _ in range(150):
        learner.update()
    z, action, last = walk(10, 25, seed=1)
    starts = torch.from_numpy(np.flatnonzero(~last))
    with torch.no_grad():
        error = (model.expect(z[starts], action[starts]) - z[starts + 1]).norm(dim=-1).mean()
    stays = (z[starts + 1] - z[starts]).norm(dim=-1).mean()
    assert error < 0.35 * stays
    step = model.predict(z[starts], action[starts])
    torch.testing.assert_close(step.z, model.expect(z[starts], action[starts]))
    assert torch.sigmoid(step.termination).max() < 1e-9


def test_no_error_counts_beyond_the_end_of_an_episode() -> None:
    model = ResidualDynamics(2, 1)
    z, action = torch.randn(3, 4, 2), torch.randn(2, 4, 1)
    valid = torch.ones(2, 4)
    valid[1, 1:] = 0.0
    loss = model.loss(z, action, valid)
    z[2, 1:] += 5.0
    torch.testing.assert_close(model.loss(z, action, valid), loss)
    z[2, 0] += 5.0
    assert model.loss(z, action, valid) > loss + 0.1


def test_the_learning_rate_rises_and_falls() -> None:
    z, action, last = walk(4, 5)
    learner = DynamicsLearner(ResidualDynamics(3, 1), z, action, last, 100, 10, seed=0)
    shares = []
    for learner.updates in range(100):
        shares.append(learner.rate_share())
    assert 0.0 < shares[0] < shares[3] <= 1.0
    assert shares[5:] == sorted(shares[5:], reverse=True)
    assert shares[5] == pytest.approx(1.0)
    assert shares[-1] < 0.001


def test_plans_for_a_goal_predict_by_it_and_are_kept(trained_run: Path, tmp_path: Path) -> None:
    agent: Any = joule.load(trained_run)
    modules = agent.modules
    assert modules.step_model() is modules.networks.world_model
    agent.learn_goals(2)
    observation = modules.replay_buffer.observations(np.array([3]))[0]
    agent.plan_for(joule.Goal(observation))
    assert modules.step_model() is modules.networks.goals.dynamics
    assert modules.energy(modules.perceive(observation[None])).model is modules.networks.goals.dynamics
    arrays = modules.networks.to_arrays()
    other: Any = joule.load(trained_run)
    other.modules.networks.load_arrays(arrays)
    kept = other.modules.networks.to_arrays()
    assert kept.keys() == arrays.keys()
    assert all(np.array_equal(value, kept[name]) for name, value in arrays.items())
    # An agent that learned goals before there was such a model plans by its world model.
    older = {name: value for name, value in arrays.items() if not name.startswith("goals.dynamics.")}
    assert other.modules.networks.like(older).keys() == older.keys()
    other.modules.networks.load_arrays(older)
    other.plan_for(joule.Goal(observation))
    assert other.modules.step_model() is other.modules.networks.world_model

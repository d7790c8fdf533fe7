"""Residual dynamics learn on latents that stay as they are, and plans for goals use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_env
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


def test_a_number_that_changes_little_is_learned_as_well() -> None:
    z, action, last = walk(40, 25)
    z[:, 2] = z[:, 0]
    z[:, 1] = 50.0 * torch.randn(
        len(z), generator=torch.Generator().manual_seed(0)
    )  # jumps, whatever is done
    torch.manual_seed(0)
    model = ResidualDynamics(3, 1)
    learner = DynamicsLearner(model, z, action, last, 150, 10, seed=0)
    for _ in range(150):
        learner.update()
    starts = torch.from_numpy(np.flatnonzero(~last))
    with torch.no_grad():
        error = (model.expect(z[starts], action[starts]) - z[starts + 1])[:, [0, 2]].norm(dim=-1).mean()
    stays = (z[starts + 1] - z[starts])[:, [0, 2]].norm(dim=-1).mean()
    assert error < 0.5 * stays


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


@pytest.mark.usefixtures("unchecked")
def test_plans_for_a_goal_predict_by_them(small: dict[str, Any]) -> None:
    settings = {**small, "steps": 200, "explore.warmup_decisions": 100, "regularizer.kind": "contrast"}
    settings |= {"model.latent_dim": 16, "learning.pretrain_updates": 2, "learning.initial_utd": 0.0}
    del settings["env"]
    agent: Any = joule.make("joule", env=tiny_env.ID, settings={**settings, "learning.utd": 0.0}).learn(200)
    modules = agent.modules
    goal = joule.Goal(modules.replay_buffer.observations(np.array([3]))[0])
    agent.plan_for(goal)
    assert modules.step_model() is modules.networks.world_model
    agent.learn_goals(2)
    agent.plan_for(goal)
    dynamics = modules.networks.goals.dynamics
    assert isinstance(dynamics, ResidualDynamics)
    assert modules.step_model() is dynamics
    start: Any = goal.observation
    assert modules.energy(modules.perceive(start[None])).model is dynamics
    _, state = agent.predict(goal.observation)
    actions = state.plan.actions[0].numpy()
    shown = agent.imagine(goal.observation, actions)
    np.testing.assert_allclose(shown, agent.imagine_plan(state, len(actions)), rtol=1e-5)
    # A constraint keeps a margin from the errors of the world model, and may read its cost.
    agent.constrain(joule.Constraint("cheap", lambda readouts: readouts["cost"] - 1e3))
    assert modules.step_model() is modules.networks.world_model
    agent.predict(goal.observation)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("kind", ["contrast", "sensors"])
def test_what_was_learned_of_them_is_kept(kind: str, small: dict[str, Any], tmp_path: Path) -> None:
    settings = {**small, "steps": 200, "explore.warmup_decisions": 200, "regularizer.kind": kind}
    settings |= {"model.latent_dim": 16, "learning.pretrain_updates": 2}
    del settings["env"]
    agent: Any = joule.make("joule", env=tiny_env.ID, settings=settings).learn(220).learn_goals(2)
    agent.save(tmp_path / "agent")
    again: Any = joule.load(tmp_path / "agent")
    arrays, kept = (one.modules.networks.to_arrays() for one in (agent, again))
    assert any(name.startswith("goals.dynamics.") for name in arrays)
    assert all(np.array_equal(value, kept[name]) for name, value in arrays.items())


@pytest.mark.usefixtures("unchecked")
def test_zeros_behind_the_sensors_are_no_collapse(small: dict[str, Any]) -> None:
    settings = {**small, "steps": 200, "explore.warmup_decisions": 200, "regularizer.kind": "sensors"}
    settings |= {"model.latent_dim": 128, "learning.pretrain_updates": 0}
    del settings["env"]
    modules: Any = joule.make("joule", env=tiny_env.ID, settings=settings).learn(200).modules
    assert modules.networks.used_latent == 3
    batch = modules.config.learning.batch_size
    windows = modules.replay_buffer.sample(
        batch, modules.config.learning.window_decisions, np.random.default_rng(0)
    )
    metrics = modules.learner.update(windows, measure=True)
    assert metrics["latent/dead"] == 0.0
    assert modules.learner.collapsed == 0

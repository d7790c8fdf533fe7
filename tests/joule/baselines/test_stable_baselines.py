"""Baselines learn what the library's own `learn` learns, and never from physics that diverged."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import tiny_env
import torch
from small_baselines import assert_same_state, small_baseline

import envs
from agent import random_state
from agent.configurator.settings import Config
from agent.interface import DIVERGED_DECISIONS, DIVERGED_KEY
from joule.baselines.settings import KINDS
from joule.baselines.stable_baselines import Baseline
from joule.baselines.trivial import RandomAgent
from joule.training.evaluation import Evaluator


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind in ("sac", "ppo") else pytest.mark.slow) for kind in KINDS]
)
def test_weights_are_those_of_the_librarys_own_learn(kind: str) -> None:
    agent, reference = small_baseline(kind).learn(64), small_baseline(kind)
    reference.bridge.env = reference.env
    model = reference.model
    if kind == "ppo":  # the library's own buffer in place of ours
        from stable_baselines3.common.buffers import RolloutBuffer

        sizes = (model.n_steps, model.observation_space, model.action_space, model.device)
        model.rollout_buffer = RolloutBuffer(*sizes, gae_lambda=model.gae_lambda, gamma=model.gamma, n_envs=1)
    with random_state.preserved():
        random_state.restore(*reference._random_state)
        model.learn(64)
    weights = model.policy.state_dict()
    for name, value in agent.model.policy.state_dict().items():
        assert torch.equal(value, weights[name]), name


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sac", "ppo"])
def test_evaluations_and_other_agents_do_not_change_what_is_learned(kind: str) -> None:
    evaluator = Evaluator(lambda: envs.make(tiny_env.ID), 3)
    scores = []

    def disturb(agent: Baseline) -> bool:
        if agent.decisions % 20 == 0:
            scores.append(evaluator(agent).mean)
            small_baseline("td3").learn(3)
        return True

    assert_same_state(small_baseline(kind).learn(70), small_baseline(kind).learn(70, on_step=disturb))
    assert len(set(scores)) > 1


@pytest.mark.slow
def test_sac_learns_to_reach_the_goal() -> None:
    env = envs.make(tiny_env.ID)
    evaluator = Evaluator(lambda: envs.make(tiny_env.ID), 10)
    settings = {
        "learning_rate": 3e-3,
        "gamma": 0.9,
        "batch_size": 64,
        "policy_kwargs": {"net_arch": [32, 32]},
    }
    agent = Baseline(env.env_spec, Config(env=tiny_env.ID, agent="sac", steps=600), env, settings=settings)
    random = RandomAgent(env.env_spec, Config(env=tiny_env.ID, agent="random"), env)
    assert evaluator(random).mean < 15
    assert evaluator(agent.learn(600)).mean > 20


def test_learning_leaves_nothing_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    agent = small_baseline("ppo").learn(33)
    assert agent.state_dict()[1]["updates"] > 0
    assert "train/value_loss" in agent.metrics  # the library's metrics are still there
    assert list(tmp_path.iterdir()) == []


Change = Callable[[int, Any], Any]


class ChangedSteps(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment whose steps are changed: `change` gets the step's number, from 1, and its five values."""

    env_spec: Any

    def __init__(self, env: Any, change: Change) -> None:
        super().__init__(env)
        self.env_spec, self.change, self.steps = env.env_spec, change, 0

    def step(self, action: Any) -> Any:
        self.steps += 1
        return self.change(self.steps, self.env.step(action))


def test_a_step_that_diverged_is_never_stored() -> None:
    def diverge(number: int, step: Any) -> Any:
        obs, reward, terminated, truncated, info = step
        if number % 7:
            return obs, reward, terminated, truncated, info
        return obs, -9.0, terminated, True, info | {DIVERGED_KEY: True}

    agent = small_baseline("sac")
    changed: Any = ChangedSteps(agent.env, diverge)
    agent.learn(35, changed)
    (replay,) = agent.replay
    rows = replay.since(0)
    assert agent.decisions == 35
    assert replay.total == len(rows["reward"]) == 30
    assert agent.metrics[DIVERGED_DECISIONS] == 5.0
    assert rows["reward"].min() >= 0.0
    # Within an episode each transition begins where the one before it ended.
    within = np.arange(29)[np.arange(29) % 6 != 5]
    np.testing.assert_array_equal(rows["next_obs"][within], rows["obs"][within + 1])


def test_the_time_limit_truncates_and_bootstraps() -> None:
    agent = small_baseline("td3").learn(60)
    rows = agent.replay[0].since(0)
    ends = np.flatnonzero(rows["done"])
    assert ends.tolist() == [24, 49]
    np.testing.assert_array_equal(rows["timeout"], rows["done"])
    assert (rows["next_obs"][ends, 2] == rows["obs"][ends, 2]).all(), "the goal of the episode that ended"
    assert (rows["obs"][ends + 1, 2] != rows["obs"][ends, 2]).all()


def test_a_loss_that_is_not_finite_stops_the_run() -> None:
    agent = small_baseline("sac")
    changed: Any = ChangedSteps(agent.env, lambda _, step: (step[0], 3e38, *step[2:]))
    with pytest.raises(FloatingPointError, match=r"loss became .* at decision"):
        agent.learn(60, changed)


@pytest.mark.parametrize("kind", ["sac", "ppo"])
def test_weights_that_are_not_finite_stop_the_run_at_the_next_decision(kind: str) -> None:
    agent = small_baseline(kind).learn(20)
    with torch.no_grad():
        for parameter in agent.model.policy.parameters():
            parameter.fill_(np.nan)
    said = f"{kind}: the weights are no longer finite at decision 20 in"
    with pytest.raises(FloatingPointError, match=said):
        agent.predict(np.zeros(agent.env_spec.observation_size, np.float32))  # as the next evaluation does
    with pytest.raises(FloatingPointError, match=said):
        agent.learn(1)


@pytest.mark.parametrize(("gradient_steps", "updates"), [(-1, 40), (0, 0)])
def test_gradient_steps_mean_what_they_mean_in_the_library(gradient_steps: int, updates: int) -> None:
    agent = small_baseline("sac", learning_starts=8, train_freq=(8, "step"), gradient_steps=gradient_steps)
    ended: list[Any] = []

    def on_step(agent: Any) -> bool:
        ended.extend(agent.ended_episodes)
        return True

    agent.learn(48, on_step=on_step)
    assert agent.model._n_updates == updates
    assert len(ended) == agent.episodes


@pytest.mark.parametrize("kind", ["sac", "ppo"])
def test_a_batch_gets_the_actions_of_its_rows(kind: str) -> None:
    agent = small_baseline(kind).learn(40)
    obs = np.random.default_rng(0).normal(size=(4, 3))
    batch, _ = agent.predict(obs)
    assert batch.shape == (4, 1)
    for row, action in zip(obs, batch, strict=True):
        np.testing.assert_allclose(agent.predict(row)[0], action, rtol=1e-5, atol=1e-6)


def test_ppo_acts_on_normalised_observations() -> None:
    agent = small_baseline("ppo").learn(60)
    arrays, _ = agent.state_dict()
    obs = np.array([[0.3, -0.1, 0.8]], np.float32)
    mean, var = arrays["normalizer/obs/mean"], arrays["normalizer/obs/var"]
    normalised = torch.as_tensor((obs - mean) / np.sqrt(var + agent.normalizer.epsilon), dtype=torch.float32)
    with torch.no_grad():
        expected = agent.model.policy.get_distribution(normalised).mode().clamp(-1.0, 1.0)
    np.testing.assert_allclose(agent.predict(obs)[0], expected.numpy(), atol=1e-6)


def test_evaluate_policy_of_stable_baselines3_takes_every_agent() -> None:
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.monitor import Monitor

    env = envs.make(tiny_env.ID)
    agents: list[Any] = [
        small_baseline("ppo").learn(40),
        RandomAgent(env.env_spec, Config(agent="random")),
    ]
    for agent in agents:
        mean: Any
        mean, _ = evaluate_policy(agent, Monitor(env), n_eval_episodes=2)
        assert 0.0 <= mean <= 25.0


def test_an_episode_that_was_broken_off_takes_its_rollout_with_it() -> None:
    agent = small_baseline("ppo").learn(5)
    assert agent.model.rollout_buffer.pos == 5
    agent.begin_episode()
    assert agent.model.rollout_buffer.pos == 0


@pytest.mark.parametrize("kind", ["sac", "ppo"])
def test_acting_in_another_thread_changes_nothing_of_what_is_learned(kind: str) -> None:
    agent, observations = small_baseline(kind), np.zeros((256, 3), np.float32)
    learning = threading.Thread(target=agent.learn, args=(96,))
    learning.start()
    acted = 0
    while learning.is_alive():
        agent.predict(observations[: 1 + 255 * (acted % 2)])
        acted += 1
    learning.join()
    assert acted > 10
    assert_same_state(small_baseline(kind).learn(96), agent)

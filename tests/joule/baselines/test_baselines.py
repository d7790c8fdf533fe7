"""The library's own learning, resumed to the last bit; nothing learned from broken physics; floors."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import tiny_env
import torch

import envs
from agent import random_state as generators
from agent.configurator.settings import Config
from joule.baselines.settings import KINDS, published, settings_for
from joule.baselines.stable_baselines import Baseline
from joule.baselines.trivial import TrivialAgent
from joule.training.evaluation import Evaluator

SMALL: dict[str, dict[str, Any]] = {
    "sac": {"batch_size": 16, "policy_kwargs": {"net_arch": [16, 16]}},
    "td3": {"batch_size": 16, "policy_kwargs": {"net_arch": [16, 16]}},
    "tqc": {"batch_size": 16, "policy_kwargs": {"net_arch": [16, 16]}},
    "crossq": {"batch_size": 16, "policy_kwargs": {"net_arch": [16, 16]}},
    "ppo": {"n_steps": 32, "batch_size": 16, "n_epochs": 2},
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small(kind: Any, **settings: Any) -> Baseline:
    """A baseline small enough to learn within milliseconds, in a body of its own."""
    env = envs.make(tiny_env.ID)
    chosen = {**SMALL[kind], **({} if kind == "ppo" else {"learning_starts": 20}), **settings}
    return Baseline(env.env_spec, Config(env=tiny_env.ID, agent=kind, seed=3), env, settings=chosen)


def saved_and_rebuilt(agent: Any, fresh: Any) -> Any:
    """`fresh` in the state of `agent`, which has passed through JSON as in a checkpoint."""
    arrays, meta = agent.state_dict()
    assert all(isinstance(value, np.ndarray) for value in arrays.values())
    meta = json.loads(json.dumps(meta, allow_nan=False))
    if agent.replay.columns():
        total = agent.replay.total
        fresh.replay.restore(agent.replay.since(agent.replay.first), total)
    fresh.load_state_dict(arrays, meta)
    assert fresh.env.restore(agent.env.snapshot()) is not False
    return fresh


def assert_same(one: Any, other: Any) -> None:
    """Bit for bit: weights, targets, optimisers, generators, counters, metrics."""
    (arrays, meta), (others, other_meta) = one.state_dict(), other.state_dict()
    assert arrays.keys() == others.keys()
    assert [n for n in arrays if not np.array_equal(arrays[n], others[n])] == []
    assert meta == other_meta


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_run_is_the_uninterrupted_one(kind: Any) -> None:
    whole = small(kind).learn(70)
    # 43: in the middle of an episode and, for PPO, of a rollout. 50: at an episode's end.
    for first in (43, 50):
        resumed = saved_and_rebuilt(small(kind).learn(first), small(kind)).learn(70 - first)
        assert_same(whole, resumed)
    assert whole.metrics["episode/length"] == 25
    assert whole.state_dict()[1]["updates"] > 0


def test_learning_leaves_nothing_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    learner = small("ppo").learn(33)
    assert learner.state_dict()[1]["updates"] > 0
    assert "train/value_loss" in learner.metrics  # what the library measures still comes through
    assert list(tmp_path.iterdir()) == []


def test_a_wrapped_replay_is_put_back_where_it_was() -> None:
    whole = small("sac", buffer_size=30).learn(80)
    resumed = saved_and_rebuilt(small("sac", buffer_size=30).learn(50), small("sac", buffer_size=30))
    resumed.learn(30)
    assert_same(whole, resumed)
    with pytest.raises(ValueError, match="overwritten"):
        whole.replay.since(40)
    with pytest.raises(ValueError, match="needs 30"):
        resumed.replay.restore(whole.replay.since(60), 80)


def test_a_resume_at_an_episodes_edge_does_not_repeat_the_runs_first_episode() -> None:
    agent = small("td3").learn(30)
    arrays, meta = agent.state_dict()
    first = agent.replay.since(0)["obs"][0]
    resumed = small("td3")
    resumed.load_state_dict(arrays, meta)
    resumed.begin_episode()  # as when a body could not be brought back
    resumed.learn(1)
    assert resumed.decisions == 31
    assert (resumed.replay.since(0)["obs"][0] != first).any()


@pytest.mark.slow
@pytest.mark.parametrize("env_id", ["Pendulum-v1", "Hopper-v5"])
@pytest.mark.parametrize("kind", KINDS)
def test_resume_is_exact_at_published_settings(kind: Any, env_id: str) -> None:
    def fresh() -> Baseline:
        env = envs.make(env_id)
        return Baseline(env.env_spec, Config(env=env_id, agent=kind, steps=1_000), env)

    steps = {"ppo": 1_300, "crossq": 120}.get(kind, 240)  # CrossQ's critics are wide and slow
    resumed = saved_and_rebuilt(fresh().learn(steps // 2), fresh()).learn(steps - steps // 2)
    assert_same(fresh().learn(steps), resumed)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_those_of_the_librarys_own_learn(kind: Any) -> None:
    mine, theirs = small(kind).learn(64), small(kind)
    theirs.bridge.body = theirs.env
    model = theirs.model
    if kind == "ppo":  # the library's own buffer in place of ours
        from stable_baselines3.common.buffers import RolloutBuffer

        given = (model.n_steps, model.observation_space, model.action_space, model.device)
        model.rollout_buffer = RolloutBuffer(*given, gae_lambda=model.gae_lambda, gamma=model.gamma, n_envs=1)
    with generators.preserved():
        generators.restore(*theirs._generators)
        model.learn(64)
    learned = model.policy.state_dict()
    for name, value in mine.model.policy.state_dict().items():
        assert torch.equal(value, learned[name]), name


@pytest.mark.parametrize("kind", ["sac", "ppo"])
def test_evaluation_and_other_agents_leave_no_trace(kind: Any) -> None:
    evaluator = Evaluator(lambda: envs.make(tiny_env.ID), 3)
    scores = []

    def disturb(agent: Baseline) -> bool:
        if agent.decisions % 20 == 0:
            scores.append(evaluator(agent).mean)
            small("td3").learn(3)
        return True

    assert_same(small(kind).learn(70), small(kind).learn(70, on_step=disturb))
    assert len(set(scores)) > 1


def test_sac_learns_the_point() -> None:
    env = envs.make(tiny_env.ID)
    evaluator = Evaluator(lambda: envs.make(tiny_env.ID), 10)
    settings = {
        "learning_rate": 3e-3,
        "gamma": 0.9,
        "batch_size": 64,
        "policy_kwargs": {"net_arch": [32, 32]},
    }
    agent = Baseline(env.env_spec, Config(env=tiny_env.ID, agent="sac", steps=600), env, settings=settings)
    trivial = evaluator(TrivialAgent(env.env_spec, Config(env=tiny_env.ID, agent="random"), env)).mean
    assert trivial < 15
    assert evaluator(agent.learn(600)).mean > 20


class Flawed(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A body whose physics diverges at every 7th step, or whose reward explodes."""

    env_spec: Any

    def __init__(self, body: Any, reward: float = 0.0) -> None:
        super().__init__(body)
        self.env_spec, self.reward, self.steps = body.env_spec, reward, 0

    def step(self, action: Any) -> Any:
        obs, reward, terminated, truncated, info = self.env.step(action)
        self.steps += 1
        if self.reward:
            return obs, self.reward, terminated, truncated, info
        diverged = self.steps % 7 == 0
        return (
            obs,
            -9.0 if diverged else reward,
            terminated,
            truncated or diverged,
            info | {"diverged": diverged},
        )


def test_a_diverged_step_is_never_stored() -> None:
    agent = small("sac")
    flawed: Any = Flawed(agent.env)
    agent.learn(35, flawed)
    rows = agent.replay.since(0)
    assert agent.decisions == 35
    assert agent.replay.total == len(rows["reward"]) == 30
    assert rows["reward"].min() >= 0.0
    # What is stored is whole: within an episode each row goes on where the last one ended.
    within = np.arange(29)[np.arange(29) % 6 != 5]
    np.testing.assert_array_equal(rows["next_obs"][within], rows["obs"][within + 1])


def test_the_time_limit_truncates_and_bootstraps() -> None:
    agent = small("td3").learn(60)
    rows = agent.replay.since(0)
    ends = np.flatnonzero(rows["done"])
    assert ends.tolist() == [24, 49]
    np.testing.assert_array_equal(rows["timeout"], rows["done"])
    assert (rows["next_obs"][ends, 2] == rows["obs"][ends, 2]).all(), "the goal of the episode that ended"
    assert (rows["obs"][ends + 1, 2] != rows["obs"][ends, 2]).all()


def test_an_exploded_loss_stops_the_run() -> None:
    agent = small("sac")
    flawed: Any = Flawed(agent.env, reward=3e38)
    with pytest.raises(FloatingPointError, match=r"loss became .* at decision"):
        agent.learn(60, flawed)


def test_settings_are_the_published_ones() -> None:
    assert published("sac", "HalfCheetah-v5") == {"learning_starts": 10_000}
    assert published("td3", "Ant-v5")["policy_kwargs"] == {"net_arch": [400, 300]}
    assert published("tqc", "Hopper-v4")["top_quantiles_to_drop_per_net"] == 5
    assert published("ppo", "Walker2d-v5")["learning_rate"] == 5.05041e-05
    assert published("ppo", "Ant-v5") == published("ppo", "mine:Walker2d-v5") == {"normalize": True}
    assert settings_for("sac", "Hopper-v5", 50_000)["learning_starts"] == 5_000
    assert settings_for("sac", "Hopper-v5", 1_000_000)["learning_starts"] == 10_000
    assert settings_for("crossq", "Hopper-v5", 500)["learning_starts"] == 100


@pytest.mark.parametrize("kind", KINDS)
def test_settings_reach_the_library(kind: Any) -> None:
    env = envs.make("HalfCheetah-v5")
    agent = Baseline(env.env_spec, Config(agent=kind))
    plain = {"noise_std", "normalize", "policy_kwargs", "train_freq", "clip_range"}
    for name, value in agent.settings.items():
        assert name in plain or getattr(agent.model, name) == value, name
    assert (agent.normalizer is not None) == (kind == "ppo")
    if agent.normalizer is not None:
        assert agent.model.clip_range(1.0) == 0.1
        assert agent.normalizer.gamma == 0.98
    if kind == "td3":
        assert agent.model.action_noise._sigma.tolist() == [0.1] * 6
        assert [layer.out_features for layer in agent.model.actor.mu if hasattr(layer, "out_features")][
            :2
        ] == [400, 300]


@pytest.mark.parametrize("kind", ["sac", "ppo"])
def test_a_batch_is_predicted_like_its_rows(kind: Any) -> None:
    agent = small(kind).learn(40)
    obs = np.random.default_rng(0).normal(size=(4, 3))
    batch, _ = agent.predict(obs)
    assert batch.shape == (4, 1)
    for row, action in zip(obs, batch, strict=True):
        np.testing.assert_allclose(agent.predict(row)[0], action, rtol=1e-5, atol=1e-6)


def test_ppo_acts_on_normalised_observations() -> None:
    agent = small("ppo").learn(60)
    assert agent.normalizer is not None
    arrays, _ = agent.state_dict()
    obs = np.array([[0.3, -0.1, 0.8]], np.float32)
    mean, var = arrays["normalizer/obs/mean"], arrays["normalizer/obs/var"]
    seen = torch.as_tensor((obs - mean) / np.sqrt(var + agent.normalizer.epsilon), dtype=torch.float32)
    with torch.no_grad():
        expected = agent.model.policy.get_distribution(seen).mode().clamp(-1.0, 1.0)
    np.testing.assert_allclose(agent.predict(obs)[0], expected.numpy(), atol=1e-6)


def test_a_state_of_other_networks_is_refused() -> None:
    arrays, meta = small("sac").state_dict()
    with pytest.raises(ValueError, match="other networks than td3"):
        small("td3").load_state_dict(arrays, meta)


def test_stable_baselines3_evaluates_what_we_load() -> None:
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.monitor import Monitor

    body = envs.make(tiny_env.ID)
    env = Monitor(body)
    agents: list[Any] = [small("ppo").learn(40), TrivialAgent(body.env_spec, Config(agent="random"))]
    for agent in agents:
        mean: Any
        mean, _ = evaluate_policy(agent, env, n_eval_episodes=2)
        assert 0.0 <= mean <= 25.0


@pytest.mark.parametrize("kind", ["random", "zero"])
def test_floors(kind: Any) -> None:
    def trivial() -> TrivialAgent:
        env = envs.make(tiny_env.ID)
        return TrivialAgent(env.env_spec, Config(env=tiny_env.ID, agent=kind), env)

    whole = trivial().learn(60)
    assert_same(whole, saved_and_rebuilt(trivial().learn(31), trivial()).learn(29))
    obs = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    actions, state = whole.predict(obs)
    assert (np.unique(actions).size == 5) == (kind == "random")
    again, _ = whole.predict(obs[2], None)
    np.testing.assert_array_equal(again, actions[2])
    later, _ = whole.predict(obs, state)
    assert (later == actions).all() == (kind == "zero")
    assert np.abs(actions).max() <= 1.0

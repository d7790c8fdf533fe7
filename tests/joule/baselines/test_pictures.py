"""Baselines learn from pictures: each is kept once, sampled as it was stacked, and a resume is exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import picture_env
import pytest
from small_baselines import assert_same_state, restored

import envs
from agent.configurator.settings import Config
from agent.errors import ConfigError
from joule.agents import build_agent
from joule.baselines.stable_baselines import Baseline
from joule.memory_estimate import estimate

SMALL: dict[str, Any] = {"batch_size": 4, "learning_starts": 20}
NETWORKS = {"hwc": {"features_dim": 8}, "dict": {"cnn_output_dim": 8}}


def small(agent: Any, kind: str = "hwc", **settings: Any) -> Any:
    env = envs.make(picture_env.ID, kwargs={"kind": kind, "side": 36})
    config = Config(env=picture_env.ID, agent=agent, steps=300)
    if agent in ("random", "zero"):
        return build_agent(config, env.env_spec, env)
    policy = {"net_arch": [8, 8], "features_extractor_kwargs": NETWORKS[kind]}
    return Baseline(env.env_spec, config, env, settings={**SMALL, "policy_kwargs": policy, **settings})


@pytest.mark.parametrize(("agent", "kind"), [("sac", "dict"), ("random", "dict"), ("zero", "hwc")])
def test_a_resumed_run_equals_the_uninterrupted_run(agent: str, kind: str) -> None:
    whole = small(agent, kind).learn(32)
    for first in (22, 25):  # 25: at the end of an episode
        assert_same_state(
            whole, restored(small(agent, kind).learn(first), small(agent, kind)).learn(32 - first)
        )


@pytest.mark.slow
@pytest.mark.parametrize("agent", ["sac", "td3", "tqc"])
def test_others_resume_exactly_too(agent: str) -> None:
    whole = small(agent).learn(60)
    assert_same_state(whole, restored(small(agent).learn(33), small(agent)).learn(27))


def test_a_sample_is_what_was_observed() -> None:
    agent = small("sac", learning_starts=100)
    buffer = agent.replay[0]
    agent.learn(60)
    assert buffer.kept.obs.shape[1:] == (1, 36, 36), "each picture is kept once"
    assert (buffer.size(), buffer.total + 1) == (60, 63), "two episodes have ended, with 26 rows each"
    before, after = agent.model.replay_buffer.sample(64)[:3:2]
    assert before.shape == (64, 3, 36, 36)
    np.testing.assert_array_equal(before[:, 1:], after[:, :2])
    env = envs.make(picture_env.ID, kwargs={"side": 36})
    seen: set[bytes] = set()
    for k in range(3):
        observation, _ = env.reset(seed=1 if k == 0 else None)
        seen.add(observation.tobytes())
        for row in range(25):
            number = k * 26 + row
            if number >= buffer.total:
                break
            seen.add(env.step(buffer.kept.action[number])[0].tobytes())
    assert {row.numpy().tobytes() for row in before} <= seen


def test_an_overwritten_buffer_resumes_exactly() -> None:
    def fresh() -> Any:
        return small("sac", buffer_size=30, learning_starts=1_000)

    assert_same_state(fresh().learn(80), restored(fresh().learn(50), fresh()).learn(30))


def test_a_step_that_diverged_is_never_stored() -> None:
    buffer = small("sac").replay[0]
    obs = [np.full((1, 3, 36, 36), k, np.uint8) for k in range(5)]
    action, reward, going, ended = np.zeros((1, 1)), np.ones(1), np.zeros(1, bool), np.ones(1, bool)
    buffer.add(obs[0], obs[1], action, reward, going, [{"diverged": False}])
    buffer.add(obs[1], obs[1], action, reward, ended, [{"diverged": True}])
    buffer.add(obs[2], obs[3], action, reward, ended, [{"diverged": False, "TimeLimit.truncated": True}])
    assert (buffer.size(), buffer.total) == (2, 3)
    sample = buffer.sample(32)
    pairs = {(int(a[-1, 0, 0]), int(b[-1, 0, 0])) for a, b in zip(*sample[:3:2], strict=True)}
    assert pairs == {(0, 1), (2, 3)}
    assert not sample.dones.any(), "a truncation is no termination"


def test_the_memory_estimate_counts_each_picture_once() -> None:
    env = envs.make(picture_env.ID, kwargs={"side": 64, "channels": 3})
    needed = estimate(Config(env=picture_env.ID, agent="sac", steps=1_000_000), env.env_spec)
    assert 1.2e9 < needed.replay < 1.3e9, "100,000 pictures of 3 x 64 x 64"
    short = estimate(Config(env=picture_env.ID, agent="sac", steps=1_000), env.env_spec)
    assert short.replay < 3e7


@pytest.mark.parametrize(
    ("agent", "side", "sentence"),
    [
        ("ppo", 36, "ppo takes no pictures; joule, sac, td3, tqc do"),
        ("crossq", 36, "crossq takes no pictures"),
        ("sac", 32, "found pictures of 32 x 32 with 3 channels; sac takes them from 36 pixels a side on"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(agent: Any, side: int, sentence: str) -> None:
    env = envs.make(picture_env.ID, kwargs={"side": side})
    with pytest.raises(ConfigError, match=sentence):
        Baseline(env.env_spec, Config(env=picture_env.ID, agent=agent), env)

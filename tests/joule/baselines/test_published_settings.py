"""The settings of the baselines are those that rl-zoo publishes, and the library gets them."""

from __future__ import annotations

from typing import Any

import pytest

import envs
from agent.configurator.settings import Config
from agent.errors import ConfigError
from joule.baselines.settings import KINDS, published, settings_for
from joule.baselines.stable_baselines import Baseline


def test_settings_are_those_published() -> None:
    assert published("sac", "HalfCheetah-v5") == {"learning_starts": 10_000}
    assert published("td3", "Ant-v5")["policy_kwargs"] == {"net_arch": [400, 300]}
    assert published("tqc", "Hopper-v4")["top_quantiles_to_drop_per_net"] == 5
    assert published("ppo", "Walker2d-v5")["learning_rate"] == 5.05041e-05
    assert published("ppo", "gymnasium.envs.mujoco:Walker2d-v5") == published("ppo", "Walker2d-v5")
    assert published("ppo", "Ant-v5") == published("ppo", "mine:Walker2d-v5") == {"normalize": True}


def test_warm_up_takes_at_most_a_tenth_of_the_run() -> None:
    assert settings_for("sac", "Hopper-v5", 50_000)["learning_starts"] == 5_000
    assert settings_for("sac", "Hopper-v5", 1_000_000)["learning_starts"] == 10_000
    assert settings_for("crossq", "Hopper-v5", 500)["learning_starts"] == 100


def test_more_gradient_steps_per_decision_change_nothing_else() -> None:
    assert settings_for("td3", "Ant-v5", 500, 4.0) == settings_for("td3", "Ant-v5", 500) | {
        "gradient_steps": 4
    }
    with pytest.raises(ConfigError, match=r"learning.utd: found 0.5; sac takes a whole number from 1 on"):
        settings_for("sac", "Ant-v5", 500, 0.5)
    assert "gradient_steps" not in settings_for("ppo", "Ant-v5", 500, 4.0)


@pytest.mark.parametrize("kind", KINDS)
def test_settings_reach_the_library(kind: Any) -> None:
    of_goals = kind == "sac_her"
    env = envs.make("joule/Reach-v0" if of_goals else "HalfCheetah-v5", goal=of_goals)
    agent = Baseline(env.env_spec, Config(agent=kind))
    translated = {"noise_std", "normalize", "policy_kwargs", "train_freq", "clip_range"}
    for name, value in agent.settings.items():
        assert name in translated or getattr(agent.model, name) == value, name
    assert (agent.normalizer is not None) == (kind == "ppo")
    if agent.normalizer is not None:
        assert agent.model.clip_range(1.0) == 0.1
        assert agent.normalizer.gamma == 0.98
    if kind == "td3":
        assert agent.model.action_noise._sigma.tolist() == [0.1] * 6
        linear = [layer for layer in agent.model.actor.mu if layer.__class__.__name__ == "Linear"]
        assert [layer.out_features for layer in linear][:2] == [400, 300]
    if of_goals:
        assert agent.model.gamma == 0.99, "1 - 1/T for episodes of 100 decisions"
        assert agent.model.replay_buffer.her_ratio == 0.8

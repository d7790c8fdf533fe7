"""Trivial agents repeat themselves, are resumed exactly, and take a policy of your own in a few lines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tiny_env
from small_baselines import assert_same_state, restored

import envs
import joule
from agent.configurator.settings import Config
from agent.errors import ConfigError
from agent.interface import DIVERGED_DECISIONS, DIVERGED_KEY
from envs.vector import SafeEnvs
from joule.baselines.fixed_policy import FixedPolicyAgent
from joule.baselines.trivial import RandomAgent, ZeroAgent
from joule.training.evaluation import Evaluator


def trivial(kind: Any) -> FixedPolicyAgent:
    env = envs.make(tiny_env.ID)
    made = {"random": RandomAgent, "zero": ZeroAgent}[kind]
    return made(env.env_spec, Config(env=tiny_env.ID, agent=kind), env)


@pytest.mark.parametrize("kind", ["random", "zero"])
def test_a_resumed_run_equals_the_uninterrupted_run(kind: str) -> None:
    whole = trivial(kind).learn(60)
    assert (whole.frames, whole.decisions, whole.episodes) == (60, 60, 2)
    assert_same_state(whole, restored(trivial(kind).learn(31), trivial(kind)).learn(29))


@pytest.mark.parametrize("kind", ["random", "zero"])
def test_actions_follow_from_the_observation_and_the_number_of_decisions(kind: str) -> None:
    agent = trivial(kind)
    obs = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    actions, state = agent.predict(obs)
    assert (np.unique(actions).size == 5) == (kind == "random")
    again, _ = agent.predict(obs[2], None)
    np.testing.assert_array_equal(again, actions[2])
    later, _ = agent.predict(obs, state)
    assert (later == actions).all() == (kind == "zero")
    assert np.abs(actions).max() <= 1.0


def test_decisions_with_diverged_physics_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = trivial("zero")
    assert agent.env is not None
    step = agent.env.step

    def diverged(action: np.ndarray) -> Any:
        *result, info = step(action)
        return *result, info | {DIVERGED_KEY: True}

    monkeypatch.setattr(agent.env, "step", diverged)
    assert agent.learn(7).metrics[DIVERGED_DECISIONS] == 7.0


class ProportionalController(FixedPolicyAgent):
    """A force towards the goal: the whole of an agent that acts by a formula."""

    kind = "zero"  # a kind that the settings know

    def act(self, obs: np.ndarray, decision: int) -> np.ndarray:
        return np.clip(2.0 * (obs[:, 2:] - obs[:, :1]), -1.0, 1.0)


def test_an_agent_of_a_few_lines_is_trained_evaluated_and_resumed() -> None:
    def fresh() -> FixedPolicyAgent:
        env = envs.make(tiny_env.ID)
        return ProportionalController(env.env_spec, Config(env=tiny_env.ID, agent="zero"), env)

    whole = fresh().learn(60)
    assert whole.metrics["episode/return"] > 20
    # 31: in mid-episode, so that the next action follows from the restored observation.
    assert_same_state(whole, restored(fresh().learn(31), fresh()).learn(29))
    evaluator = Evaluator(lambda: envs.make(tiny_env.ID), 5)
    assert evaluator(whole).mean > evaluator(trivial("zero")).mean + 5


@pytest.mark.parametrize("kind", ["random", "sac"])
def test_several_environments_are_refused_in_one_sentence(kind: str) -> None:
    several = SafeEnvs([lambda: envs.make(tiny_env.ID)] * 2)
    one = SafeEnvs([lambda: envs.make(tiny_env.ID)])
    with pytest.raises(ConfigError, match=f"num_envs: found 2, and {kind} takes 1"):
        joule.make(kind, env=several)
    with pytest.raises(ConfigError, match=f"num_envs: found 3, and {kind} takes 1"):
        joule.make(kind, env=tiny_env.ID, num_envs=3)
    with pytest.raises(ConfigError, match=f"env: {kind} takes one environment, and 1 side by side"):
        joule.make(kind, env=one)
    agent = joule.make(kind, env=tiny_env.ID)
    with pytest.raises(ConfigError, match=f"env: {kind} takes one environment, and 2 side by side"):
        agent.learn(1, several)


def test_settings_of_another_kind_are_refused() -> None:
    env = envs.make(tiny_env.ID)
    with pytest.raises(ConfigError, match="of zero, and this agent is random"):
        RandomAgent(env.env_spec, Config(agent="zero"), env)

"""When learning begins an episode: in another environment, and after a step that failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tiny_env

import envs
from agent.configurator.validation import replace
from agent.errors import ConfigError
from joule.agents import new_agent

Make = Callable[..., Any]
BRIEF = {"explore__warmup_decisions": 40, "learning__pretrain_updates": 10, "learning__batch_size": 16}


@pytest.mark.parametrize("kind", ["joule", "sac", "random"])
def test_in_another_environment_an_episode_begins(make_agent: Make, kind: str) -> None:
    config = make_agent(**BRIEF).config
    agent = new_agent(replace(config, {"agent": kind}), envs.make(tiny_env.ID)).learn(30)
    elsewhere = envs.make(tiny_env.ID)
    elsewhere.reset(seed=5)
    resets: list[Any] = []
    real = elsewhere.reset
    elsewhere.reset = lambda **how: resets.append(how) or real(**how)  # type: ignore[method-assign,func-returns-value]
    agent.learn(3, elsewhere)
    assert agent.env is elsewhere
    assert len(resets) == 1
    agent.learn(3, elsewhere)
    assert len(resets) == 1
    with pytest.raises(ConfigError, match="has observations of 17 numbers, and the agent was made for 3"):
        agent.learn(3, envs.make("HalfCheetah-v5"))


@pytest.mark.parametrize("kind", ["joule", "sac", "random"])
def test_after_a_step_that_failed_an_episode_begins(
    make_agent: Make, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = envs.make(tiny_env.ID)
    agent = new_agent(replace(make_agent(**BRIEF).config, {"agent": kind}), env).learn(30)
    step, reset = env.step, env.reset
    resets: list[Any] = []

    def failing(action: np.ndarray) -> Any:
        step(action)  # the environment has gone on, and the agent does not see where to
        raise RuntimeError("no answer")

    monkeypatch.setattr(env, "reset", lambda **how: resets.append(how) or reset(**how))  # type: ignore[func-returns-value]
    with monkeypatch.context() as broken:
        broken.setattr(env, "step", failing)
        with pytest.raises(RuntimeError, match="no answer"):
            agent.learn(1)
    assert not resets
    agent.learn(3)
    assert len(resets) == 1

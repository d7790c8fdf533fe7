"""When learning begins an episode: in another environment, after a failed step, and where others were there."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny_env

import envs
from agent.configurator.dotted_names import replace
from agent.errors import ConfigError, InputError
from agent.training_env import check_spec
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


@pytest.mark.parametrize("kind", ["joule", "sac", "random"])
def test_where_somebody_else_was_in_the_environment_an_episode_begins(make_agent: Make, kind: str) -> None:
    env = envs.make(tiny_env.ID)
    agent = new_agent(replace(make_agent(**BRIEF).config, {"agent": kind}), env).learn(30)
    before = env.moment
    still = np.zeros(agent.env_spec.action_size, np.float32)
    saved = env.snapshot()
    env.step(still)
    env.restore(saved)
    agent.learn(1)
    assert env.moment == (before[0], before[1] + 1), "it is as it was left"
    env.step(still)
    agent.learn(1)
    assert env.moment == (before[0] + 1, 1), "what led there was not observed"
    agent.learn(1)
    assert env.moment == (before[0] + 1, 2)


@pytest.mark.parametrize("kind", ["joule", "sac", "random"])
def test_learning_within_learning_is_refused(make_agent: Make, kind: str) -> None:
    agent = new_agent(replace(make_agent(**BRIEF).config, {"agent": kind}), envs.make(tiny_env.ID))

    def again(_: Any) -> bool:
        agent.learn(1)
        return True

    with pytest.raises(InputError, match="is learning already"):
        agent.learn(3, on_step=again)
    agent.learn(1)


@pytest.mark.parametrize(
    "changes_what_is_learned",
    [
        lambda agent: agent.learn_task("less:position", 1),
        lambda agent: agent.learn_goals(1),
        lambda agent: agent.constrain("position<9").learn_constraints(1),
        lambda agent: agent.plan_for("less:position"),
    ],
    ids=["learn_task", "learn_goals", "learn_constraints", "plan_for"],
)
def test_within_learning_an_agent_learns_and_plans_for_nothing_else(
    make_agent: Make, changes_what_is_learned: Callable[[Any], Any]
) -> None:
    """The steps that follow would be stored with the costs of the task before."""
    agent = make_agent(**BRIEF)

    with pytest.raises(InputError, match="is learning already"):
        agent.learn(3, on_step=changes_what_is_learned)
    assert (agent.config.task, agent.planned_for, agent.modules.networks.goals) == ("", "", None)


def test_an_environment_with_other_decisions_is_refused(make_agent: Make) -> None:
    with pytest.raises(
        ConfigError, match=r"a decision in .* lasts 4 frames, and the agent was made for 1; give"
    ):
        make_agent(**BRIEF).learn(3, envs.make(tiny_env.ID, action_repeat=4))


def test_pictures_of_another_shape_are_refused_though_they_have_as_many_numbers() -> None:
    def spec(*shape: int, stack: int = 1) -> Any:
        part = SimpleNamespace(name="pixels", shape=shape, stack=stack)
        return SimpleNamespace(
            env="Seen-v0", observation=[part], observation_size=np.prod(shape), action_size=1, action_repeat=1
        )

    env = SimpleNamespace(env_spec=spec(12, 16, 16))
    assert check_spec(spec(12, 16, 16), env, "sac") is env
    with pytest.raises(
        ConfigError, match=r"pictures of Seen-v0 .* pixels \[12, 16, 16\] and pixels \[3, 32, 32\]"
    ):
        check_spec(spec(3, 32, 32), env, "sac")
    grey = spec(12, 16, 16, stack=12)
    with pytest.raises(ConfigError, match=r"pixels \[12, 16, 16\] and pixels \[12, 16, 16\] of 12 frames"):
        check_spec(grey, env, "sac")
    assert check_spec(grey, SimpleNamespace(env_spec=grey), "sac").env_spec is grey

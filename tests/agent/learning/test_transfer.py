"""An untrained agent begins with what another one has learned."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import joule
from agent.cost.readouts import TaskError
from agent.errors import ConfigError
from agent.learning.running_statistics import take_in_new_rows
from envs.rendering.opengl import ensure_gl
from joule_errors import Advice

Make = Callable[..., Any]
LEFT = "track:position=-1"
pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture(scope="module")
def earlier(trained_run: Path) -> Any:
    agent: Any = joule.load(trained_run)
    take_in_new_rows(agent.modules)
    return agent


def same(one: Any, other: Any, *names: str) -> list[bool]:
    """Whether these networks of two agents are the same to the last bit."""
    networks = (one.modules.networks, other.modules.networks)
    pairs = [[network.get_submodule(name).state_dict() for network in networks] for name in names]
    return [all(torch.equal(a[n], b[n]) for n in a) for a, b in pairs]


def test_for_another_task_the_model_stays_and_critic_and_policy_begin_anew(
    make_agent: Make, earlier: Any, trained_run: Path
) -> None:
    agent = make_agent(task=LEFT, seed=5)
    untrained = make_agent(task=LEFT, seed=5)
    assert agent.begin_with(earlier) is agent
    assert all(same(agent, earlier, "encoder", "world_model.dynamics", "readout", "normalizer"))
    assert all(same(agent, untrained, "policy", "world_model.cost"))
    assert not any(same(agent, earlier, "critic", "policy", "scales"))
    buffer, known = agent.modules.replay_buffer, earlier.modules.replay_buffer
    assert buffer.held == known.held
    after, _, cost = buffer.outcomes(buffer.place(buffer.transitions()))
    np.testing.assert_allclose(cost, np.abs(after[:, 0] + 1.0), atol=1e-5)
    assert agent.modules.networks.scales.cost() != earlier.modules.networks.scales.cost()
    assert agent.frames == 0
    agent.constrain("position<0.5")
    assert agent.modules.margin()[0, 0] > 0.0  # it does not count as untrained


def test_the_earlier_agent_stays_as_it_was(make_agent: Make, trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    agent.learn(5)
    before = {name: value.clone() for name, value in agent.modules.networks.state_dict().items()}
    rows = list(agent.modules.normalised_rows)
    new = make_agent(seed=5)
    new.begin_with(agent)
    assert all(
        torch.equal(value, before[name]) for name, value in agent.modules.networks.state_dict().items()
    )
    assert agent.modules.normalised_rows == rows
    assert rows[0] < new.modules.normalised_rows[0], (
        "what it experienced since is in the new agent's statistics"
    )


def test_for_the_same_task_all_of_it_stays(make_agent: Make, earlier: Any) -> None:
    agent = make_agent(seed=5)
    agent.begin_with(earlier)
    assert all(same(agent, earlier, "critic", "policy", "world_model", "scales"))
    columns = [a.modules.replay_buffer.streams[0] for a in (agent, earlier)]
    ours, theirs = (stream.since(stream.first) for stream in columns)
    for name, column in theirs.items():
        np.testing.assert_array_equal(ours[name], column)


def test_without_rewards_the_scales_are_those_of_novelty(make_agent: Make, earlier: Any) -> None:
    fresh, agent = make_agent(reward="none"), make_agent(reward="none")
    fresh.learn(20)
    take_in_new_rows(fresh.modules)
    agent.begin_with(earlier)
    assert earlier.modules.networks.world_model.cost_scale != 1.0
    for of in ("world_model.cost_scale", "critic.scale", "target_critic.scale"):
        scales = [one.modules.networks.get_buffer(of) for one in (fresh, agent)]
        assert torch.equal(*scales), of


def test_a_task_with_the_own_cost_goes_on_from_critic_and_policy(make_agent: Make, earlier: Any) -> None:
    agent = make_agent(task="2*own+control")
    agent.begin_with(earlier)
    assert all(same(agent, earlier, "policy", "world_model.dynamics", "world_model.cost"))


def test_the_first_own_episode_does_not_continue_the_last_earlier_one(make_agent: Make, earlier: Any) -> None:
    agent = make_agent(task=LEFT, explore__warmup_decisions=0, learning__pretrain_updates=0)
    agent.begin_with(earlier)
    buffer = agent.modules.replay_buffer
    rows = buffer.streams[0].rows
    agent.learn(3)
    assert buffer.last[buffer.place(np.array([rows - 1]))].all()
    assert buffer.streams[0].rows == rows + 4
    assert buffer.held == earlier.modules.replay_buffer.held + 3


def test_an_agent_with_recorded_experience_is_not_replaced(make_agent: Make, earlier: Any) -> None:
    rows = earlier.replay[0].since(earlier.replay[0].first)
    end = int(np.flatnonzero(rows["last"])[0]) + 1
    agent = make_agent(data="recorded").remember([{name: column[:end] for name, column in rows.items()}])
    for updates in (0, 2):
        agent.learn(updates)
        assert (agent.frames, agent.decisions) == (updates, 0)
        before = agent.modules.replay_buffer.held, agent.modules.learner.updates
        with pytest.raises(ConfigError, match="init_from: this agent has learned already, or has experience"):
            agent.begin_with(earlier)
        assert (agent.modules.replay_buffer.held, agent.modules.learner.updates) == before


def test_an_agent_that_does_not_fit_is_refused(make_agent: Make, earlier: Any) -> None:
    with pytest.raises(ConfigError, match="other sizes, such as those of"):
        make_agent(model__latent_dim=24).begin_with(earlier)
    with pytest.raises(ConfigError, match="other sizes"):
        make_agent(cost__critics=3).begin_with(earlier)
    with pytest.raises(ConfigError, match="has learned already"):
        earlier.begin_with(make_agent())
    of_task = make_agent(task=LEFT).begin_with(earlier)
    with pytest.raises(TaskError, match="asks for the environment's own cost"):
        make_agent().begin_with(of_task)
    with pytest.raises(ConfigError, match=r"regularizer\.kind of that agent is 'simnorm', not 'none'"):
        make_agent(regularizer__kind="none").begin_with(earlier)
    with pytest.raises(ConfigError, match="has no experience"):
        make_agent().begin_with(make_agent())
    with pytest.raises(ConfigError, match="found PosixPath; give an agent"):
        make_agent().begin_with(Path("runs/x"))
    with pytest.raises(ConfigError, match="observations of"):
        make_agent(env="InvertedPendulum-v5").begin_with(earlier)


def test_the_action_repeat_that_counts_is_that_of_the_environments(make_agent: Make, earlier: Any) -> None:
    def repeating(frames: int) -> Any:
        return make_agent(joule.make_env(earlier.config.env, action_repeat=frames), action_repeat=frames)

    assert earlier.config.action_repeat is None, "the environment's own, which is 1"
    repeating(1).begin_with(earlier)
    with pytest.raises(ConfigError, match="lasts 2 frames, and the agent was made for 1"):
        repeating(2).begin_with(earlier)


def test_only_the_newest_rows_that_fit_are_taken(make_agent: Make, earlier: Any) -> None:
    agent = make_agent(learning__replay_capacity_transitions=100)
    agent.begin_with(earlier)
    buffer, known = agent.modules.replay_buffer, earlier.modules.replay_buffer
    assert buffer.capacity == 100
    for name, column in buffer.columns.items():
        newest = known.streams[0].through_newest(known.streams[0].rows - 100)[name]
        np.testing.assert_array_equal(column, newest)


@pytest.mark.skipif(ensure_gl() is not None, reason="no OpenGL library")
def test_pictures_of_two_cameras_are_not_mixed(small: dict[str, Any]) -> None:
    seeing = {"obs": "pixels", "obs_size": 16, "steps": 20, "explore.warmup_decisions": 20}
    settings = {name: value for name, value in small.items() if name != "env"} | seeing

    def agent(**more: Any) -> Any:
        return joule.make("joule", env="joule/Reach-v0", settings=settings | more)

    earlier = agent().learn(4)
    with pytest.raises(ConfigError, match=r"init_from: obs_camera of that agent is '', not 'view'"):
        agent(obs_camera="view").begin_with(earlier)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Advice)
        agent().begin_with(earlier)
    told = 'with env_kwargs {}, and those of now with {"goal_in_observation": false};'
    with pytest.warns(Advice, match=f"init_from: its pictures were taken {told}"):
        agent(env_kwargs={"goal_in_observation": False}).begin_with(earlier)

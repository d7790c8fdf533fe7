"""What an agent collects is what its replay buffer holds, whatever ends an episode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import counter_env  # noqa: F401 - registers Counter-v0
import numpy as np
import pytest
from env_doubles import PassingEnv

import envs
from agent.errors import StopRun
from agent.interface import DIVERGED_DECISIONS, DIVERGED_KEY


class Diverging(PassingEnv):
    """An environment whose physics diverge at step `at` of every `every`-th episode."""

    def __init__(self, env: Any, at: int, every: int = 2) -> None:
        super().__init__(env)
        self.at, self.every, self.t, self.number = at, every, 0, -1

    def reset(self, *, seed: int | None = None) -> Any:
        self.number += 1
        self.t = 0
        return self.env.reset(seed=seed)

    def step(self, action: np.ndarray) -> Any:
        self.t += 1
        if self.number % self.every == 0 and self.t == self.at:
            return self.env.observation.copy(), 0.0, False, True, {"frames": 1, DIVERGED_KEY: True}
        return self.env.step(action)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("capacity", [1_000_000, 37])
@pytest.mark.parametrize(
    ("ending", "breaks_at"),
    [
        ({}, None),  # the time limit of 10
        ({"terminate_at": 4}, None),
        ({"terminate_at": 1}, None),
        ({"truncate_at": 7}, None),
        ({"terminate_at": 10}, None),  # and the time limit at the same step
        ({}, 1),
        ({}, 6),
        ({"terminate_at": 5}, 5),
    ],
)
def test_the_replay_buffer_holds_what_was_collected(
    make_agent: Callable[..., Any], ending: dict[str, int], breaks_at: int | None, capacity: int
) -> None:
    env: Any = envs.make("Counter-v0", kwargs=ending)
    if breaks_at is not None:
        env = Diverging(env, breaks_at)
    agent = make_agent(
        env,
        env="Counter-v0",
        learning__replay_capacity_transitions=capacity,
        learning__batch_size=8,
        explore__warmup_decisions=10_000,
    )
    agent.learn(200)
    buffer = agent.modules.replay_buffer
    assert buffer.rows > 190
    windows = buffer.sample(500, 4, np.random.default_rng(0))
    now, following = windows.obs[:-1], windows.obs[1:]
    on = windows.valid
    np.testing.assert_array_equal(following[on, 0], now[on, 0] + 1)  # also: the same episode
    np.testing.assert_array_equal(windows.cost[on], -(following[on, 0] % 1000))
    actions = 2 + 4 * windows.action[on, 0]  # in [-2, 6]
    np.testing.assert_allclose(following[on, 1], actions, rtol=1e-5)
    end = ending.get("terminate_at", -1)
    np.testing.assert_array_equal(windows.terminated[on], following[on, 0] % 1000 == end)
    assert (agent.modules.terminations > 0) == bool(windows.terminated.any())


def test_physics_that_diverged_throughout_warm_up_end_the_run(make_agent: Callable[..., Any]) -> None:
    env = Diverging(envs.make("Counter-v0"), at=1, every=1)
    agent = make_agent(
        env,
        env="Counter-v0",
        learning__replay_capacity_transitions=8,
        learning__batch_size=8,
        explore__warmup_decisions=4,
    )
    agent.learn(3)
    for frames in (4, 5):
        with pytest.raises(
            StopRun, match=f"the physics diverged in each of the first {frames} decisions, which leaves"
        ):
            agent.learn(frames + 1)
        assert agent.metrics[DIVERGED_DECISIONS] == agent.decisions == frames
    env.every = 1_000_000
    agent.learn(12)
    assert agent.modules.learner.updates > 0


def test_without_warm_up_decisions_that_diverge_are_only_counted(make_agent: Callable[..., Any]) -> None:
    env = Diverging(envs.make("Counter-v0"), at=1, every=1)
    agent = make_agent(env, env="Counter-v0", explore__warmup_decisions=0)
    agent.learn(30)
    assert (agent.decisions, agent.modules.replay_buffer.held, agent.modules.learner.updates) == (30, 0, 0)
    assert agent.metrics[DIVERGED_DECISIONS] == 30.0


@pytest.mark.usefixtures("unchecked")
def test_a_step_that_diverged_does_not_count_as_usual_surprise(make_agent: Callable[..., Any]) -> None:
    env: Any = Diverging(envs.make("Counter-v0"), at=6, every=1)
    agent = make_agent(
        env,
        env="Counter-v0",
        learning__batch_size=8,
        explore__warmup_decisions=12,
        learning__pretrain_updates=1,
    )
    agent.learn(36)  # six steps an episode, the last of which diverges; it decides from the third on
    assert agent.modules.surprise.count == 4 * 5

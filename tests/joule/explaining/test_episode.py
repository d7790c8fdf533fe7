"""Plans that are executed from one moment of an episode."""

from __future__ import annotations

import numpy as np
import pytest
import rough_env  # noqa: F401  registers the ids
import tiny_env

import envs
from joule.explaining.episode import executed_costs

PLANS = [np.full((3, 1), force, np.float32) for force in (-1.0, 0.0, 1.0)]


def at_step(env: envs.SafeEnv, steps: int) -> envs.SafeEnv:
    env.reset(seed=3)
    for _ in range(steps):
        env.step(np.zeros(1, np.float32))
    return env


def test_each_plan_is_executed_from_the_same_moment_to_the_end_of_the_episode() -> None:
    env = at_step(envs.make(tiny_env.ID), 23)
    snapshot = env.snapshot()
    expected = []
    for plan in PLANS:
        assert env.restore(snapshot)
        expected.append([-env.step(action)[1] for action in plan[:2]])
    assert executed_costs(env, snapshot, PLANS) == expected
    assert len(set(map(tuple, expected))) == 3


def test_an_environment_that_cannot_be_restored_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    env = at_step(envs.make("joule-tests/Visited-v0"), 5)
    assert executed_costs(env, env.snapshot(), PLANS) == [None, None, None]
    assert len(caplog.records) == 1

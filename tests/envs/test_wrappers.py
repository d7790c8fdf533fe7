"""Wrappers between an agent and a raw environment: fresh observations, and the action repeat."""

from __future__ import annotations

from typing import Any

import counter_env  # noqa: F401 - registers Counter-v0
import numpy as np
import pytest

import envs

ZERO = np.zeros(1, np.float32)


def test_every_observation_has_memory_of_its_own() -> None:
    env = envs.make("Counter-v0")
    for episode in range(3):
        observations = [env.reset(seed=episode)[0]]
        for t in range(1, 11):
            observation, reward, terminated, truncated, info = env.step(ZERO)
            observations.append(observation)
            assert (reward, terminated, truncated, info["frames"]) == (float(t), False, t == 10, 1)
        # The environment always returns the same array: earlier observations must not have changed.
        assert [o[0] for o in observations] == [1000 * episode + t for t in range(11)]
    for hand_out in (env.reset, lambda: env.step(ZERO)):
        hand_out()[0][:] = -1.0  # by who got it
        assert (env.observation >= 0.0).all()


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        ([0.0] * 5, r"action: found \[0.0, 0.0, 0.0, 0.0, 0.0\]; give 6 numbers from -1 to 1"),
        ([0.0, 0.0, np.nan, 0.0, 0.0, 0.0], r"action\[2\] is nan; give numbers from -1 to 1"),
        ([[0.0], [0.0, 0.0]], "action: found"),
        ("forwards", "action: found 'forwards'"),
        (None, "action: found None"),
    ],
)
def test_what_is_no_action_gets_no_action_in_the_units_of_motors(action: Any, sentence: str) -> None:
    with pytest.raises(envs.EnvError, match=sentence):
        envs.make("HalfCheetah-v5").own_action(action)


@pytest.mark.parametrize(
    ("ending", "rewards"),
    [
        ({}, [1 + 2 + 3, 4 + 5 + 6, 7 + 8 + 9, 10]),
        ({"terminate_at": 5}, [6, 9]),
        ({"truncate_at": 6}, [6, 15]),
    ],
)
def test_the_action_repeat_sums_rewards_and_stops_at_the_end_of_the_episode(
    ending: dict[str, int], rewards: list[float]
) -> None:
    env = envs.make("Counter-v0", kwargs=ending, action_repeat=3)
    env.reset(seed=0)
    received, frames, ended, terminated = [], 0, False, False
    while not ended:
        _, reward, terminated, truncated, info = env.step(ZERO)
        received.append(reward)
        frames += info["frames"]
        ended = terminated or truncated
    assert received == rewards
    assert terminated == ("terminate_at" in ending)
    assert frames == next(iter(ending.values()), 10)


def test_an_action_out_of_range_is_clipped_and_counted() -> None:
    env = envs.make("Counter-v0")
    env.reset(seed=0)
    env.step(np.array([100.0], np.float32))
    env.step(np.array([1.0], np.float32))
    assert [float(a[0]) for a in env.unwrapped.received] == [6.0, 6.0]  # type: ignore[attr-defined]
    assert env.counters == {"actions_clipped": 1}

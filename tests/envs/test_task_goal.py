"""The state in which the task is done, where an environment shows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import envs


class Place(gymnasium.Env[np.ndarray, np.ndarray]):
    """A place in a plane, without physics and without readouts of its own; the goal is (3, 3)."""

    observation_space = spaces.Box(-9.0, 9.0, (2,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
    goal_within: ClassVar[Any] = {"obs": 0.1}

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        return self.np_random.uniform(-1.0, 1.0, 2).astype(np.float32), {}

    def step(self, action: np.ndarray) -> Any:
        return action.astype(np.float32), 0.0, False, False, {}

    @contextmanager
    def at_goal(self) -> Iterator[np.ndarray]:
        yield np.full(2, 3.0, np.float32)


gymnasium.register("joule-tests/Place-v0", lambda **kwargs: Place(**kwargs), max_episode_steps=50)


def test_readouts_are_those_of_the_goal_where_they_are_the_observation() -> None:
    env = envs.make("joule-tests/Place-v0")
    begun, _ = env.reset(seed=1)
    found = env.at_goal()
    assert found is not None
    np.testing.assert_array_equal(found[0], [3.0, 3.0])
    np.testing.assert_array_equal(found[1], [3.0, 3.0])
    np.testing.assert_array_equal(env.readouts(), begun)


@pytest.mark.parametrize(
    ("within", "sentence"),
    [
        (0.1, "is 0.1; give distances by readout"),
        ({"obs": "near"}, "has the distance 'near' of obs; give a number above 0"),
        ({"obs": 0.0}, "has the distance 0.0 of obs; give a number above 0"),
    ],
)
def test_distances_that_are_none_are_refused(
    within: Any, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Place, "goal_within", within)
    with pytest.raises(envs.EnvError, match=sentence):
        _ = envs.make("joule-tests/Place-v0").goal_within


def stays(env: Any) -> Iterator[np.ndarray]:
    """Shows a goal, and does not go back."""
    env.set_state(np.full(env.model.nq, 0.3), np.zeros(env.model.nv))
    yield env._get_obs()


def moves_the_goal(env: Any) -> Iterator[np.ndarray]:
    """Leaves another target than it found."""
    yield env._get_obs()
    env.target = env.target + 5.0


def shows_nothing(env: Any) -> Iterator[None]:
    """Forgets the observation."""
    yield None


@pytest.mark.parametrize(
    ("method", "sentence"),
    [
        (contextmanager(stays), "at_goal leaves other qpos and qvel than it found; set them back after"),
        (
            contextmanager(moves_the_goal),
            "at_goal leaves another target than it found; set it back after its yield",
        ),
        (contextmanager(shows_nothing), "at_goal must give the observation at the goal; yield it"),
        (lambda env: env._get_obs(), "at_goal must be a context manager, .* and gave ndarray"),
    ],
)
def test_a_method_that_shows_no_goal_is_said(
    method: Any, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = envs.make("InvertedPendulum-v5")
    env.reset(seed=1)
    base: Any = env.unwrapped
    base.target = np.ones(2)
    monkeypatch.setattr(type(env.unwrapped), "at_goal", method, raising=False)
    with pytest.raises(envs.EnvFault, match=sentence):
        env.at_goal()

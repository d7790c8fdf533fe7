"""Goals that an environment is given at a reset, and that end the episode where they are reached."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import envs
import joule
from agent.errors import ConfigError
from agent.interface import DIVERGED_KEY
from joule.goals.attempts import attempt
from joule.goals.evaluation import GoalEvaluation
from joule.goals.own_goals import recorded_pairs, sampled_pairs
from joule.goals.pairs import GoalPair, GoalPairs, _wandered, make_pairs, unsolved
from joule.goals.request import GoalRequest


class Told(gymnasium.Env[np.ndarray, np.ndarray]):
    """A place on a line, moved by the action; the episode terminates within 0.05 of the goal."""

    observation_space = spaces.Box(-9.0, 9.0, (1,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
    deaf, fails_at_the_goal = False, False

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        told = {} if self.deaf else options or {}
        drawn = self.np_random.uniform(-1.0, 1.0, (2, 1))
        self.x, self.goal = np.array(told.get("state", drawn[0])), np.array(told.get("goal_state", drawn[1]))
        return self.x.astype(np.float32), {"goal_state": self.goal}

    def step(self, action: np.ndarray) -> Any:
        self.x = self.x + action
        info = {"success": False} if self.fails_at_the_goal else {}
        return self.x.astype(np.float32), 0.0, bool(abs(self.x - self.goal) < 0.05), False, info


class Deaf(Told):
    deaf = True


gymnasium.register("Told-v0", lambda **kwargs: Told(**kwargs), max_episode_steps=50)
gymnasium.register("Deaf-v0", lambda **kwargs: Deaf(**kwargs), max_episode_steps=50)


class Walks:
    """Recorded episodes of 3 and of 8 rows, with a step of 0.1 each."""

    source, lengths = "swm:walks", (3, 8)
    columns: tuple[str, ...] = ("action", "state")

    def __len__(self) -> int:
        return len(self.lengths)

    def length(self, number: int) -> int:
        return self.lengths[number]

    def episode(self, number: int) -> Mapping[str, np.ndarray]:
        return {"state": number + 0.1 * np.arange(self.lengths[number])[:, None]}


def by(action: float) -> Any:
    return lambda pair: lambda observation: np.array([action], np.float32)


def test_a_start_and_its_goal_are_moments_of_one_episode() -> None:
    env = envs.make("Told-v0")
    found = recorded_pairs(env, Walks(), 4, offset=4, seed=3)  # type: ignore[arg-type]
    starts = [float(pair.options["state"][0]) for pair in found.pairs if pair.options]
    np.testing.assert_allclose(starts, [1.0, 1.1, 1.2, 1.3])  # each moment with another one 4 rows later
    for start, pair in zip(starts, found.pairs, strict=True):
        np.testing.assert_allclose(np.asarray(pair.goal), [start + 0.4], rtol=1e-6)
        reached = attempt(env, pair, None, by(0.1), 9)
        assert (reached.reached, reached.decisions) == (True, 4)
        assert not attempt(env, pair, None, by(-0.1), 9).reached
    inner: Any = env.unwrapped
    inner.fails_at_the_goal = True
    failed = attempt(env, found.pairs[0], None, by(0.1), 9)
    assert (failed.reached, failed.decisions) == (False, 4), "a termination that is no success"
    again = recorded_pairs(env, Walks(), 4, offset=4, seed=3)  # type: ignore[arg-type]
    assert [pair.seed for pair in again.pairs] == [pair.seed for pair in found.pairs]


def test_a_step_whose_physics_diverged_reaches_nothing() -> None:
    observed = np.zeros(1, np.float32)
    env = SimpleNamespace(
        reset=lambda **_: (observed, {}),
        step=lambda _: (observed, 0.0, False, True, {DIVERGED_KEY: True}),
        readouts=lambda: np.zeros(1),
    )
    at_the_goal: Any = SimpleNamespace(excess=lambda *_: 0.0)
    pair = GoalPair(seed=1, goal=observed, readouts=np.zeros(1))
    found = attempt(env, pair, at_the_goal, by(1.0), 9)
    assert (found.reached, found.decisions) == (False, 1)


def test_what_a_recording_cannot_give_is_refused() -> None:
    env = envs.make("Told-v0")
    with pytest.raises(ConfigError, match="has 4 moments with another one 4 rows later, and 5 are asked for"):
        recorded_pairs(env, Walks(), 5, offset=4, seed=3)  # type: ignore[arg-type]
    blind = Walks()
    blind.columns = ("action", "pixels")
    with pytest.raises(ConfigError, match="has no states: state, or pos_agent, or qpos and qvel"):
        recorded_pairs(env, blind, 1, offset=4, seed=3)  # type: ignore[arg-type]


def test_goals_that_the_environment_draws() -> None:
    env = envs.make("Told-v0")
    found = sampled_pairs(env, 3, 20_000)
    assert found is not None
    for pair in found.pairs:
        assert isinstance(pair, GoalPair)
        begun, info = env.reset(seed=pair.seed)
        np.testing.assert_allclose(np.asarray(pair.goal), info["goal_state"], rtol=1e-6)
        distance = float(info["goal_state"][0] - begun[0])
        assert attempt(env, pair, None, by(distance / 5), 5).reached
    assert sampled_pairs(envs.make("joule/Reach-v0"), 1, 20_000) is None
    with pytest.raises(ConfigError, match="begins where it always does"):
        sampled_pairs(envs.make("Deaf-v0"), 3, 20_000)


def test_distances_judge_the_goals_that_the_environment_draws() -> None:
    agent: Any = joule.make("joule", env="Told-v0", preset="smoke")
    own, judged = (GoalEvaluation(agent, envs.make("Told-v0"), request) for request in (
        GoalRequest(3), GoalRequest(3, within={"obs": cast("float", np.float32(0.5))})
    ))  # fmt: skip
    assert own.nearness is None
    assert judged.nearness is not None
    assert (judged.found.source, judged.subject["within"]) == ("environment", {"obs": 0.5})
    far = [pair.seed for pair in own.found.pairs if abs(_start(pair) - float(pair.readouts[0])) > 0.5]
    assert [pair.seed for pair in judged.found.pairs] == far
    assert judged.found.solved == 3 - len(far)
    deaf = GoalEvaluation(agent, envs.make("Deaf-v0"), GoalRequest(3, within={"obs": 0.1}))
    assert deaf.found.source == "episodes"


def _start(pair: GoalPair) -> float:
    return float(np.asarray(envs.make("Told-v0").reset(seed=pair.seed)[0])[0])


def test_a_key_of_info_with_another_meaning_is_no_goal(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = Told.reset
    monkeypatch.setattr(
        Told, "reset", lambda self, **given: (begin(self, **given)[0], {"goal_state": {"a": 1}})
    )
    assert sampled_pairs(envs.make("Told-v0"), 1, 20_000) is None


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"pairs": "20"}, "--goals: found '20', expected a whole number"),
        ({"pairs": 2.5}, "--goals: found 2.5, expected a whole number"),
        ({"seed": -1}, "--seed: -1 is less than 0"),
        ({"within": "ball=0.1"}, "--goal-within: found 'ball=0.1'; give distances by readout"),
        ({"within": {"ball": "near"}}, "--goal-within: ball has 'near'; give a number"),
    ],
)
def test_what_is_no_number_is_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        GoalRequest(**given)


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(ConfigError, match="--goal-offset: is of a recording; add --goal-data"):
        GoalRequest(offset=5)
    with pytest.raises(ConfigError, match="--goal-data: found 'walks'; give swm:PATH"):
        GoalRequest(recording="walks")
    with pytest.raises(ConfigError, match="--goal-within: does not go with --goal-data"):
        GoalRequest(recording="swm:walks", within={"obs": 0.1})


def test_a_start_that_the_first_action_ends_has_no_goal() -> None:
    env: Any = SimpleNamespace(
        env_spec=SimpleNamespace(action_size=1),
        reset=lambda seed: None,
        step=lambda action: (np.ones(1), 0.0, True, False, {}),
        readouts=lambda: np.ones(1),
    )
    assert _wandered(env, 1, 10) is None
    env.at_goal = lambda: None
    with pytest.raises(
        ConfigError, match="of 60 starts only 0 give a pair; in 60 the first random action ends"
    ):
        make_pairs(env, SimpleNamespace(), 3, 1, 10)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("distance", "advice"),
    [
        (0.0, "name another readout by --goal-within"),
        (0.5, "the farthest start is 0.5 of them away"),
    ],
)
def test_starts_at_their_goals_get_advice_that_helps(distance: float, advice: str) -> None:
    env: Any = SimpleNamespace(
        env_spec=SimpleNamespace(action_size=1),
        reset=lambda seed: None,
        readouts=lambda: np.ones(1),
        at_goal=lambda: (np.ones(1), np.ones(1)),
    )
    nearness: Any = SimpleNamespace(within={"height": 0.1}, excess=lambda here, there: distance)
    with pytest.raises(ConfigError, match=f"60 are at their goal already: .*{advice}"):
        make_pairs(env, nearness, 3, 1, 10)
    env.reset = lambda seed, options: None
    drawn = GoalPairs((GoalPair(1, np.ones(1), np.ones(1)),), 0, "environment")
    with pytest.raises(ConfigError, match=f"the one start is at its goal already; .*{advice}"):
        unsolved(env, drawn, nearness)

"""SAC with hindsight: what is relabelled, what a resume needs, and which environments it takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_env
import tiny_goal_env
from commands import assert_refused
from small_baselines import assert_same_state, restored, small_baseline

import envs
import joule
from agent import random_state
from agent.errors import ConfigError
from envs.faults.errors import EnvError
from joule.commands import evaluate

ENV = f"tiny_goal_env:{tiny_goal_env.ID}"


def test_rewards_are_those_of_the_goals_that_samples_were_given() -> None:
    agent = small_baseline("sac_her").learn(80)
    buffer = agent.model.replay_buffer
    assert buffer.size() == 75, "the open episode is not sampled"
    with random_state.preserved():
        np.random.seed(1)  # noqa: NPY002  the library's generator
        sample = buffer.sample(500)
    desired = sample.observations["desired_goal"].numpy()
    np.testing.assert_array_equal(desired, sample.next_observations["desired_goal"].numpy())
    achieved = sample.next_observations["achieved_goal"].numpy()
    reached = np.abs(achieved - desired) <= 0.1
    np.testing.assert_array_equal(sample.rewards.numpy(), np.where(reached, 0.0, -1.0))
    assert 0.1 < reached.mean() < 0.9
    # Of five goals one is the episode's own, which is also observed in the state; four were achieved later on.
    own = desired[:, 0] == sample.observations["observation"].numpy()[:, 2]
    assert own[:100].all()
    assert not own[100:].any()
    rows = agent.replay[0].since(0)
    for goal, at in zip(desired[100:], sample.observations["observation"].numpy()[100:], strict=True):
        (now,) = np.flatnonzero((rows["obs/observation"] == at).all(1))
        later = slice(now, 25 * (now // 25 + 1))
        assert (rows["next_obs/achieved_goal"][later] == goal).all(1).any()


@pytest.mark.slow
def test_an_overwritten_buffer_resumes_exactly() -> None:
    def fresh() -> Any:
        return small_baseline("sac_her", buffer_size=60)

    whole = fresh().learn(140)
    for first in (85, 100):  # 100: at the end of an episode
        resumed = restored(fresh().learn(first), fresh()).learn(140 - first)
        assert_same_state(whole, resumed)
        one, other = whole.model.replay_buffer, resumed.model.replay_buffer
        np.testing.assert_array_equal(one.ep_length, other.ep_length)
        sampled = one.ep_length > 0
        np.testing.assert_array_equal(one.ep_start[sampled], other.ep_start[sampled])


def test_an_episode_ends_where_physics_diverged_or_it_is_forgotten() -> None:
    buffer = small_baseline("sac_her").model.replay_buffer

    def step(at: float, diverged: bool = False) -> None:
        parts = {"observation": 3, "achieved_goal": 1, "desired_goal": 1}
        obs = {name: np.full((1, size), at, np.float32) for name, size in parts.items()}
        buffer.add(obs, obs, np.zeros((1, 1)), np.ones(1), np.array([diverged]), [{"diverged": diverged}])

    step(0.0)
    step(1.0)
    assert (buffer.size(), buffer.is_open) == (0, True)
    step(1.0, diverged=True)
    step(2.0)
    assert (buffer.total, buffer.size(), buffer.is_open) == (3, 2, True)
    buffer.end_episode()
    buffer.end_episode()
    assert buffer.ep_length[:3, 0].tolist() == [2, 2, 1]
    assert buffer.since(0)["begins"].tolist() == [True, False, True]


def test_the_return_is_that_of_the_environments_own_reward() -> None:
    agent = small_baseline("sac_her").learn(50)
    assert agent.metrics["episode/return"] > 0.0
    last = {name: rows[-1] for name, rows in agent.replay[0].since(0).items()}
    assert agent.metrics["episode/at_goal"] == float(last["reward"] == 0.0)


@pytest.mark.parametrize("name", ["Maze", "Reach", "Push"])
def test_the_goal_of_an_episode_is_observed_until_its_end_and_after_a_restore(name: str) -> None:
    env: Any = envs.make(f"joule/{name}-v0", goal=True)
    first, _ = env.reset(seed=4)
    shown = env.at_goal()
    np.testing.assert_array_equal(first["desired_goal"], shown[0]["achieved_goal"])
    assert env.compute_reward(shown[0]["achieved_goal"], shown[0]["desired_goal"], {}) == 0.0
    assert env.compute_reward(first["achieved_goal"], first["desired_goal"], {}) == -1.0
    action = np.full(env.env_spec.action_size, 0.3, np.float32)
    env.step(action)
    saved = env.snapshot()
    then = env.step(action)[0]
    other: Any = envs.make(f"joule/{name}-v0", goal=True)
    assert other.restore(saved)
    again = other.step(action)[0]
    for part, value in then.items():
        np.testing.assert_array_equal(again[part], value)
    np.testing.assert_array_equal(then["desired_goal"], first["desired_goal"])


@pytest.mark.parametrize(
    ("agent", "env", "settings", "sentence"),
    [
        ("sac_her", tiny_env.ID, {}, "cannot show its goal; it needs a context manager at_goal()"),
        ("sac_her", ENV, {"obs": "pixels"}, "found pixels, and sac_her observes state"),
        (
            "sac_her",
            ENV,
            {"task": "still"},
            "sac_her learns to reach the goals of its environment, not a cost",
        ),
        ("sac", ENV, {"obs": "state+goal"}, "which sac does not learn from; sac_her does"),
        ("joule", ENV, {"obs": "state+goal"}, "which joule does not learn from; sac_her does"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(
    agent: str, env: str, settings: dict[str, str], sentence: str
) -> None:
    with pytest.raises((ConfigError, EnvError), match=re.escape(sentence)):
        joule.make(agent, env=env, settings=settings)


def test_an_environment_made_without_its_goal_is_refused() -> None:
    with pytest.raises(ConfigError, match="is made with obs='state"):
        joule.make("sac_her", env=joule.make_env(tiny_goal_env.ID))
    joule.make("sac_her", env=joule.make_env(tiny_goal_env.ID, obs="state+goal"))


def test_goals_that_count_nothing_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for within, sentence in (({"place": 0.1}, "names 'place'"), ({"position": 0.0}, "give a number above 0")):
        monkeypatch.setattr(tiny_goal_env.PointGoal, "goal_within", within)
        with pytest.raises(EnvError, match=sentence):
            envs.make(tiny_goal_env.ID, goal=True)


@pytest.mark.slow
def test_a_run_is_trained_resumed_and_evaluated_on_goals(tmp_path: Path, capsys: Any) -> None:
    run = tmp_path / "run"
    settings: dict[str, Any] = {"video": False, "eval_episodes": 1, "progress": False}
    joule.train(agent="sac_her", env=ENV, steps=60, out=run, **settings)
    joule.train(resume=run, steps=130, progress=False)
    assert joule.load(run).frames == 130  # type: ignore[union-attr]
    assert evaluate.main([str(run), "--goals", "3", "--goal-decisions", "5"]) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("3 goals", "position within 0.1", "policy", "random"))
    record = joule.evaluate_goals(run, 3, decisions=5)
    plain: Any = joule.make("joule", env=ENV, preset="smoke")
    beside = joule.evaluate_goals(plain, 3, decisions=5)
    assert list(record["results"]) == ["policy", "random"]
    assert record["energy"] is None
    assert record["solved_at_start"] == beside["solved_at_start"]
    for key in ("reached", "nearest", "decisions"):  # the same pairs
        assert record["results"]["random"][key] == beside["results"]["random"][key]
    assert joule.evaluate(run, 1)["mean"] > 0.0
    assert_refused(
        "evaluate", [str(run), "--goals", "--learn-goals", "3"], "--learn-goals: sac_her has learned"
    )
    assert_refused("evaluate", [str(run), "--goals", "--goal-energy", "latent"], "sac_her does not plan")
    assert_refused("evaluate", [str(run), "--goal", "episode:0@1"], "sac_her has no world model")


def test_an_agent_that_cannot_be_given_a_goal_is_refused() -> None:
    with pytest.raises(ConfigError, match="sac cannot be given a goal; joule and sac_her can"):
        joule.evaluate_goals(joule.make("sac", env=tiny_goal_env.ID), 2)

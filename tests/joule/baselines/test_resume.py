"""A resumed baseline is the uninterrupted one, bit for bit."""

from __future__ import annotations

from typing import Any

import pytest
from small_baselines import assert_same_state, restored, small_baseline

import envs
from agent.configurator.settings import Config
from joule.baselines.settings import KINDS
from joule.baselines.stable_baselines import Baseline


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind in ("sac", "ppo") else pytest.mark.slow) for kind in KINDS]
)
def test_a_resumed_run_equals_the_uninterrupted_run(kind: str) -> None:
    whole = small_baseline(kind).learn(70)
    # 43: in the middle of an episode and, for PPO, of a rollout. 50: at the end of an episode.
    for first in (43, 50):
        resumed = restored(small_baseline(kind).learn(first), small_baseline(kind)).learn(70 - first)
        assert_same_state(whole, resumed)
    assert whole.metrics["episode/length"] == 25
    assert whole.state_dict()[1]["updates"] > 0


@pytest.mark.slow
def test_a_run_with_more_updates_per_decision_resumes_exactly() -> None:
    whole = small_baseline("sac", utd=3.0).learn(40)
    assert whole.state_dict()[1]["updates"] == 3 * (40 - 20)
    resumed = restored(small_baseline("sac", utd=3.0).learn(30), small_baseline("sac", utd=3.0)).learn(10)
    assert_same_state(whole, resumed)


@pytest.mark.slow
def test_an_overwritten_replay_buffer_is_restored_row_by_row() -> None:
    whole = small_baseline("sac", buffer_size=30).learn(80)
    resumed = restored(small_baseline("sac", buffer_size=30).learn(50), small_baseline("sac", buffer_size=30))
    resumed.learn(30)
    assert_same_state(whole, resumed)
    with pytest.raises(ValueError, match="overwritten"):
        whole.replay[0].since(40)
    with pytest.raises(ValueError, match="needs 30"):
        resumed.replay[0].restore(whole.replay[0].since(60), 80)


def test_a_resume_between_episodes_does_not_repeat_the_first_episode() -> None:
    agent = small_baseline("td3").learn(30)
    arrays, meta = agent.state_dict()
    first = agent.replay[0].since(0)["obs"][0]
    resumed = small_baseline("td3")
    resumed.load_state_dict(arrays, meta)
    resumed.begin_episode()  # as for an environment that cannot be restored
    resumed.learn(1)
    assert resumed.decisions == 31
    assert (resumed.replay[0].since(0)["obs"][0] != first).any()


@pytest.mark.slow
@pytest.mark.parametrize("env_id", ["Pendulum-v1", "Hopper-v5"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_resume_is_exact_at_published_settings(kind: Any, env_id: str) -> None:
    def fresh() -> Baseline:
        goal = kind == "sac_her"
        env = envs.make("joule/Reach-v0" if goal else env_id, goal=goal)
        return Baseline(env.env_spec, Config(env=env_id, agent=kind, steps=1_000), env)

    steps = {"ppo": 1_300, "crossq": 120}.get(kind, 240)  # CrossQ's critics are wide and slow
    resumed = restored(fresh().learn(steps // 2), fresh()).learn(steps - steps // 2)
    assert_same_state(fresh().learn(steps), resumed)


def test_ppo_is_saved_and_restored_at_the_end_of_a_rollout() -> None:
    steps = small_baseline("ppo").model.n_steps
    saved = small_baseline("ppo").learn(steps)
    live = restored(saved, small_baseline("ppo").learn(steps))  # into one that has just learned, too
    assert_same_state(saved.learn(steps), live.learn(steps))


def test_no_rows_of_a_rollout_are_read_in_the_shape_that_earlier_versions_saved() -> None:
    arrays, meta = small_baseline("ppo").state_dict()
    for name in ("observations", "actions", "values", "log_probs"):
        rows = arrays[f"rollout/{name}"]
        arrays[f"rollout/{name}"] = rows.reshape(0, *rows.shape[2:])
    agent = small_baseline("ppo")
    agent.check_state(arrays, meta)
    agent.load_state_dict(arrays, meta)
    assert agent.learn(5).decisions == 5


def test_a_state_of_other_networks_is_refused() -> None:
    arrays, meta = small_baseline("sac").state_dict()
    with pytest.raises(ValueError, match="has no array policy/actor"):
        small_baseline("td3").load_state_dict(arrays, meta)

"""An environment of gymnasium.make has the same interface, and the same numbers, as one of envs.make."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import tiny_env
from gymnasium.wrappers import TimeLimit, TransformReward

import envs
from envs.adoption import adopt, settings_of_made, wraps
from envs.faults.errors import EnvError


def test_an_adopted_environment_is_that_of_make() -> None:
    made, raw = envs.make(tiny_env.RECORDED), gymnasium.make(tiny_env.ID)
    adopted = adopt(raw)
    assert adopted.env_spec == made.env_spec
    assert wraps(adopted, raw)
    assert not wraps(made, raw)
    for env in (made, adopted):
        env.reset(seed=3)
    for _ in range(25):
        one, other = (env.step(np.array([0.3], np.float32)) for env in (made, adopted))
        np.testing.assert_array_equal(one[0], other[0])
        assert one[1:4] == other[1:4]
    assert other[3], "truncated at the limit"


def test_wrappers_of_the_user_stay_and_a_limit_of_their_own_holds() -> None:
    doubled = TransformReward(
        gymnasium.make(tiny_env.ID, max_episode_steps=7), lambda reward: 2.0 * float(reward)
    )
    env, plain = adopt(doubled, action_repeat=2), adopt(gymnasium.make(tiny_env.ID), action_repeat=2)
    assert (env.env_spec.episode_limit, env.env_spec.action_repeat) == (4, 2)
    rewards = []
    for one in (env, plain):
        one.reset(seed=3)
        rewards.append(one.step(np.zeros(1, np.float32))[1])
    assert rewards[0] == pytest.approx(2.0 * rewards[1])


def test_of_several_limits_the_shortest_holds() -> None:
    for inner, outer in ((7, 20), (20, 7)):
        env = TimeLimit(gymnasium.make(tiny_env.ID, max_episode_steps=inner), outer)
        assert adopt(env).env_spec.episode_limit == 7
        assert settings_of_made(env)["max_episode_frames"] == 7


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        (3, "found int; give an environment of joule.make_env or gymnasium.make"),
        ("Hopper-v5", "found str"),
        (gymnasium.Env, "found type"),
    ],
)
def test_what_is_no_environment_is_refused(env: Any, sentence: str) -> None:
    with pytest.raises(EnvError) as refused:
        adopt(env)
    assert sentence in str(refused.value)


def test_several_environments_in_one_are_refused() -> None:
    with pytest.raises(EnvError, match="which is several environments"):
        adopt(gymnasium.make_vec(tiny_env.ID, 2))


def test_the_settings_make_the_environment_again_or_a_sentence_says_why_they_cannot() -> None:
    how: dict[str, Any] = {"max_episode_steps": 77, "reset_noise_scale": 0.02, "render_mode": "rgb_array"}
    made = gymnasium.make("InvertedPendulum-v5", **how)
    assert settings_of_made(made) == {
        "env": "InvertedPendulum-v5", "env_kwargs": {"reset_noise_scale": 0.02}, "max_episode_frames": 77,
    }  # fmt: skip
    assert settings_of_made(gymnasium.make(tiny_env.ID))["env"] == f"tiny_env:{tiny_env.ID}"
    with pytest.raises(EnvError, match="Point has no id; register it"):
        settings_of_made(tiny_env.Point())
    with pytest.raises(EnvError, match="Point has no id; register it"):
        settings_of_made(TimeLimit(tiny_env.Point(), 5))
    with pytest.raises(EnvError, match="has the wrapper TransformReward; register it"):
        settings_of_made(TransformReward(gymnasium.make(tiny_env.ID), float))
    with pytest.raises(EnvError, match=r"was made without its limit of 1,000 steps; give max_episode_frames"):
        settings_of_made(gymnasium.make("InvertedPendulum-v5", max_episode_steps=-1))


def scaled_point() -> gymnasium.Env[Any, Any]:
    return TransformReward(tiny_env.Point(), lambda reward: 2.0 * float(reward))


def test_wrappers_that_are_registered_are_made_again_with_their_id() -> None:
    gymnasium.register("ScaledPoint-v0", entry_point=f"{__name__}:scaled_point", max_episode_steps=20)
    made = gymnasium.make("ScaledPoint-v0")
    assert settings_of_made(made) == {"env": f"{__name__}:ScaledPoint-v0", "env_kwargs": {}}
    with pytest.raises(EnvError, match="has the wrapper TransformReward; register it"):
        settings_of_made(TransformReward(made, float))

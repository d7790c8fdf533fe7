"""What is said where an environment cannot be made."""

from __future__ import annotations

import pytest

import envs
from envs.faults.errors import EnvError


@pytest.mark.parametrize(
    ("env", "name", "told"),
    [
        ("joule/Reach-v0", "frame_skp", "did you mean frame_skip?"),
        ("HalfCheetah-v5", "forward_reward_weigth", "did you mean forward_reward_weight?"),
        ("joule/Reach-v0", "zzz", "it takes control_cost_weight, goal_in_observation, frame_skip, width"),
    ],
)
def test_an_unknown_keyword_argument_is_answered_with_what_there_is(env: str, name: str, told: str) -> None:
    with pytest.raises(EnvError) as caught:
        envs.make(env, kwargs={name: 1})
    assert str(caught.value).startswith(f"env_kwargs: {env} has no keyword argument {name!r}; {told}")

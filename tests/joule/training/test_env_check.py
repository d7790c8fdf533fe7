"""What a run says about its environment before it begins."""

from __future__ import annotations

from typing import Any

import pytest
import rough_env
import tiny_env

from agent.configurator.settings import Config
from joule.training import env_check

VISITED = "rough_env:joule-tests/Visited-v0"


@pytest.mark.parametrize(
    ("env", "kwargs", "unsaved", "shared"),
    [
        (f"tiny_env:{tiny_env.ID}", {}, [], []),
        (VISITED, {}, ["visited (set)"], []),
        (VISITED, {"forget": True}, [], []),
        (rough_env.ID, {"fault": "NumPy seed"}, [], ["numpy"]),
        (rough_env.ID, {"fault": "torch seed", "where": "reset", "at": 0}, [], ["torch"]),
    ],
)
def test_what_no_checkpoint_holds_and_shared_generators_are_found(
    env: str, kwargs: dict[str, Any], unsaved: list[str], shared: list[str]
) -> None:
    found = env_check.check_env(Config(env=env, env_kwargs=kwargs))
    assert (found["unsaved"], found["shared_generators"]) == (unsaved, shared)


def test_a_note_says_what_was_found() -> None:
    assert env_check.notes({"deterministic": True, "unsaved": [], "shared_generators": []}) == []
    assert env_check.notes({"unsaved": 3, "shared_generators": [["numpy"], "x"]}) == []  # of a stranger's run
    assert env_check.notes({}, ["noise=1"]) == []
    assert env_check.notes({}, ["noise=1", "mass=1|2"])[0].startswith("each episode draws from mass=1|2; ")
    many = [f"places_{k} (set)" for k in range(7)]
    first, second, third = env_check.notes(
        {"deterministic": False, "unsaved": many, "shared_generators": ["torch"]}
    )
    assert "cannot be repeated exactly" in first
    assert "places_4 (set) and 2 more" in second
    assert "(torch)" in third

"""The discount follows from an episode's length, and from whether episodes end by termination."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import joule
from agent.configurator.settings import LearningConfig
from agent.learning.schedule import discount_for

Make = Callable[..., Any]


@pytest.mark.parametrize(
    ("length", "terminates", "discount"),
    [
        (1, False, 0.95), (1, True, 0.95), (25, True, 0.95), (100, True, 0.98), (500, False, 0.99),
        (500, True, 0.996),
        (1000, False, 0.99), (1000, True, 0.998), (10**6, True, 0.998), (None, False, 0.99), (None, True, 0.998),
    ],
)  # fmt: skip
def test_the_discount_follows_the_length_of_an_episode(
    length: int | None, terminates: bool, discount: float
) -> None:
    assert discount_for(length, LearningConfig(), terminates) == pytest.approx(discount)


def test_the_largest_discount_can_be_less_than_that_of_short_episodes() -> None:
    assert discount_for(25, LearningConfig(max_discount=0.8), False) == 0.8


def test_a_dash_that_ends_in_a_fall_is_worth_less_than_a_steady_gait() -> None:
    """Of a hopper: 3.3 a decision to the end, or 4.2 for 380 decisions."""

    def worth(reward: float, decisions: int, discount: float) -> float:
        return reward * (1 - discount**decisions) / (1 - discount)

    discount = discount_for(1000, LearningConfig(), True)
    assert worth(3.3, 1000, discount) > 1.2 * worth(4.2, 380, discount)
    assert worth(3.3, 10**6, 0.995) < worth(4.2, 380, 0.995), "as agents learned, before"


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
def test_the_first_fall_changes_the_discount_of_acting_and_learning(make_agent: Make, tmp_path: Path) -> None:
    env = "ending_env:joule-tests/EndingPoint-v0"
    agent = make_agent(env=env, learning__max_discount=0.9, explore__warmup_decisions=30)
    assert agent.modules.discount == agent.modules.learner.discount == 0.9
    agent.learn(60)
    modules = agent.modules
    assert modules.terminations > 0
    learner = modules.learner
    assert learner.updates > 0
    assert modules.discount == learner.discount == learner.fused.discount == 0.95
    assert modules.energy(modules.perceive(agent.env.observation[None])).discount == 0.95
    agent.save(tmp_path / "run")
    restored: Any = joule.load(tmp_path / "run")
    assert restored.modules.discount == restored.modules.learner.discount == 0.95

"""What follows from the length of a run and its episodes: the discount, and learning rates that fall."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import joule
from agent.configurator.settings import LearningConfig
from agent.learning.schedule import discount_for, rate_share

Make = Callable[..., Any]


LATER = LearningConfig().horizons_terminating_from_updates


@pytest.mark.parametrize(
    ("length", "terminates", "updates", "discount"),
    [
        (1, False, 0, 0.95), (25, True, 0, 0.95), (500, False, LATER, 0.99), (500, True, 0, 0.99),
        (1000, False, LATER, 0.99), (1000, True, LATER - 1, 0.995), (10**6, True, 0, 0.995),
        (None, False, LATER, 0.99), (None, True, 0, 0.995), (1, True, LATER, 0.95), (100, True, LATER, 0.98),
        (500, True, LATER, 0.996), (1000, True, LATER, 0.998), (10**6, True, LATER, 0.998),
        (None, True, LATER, 0.998),
    ],
)  # fmt: skip
def test_the_discount_follows_the_length_of_an_episode(
    length: int | None, terminates: bool, updates: int, discount: float
) -> None:
    assert discount_for(length, LearningConfig(), terminates, updates) == pytest.approx(discount)


def test_the_largest_discount_can_be_less_than_that_of_short_episodes() -> None:
    assert discount_for(25, LearningConfig(max_discount=0.8), False, 0) == 0.8
    assert discount_for(1000, LearningConfig(max_discount_terminating=0.0), True, 0) == 0.0


def test_a_run_that_is_older_than_the_horizons_keeps_its_discount() -> None:
    before: Any = {"max_discount_terminating": 0.995, "horizons_terminating": 5.0}
    for updates in (0, LATER):
        assert discount_for(1000, LearningConfig(**before), True, updates) == pytest.approx(0.995)


def test_a_dash_that_ends_in_a_fall_is_worth_less_than_a_steady_gait() -> None:
    """Of a hopper: 3.3 a decision to the end, or 4.2 for 380 decisions."""

    def worth(reward: float, decisions: int, discount: float) -> float:
        return reward * (1 - discount**decisions) / (1 - discount)

    discount = discount_for(1000, LearningConfig(), True, LATER)
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
    assert modules.discount == 0.95, "of a short episode"
    learner = modules.learner
    assert learner.updates > 0
    assert modules.discount == learner.discount == learner.fused.discount == 0.95
    assert modules.energy(modules.perceive(agent.env.observation[None])).discount == 0.95
    agent.save(tmp_path / "run")
    restored: Any = joule.load(tmp_path / "run")
    assert restored.modules.discount == restored.modules.learner.discount == 0.95


@pytest.mark.usefixtures("unchecked")
def test_after_so_many_updates_an_episode_has_fewer_horizons(make_agent: Make) -> None:
    env = "ending_env:joule-tests/EndingPoint-v0"
    longer: dict[str, Any] = {
        "learning__horizons_terminating": 1.0,
        "learning__horizons_terminating_from_updates": 8,
    }
    agent = make_agent(env=env, explore__warmup_decisions=30, learning__pretrain_updates=4, **longer)
    modules = agent.modules
    found: dict[int, float] = {}
    agent.learn(60, on_step=lambda _: found.setdefault(modules.learner.updates, modules.discount) > 0)
    limit = modules.env_spec.episode_limit
    assert {discount for updates, discount in found.items() if updates < 8} == {0.95}
    assert {discount for updates, discount in found.items() if updates >= 8} == {(limit - 1) / limit}
    assert modules.learner.fused.discount == modules.discount, "updates have it too"


def test_the_learning_rates_fall_along_half_a_cosine() -> None:
    shares = [rate_share(update, 100, 0.1) for update in (0, 25, 50, 75, 100, 1_000)]
    assert shares == pytest.approx(
        [1.0, 0.1 + 0.9 * 0.853553, 0.55, 0.1 + 0.9 * 0.146447, 0.1, 0.1], abs=1e-5
    )
    assert rate_share(70, 100, 1.0) == 1.0

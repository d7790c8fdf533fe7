"""What a run says of the updates at its start."""

from __future__ import annotations

import pytest
import tiny_env

import joule
from joule.baselines.stable_baselines import Baseline
from joule.training.early_updates import compiling, early_updates


@pytest.mark.parametrize(("kind", "first"), [("sac", 101), ("ppo", 2_048)])
def test_a_baseline_that_learns_nothing_is_warned_of(kind: str, first: int) -> None:
    (warning,) = early_updates(joule.make(kind, env=tiny_env.ID, steps=first - 1))
    assert warning.startswith(
        f"warning: {kind} first learns at decision {first:,}, and this run has {first - 1:,}"
    )
    agent = joule.make(kind, env=tiny_env.ID, steps=first)
    assert isinstance(agent, Baseline)
    assert early_updates(agent) == []
    agent.learn(first - 1)
    assert agent.model._n_updates == 0
    agent.learn(1)
    assert agent.model._n_updates > 0


def test_a_last_decision_that_goes_beyond_the_budget_counts() -> None:
    agent = joule.make("sac", env=tiny_env.ID, action_repeat=2, steps=201)
    assert early_updates(agent) == []
    agent.learn(201)
    assert isinstance(agent, Baseline)
    assert agent.model._n_updates > 0
    (warning,) = early_updates(joule.make("sac", env=tiny_env.ID, action_repeat=2, steps=200))
    assert "this run has 100" in warning


def test_a_world_model_that_learns_nothing_is_warned_of() -> None:
    (warning,) = early_updates(joule.make("joule", env=tiny_env.ID, steps=500))
    assert warning.startswith(
        "warning: all 500 decisions are random and nothing is learned; give more --steps"
    )
    (said,) = early_updates(joule.make("joule", env=tiny_env.ID, steps=2_000))
    assert said.startswith("the first 1,000 decisions are random; 1,000 gradient steps follow at once")
    assert early_updates(joule.make("random", env=tiny_env.ID, steps=1)) == []


def test_a_run_that_compiles_says_so() -> None:
    compiled = {"learning.compiled": True}
    (said,) = compiling(joule.make("joule", env=tiny_env.ID, settings=compiled))
    assert said.startswith("gradient steps are compiled at the first one")
    assert (
        compiling(joule.make("joule", env=tiny_env.ID)) == compiling(joule.make("sac", env=tiny_env.ID)) == []
    )

"""Decisions by a deadline on a trained agent, by a clock that moves with every evaluation of the energy."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import joule
from agent.actor.deadline import Pace
from agent.arguments import ROUNDING
from agent.cost.constraint import parse_constraint
from agent.cost.energy import with_callback
from agent.errors import InputError

pytestmark = pytest.mark.usefixtures("unchecked")

OBS = np.array([0.5, 0.0, -0.5], np.float32)
ITERATING = ["mppi", "cem", "icem", "gradient"]


class SlowEnergy:
    """Lets `milliseconds` pass on a clock of its own at every evaluation of an agent's energy."""

    def __init__(self, agent: Any, milliseconds: float) -> None:
        self.milliseconds, self.seconds = milliseconds, 0.0
        self.energy = energy = agent.modules.energy
        agent.modules.energy = lambda z, explore=False: with_callback(energy(z, explore), self.evaluated)
        agent.modules.actor.pace = Pace(lambda: self.seconds)

    def evaluated(self, *_: torch.Tensor) -> None:
        self.seconds += self.milliseconds / 1e3


def loaded(run: Path, kind: str, **settings: Any) -> Any:
    named = {f"planner.{name}": value for name, value in settings.items()}
    return joule.load(run, settings={"planner.kind": kind, **named})


@pytest.fixture
def observations() -> Iterator[np.ndarray]:
    return iter(np.random.default_rng(0).uniform(-1, 1, (1_000, 3)).astype(np.float32))


@pytest.mark.parametrize("kind", [*ITERATING, "random_shooting", "policy"])
def test_without_a_deadline_and_with_a_distant_one_the_actions_are_those_of_predict(
    trained_run: Path, kind: str, observations: Iterator[np.ndarray]
) -> None:
    plain, acting, hasty = (loaded(trained_run, kind) for _ in range(3))
    state = None
    for number in range(4):
        obs = next(observations)
        action, state = plain.predict(obs, state)
        np.testing.assert_array_equal(acting.act(obs), action)
        np.testing.assert_array_equal(hasty.act(obs, deadline_ms=1e9), action)
        assert hasty.last_decision.surprise == pytest.approx(state.surprise, nan_ok=True)
        assert acting.last_decision.timing is None
        assert acting.timing.decisions == 0
        assert hasty.timing.decisions == number + 1
    assert hasty.timing.summary()["missed_share"] == 0.0
    assert (hasty.timing.iterations > 0) == (kind != "policy")


@pytest.mark.parametrize("kind", ITERATING)
def test_a_search_makes_as_many_iterations_as_fit(
    trained_run: Path, kind: str, observations: Iterator[np.ndarray]
) -> None:
    agent = loaded(trained_run, kind, iterations=50)
    slow = SlowEnergy(agent, 2.0)
    agent.act(next(observations), deadline_ms=20.0)  # before this nothing is known of how long it takes
    agent.timing.clear()
    for _ in range(10):
        before = slow.seconds
        action = agent.act(next(observations), deadline_ms=20.0)
        assert np.abs(action).max() <= 1.0 + ROUNDING
        timing = agent.last_decision.timing
        assert timing.latency_ms == pytest.approx(1e3 * (slow.seconds - before))
    # The planners with a sampling distribution evaluate its mean once more.
    rest = 0 if kind == "gradient" else 1
    expected = 9 - rest
    assert timing.iterations == expected
    assert timing.latency_ms == pytest.approx(2.0 * (expected + rest))
    assert (agent.timing.missed, agent.timing.fell_back) == (0, 0)
    agent.modules.energy = slow.energy
    assert set(agent.explain(agent.last_decision)) == {"task", "critic", "uncertainty"}


def test_the_policy_acts_where_no_iteration_fits_and_misses_are_counted(
    trained_run: Path, observations: Iterator[np.ndarray]
) -> None:
    agent, by_policy = loaded(trained_run, "mppi"), loaded(trained_run, "policy")
    SlowEnergy(agent, 50.0)
    missed = fell_back = 0
    for _ in range(30):
        obs = next(observations)
        action = agent.act(obs, deadline_ms=20.0)
        timing = agent.last_decision.timing
        missed, fell_back = missed + timing.missed, fell_back + timing.fell_back
        assert timing.missed != timing.fell_back
        if timing.fell_back:
            np.testing.assert_array_equal(action, by_policy.predict(obs)[0])
            assert agent.explain(agent.last_decision) == {}
            assert agent.forecast(agent.last_decision) is None
    assert missed == 5, "the first, and the trials after 1, 2, 4 and 8 decisions of the policy"
    assert (agent.timing.decisions, agent.timing.missed, agent.timing.fell_back) == (30, missed, fell_back)
    assert agent.timing.summary()["missed_share"] == pytest.approx(missed / 30)
    agent.timing.clear()
    assert agent.timing.decisions == 0


@pytest.mark.parametrize("horizon", [1, 3])
def test_without_a_search_the_last_plan_goes_on_where_the_policy_does_not_know_what_is_asked(
    trained_run: Path, observations: Iterator[np.ndarray], horizon: int
) -> None:
    constrained, planned = (loaded(trained_run, "mppi", horizon_decisions=horizon) for _ in range(2))
    constrained.constrain(parse_constraint("position<0.5"))
    planned.plan_for(joule.Task("far", lambda r: r["position"] ** 2), horizon)
    by_policy = loaded(trained_run, "policy")
    for agent in (constrained, planned):
        SlowEnergy(agent, 50.0)
        agent.act(next(observations), deadline_ms=1e6)
        plan = agent.last_decision.plan.actions
        begun, second, third = (next(observations) for _ in range(3))
        action = agent.act(second, deadline_ms=20.0)
        assert agent.last_decision.timing.fell_back
        expected = plan[0, 1].numpy() if horizon > 1 else by_policy.predict(second)[0]
        np.testing.assert_array_equal(action, expected)
        agent.modules.actor.pace.first._left_out = 0  # no trial is due
        np.testing.assert_array_equal(agent.act(third, deadline_ms=20.0), by_policy.predict(third)[0])
        agent.modules.actor.pace.first._left_out = 0
        action = agent.act(begun, deadline_ms=20.0, episode_start=True)
        np.testing.assert_array_equal(action, by_policy.predict(begun)[0])


def test_an_early_end_changes_no_other_decision(
    trained_run: Path, observations: Iterator[np.ndarray]
) -> None:
    """All noise of a search is drawn before it: one that ends early leaves the generator as a whole one does."""
    hasty, plain = loaded(trained_run, "mppi", iterations=8), loaded(trained_run, "mppi", iterations=8)
    SlowEnergy(hasty, 4.0)
    first, second = next(observations), next(observations)
    hasty.act(first, deadline_ms=9.0)
    plain.act(first)
    assert hasty.last_decision.timing.iterations < 8
    np.testing.assert_array_equal(hasty.act(second), plain.act(second))


def test_predict_takes_a_deadline_for_a_batch_and_an_episode_may_begin_in_act(trained_run: Path) -> None:
    agent = loaded(trained_run, "mppi")
    action, state = agent.predict(np.stack([OBS, -OBS]), deadline_ms=1e6)
    assert action.shape == (2, 1)
    assert state.timing.iterations == 2
    assert state.rows(np.array([True, False])).timing is state.timing
    agent.act(OBS)
    agent.act(OBS)
    assert np.isfinite(agent.last_decision.surprise).all()
    agent.act(OBS, episode_start=True)
    assert np.isnan(agent.last_decision.surprise).all()


def test_a_state_is_that_of_as_many_environments(trained_run: Path) -> None:
    agent = loaded(trained_run, "mppi")
    _, state = agent.predict(np.stack([OBS, -OBS, OBS]))
    with pytest.raises(InputError, match=r"state: it is of a batch of 3, and the observation of 2$"):
        agent.predict(np.stack([OBS, -OBS]), state)
    begun, _ = agent.predict(np.stack([OBS, -OBS]), state, np.ones(2, bool))
    np.testing.assert_array_equal(begun, agent.predict(np.stack([OBS, -OBS]))[0])


@pytest.mark.parametrize("before", [0, 1])
def test_act_is_for_one_robot(trained_run: Path, before: int) -> None:
    agent = loaded(trained_run, "mppi")
    for _ in range(before):
        agent.act(OBS)
    with pytest.raises(
        InputError, match="observation: found a batch of 3; act is for one robot, and predict"
    ):
        agent.act(np.stack([OBS, -OBS, OBS]))
    np.testing.assert_array_equal(agent.act(OBS[None]).shape, (1, 1))


@pytest.mark.parametrize("deadline", [0, -1.0, float("nan"), float("inf"), "20", True])
def test_a_deadline_that_is_no_positive_number_is_refused(trained_run: Path, deadline: Any) -> None:
    agent = loaded(trained_run, "mppi")
    with pytest.raises(InputError, match=r"deadline_ms: found .*; give a number above 0"):
        agent.act(OBS, deadline_ms=deadline)
    assert agent.timing.decisions == 0


@pytest.mark.parametrize("wrong", ["no", [True, False], 0.5])
def test_whether_an_episode_begins_is_true_or_false(trained_run: Path, wrong: Any) -> None:
    agent = loaded(trained_run, "policy")
    with pytest.raises(InputError, match="episode_start: found"):
        agent.act(OBS, episode_start=wrong)
    np.testing.assert_array_equal(agent.act(OBS, episode_start=np.array([True])), agent.act(OBS))


def test_the_state_of_another_agent_is_refused(trained_run: Path, make_agent: Callable[..., Any]) -> None:
    agent, other = loaded(trained_run, "mppi"), make_agent(model__latent_dim=32)
    _, state = other.predict(OBS)
    for refused in (
        lambda: agent.predict(OBS, state),
        lambda: agent.explain(state),
        lambda: agent.forecast(state),
        lambda: agent.imagine_plan(state, 2),
    ):
        with pytest.raises(InputError, match="state: it is that of another agent"):
            refused()
    _, own = agent.predict(OBS)
    wider = dataclasses.replace(own, action=torch.zeros(1, 2))
    with pytest.raises(InputError, match="state: it is that of another agent"):
        agent.predict(OBS, wider)
    with pytest.raises(InputError, match="state: found None; give what predict returned"):
        agent.explain(None)


@pytest.mark.parametrize(
    ("readouts", "why"),
    [
        ([["high", "low"]], "readouts: found list of <U4; give numbers"),
        ([[1.0], [1.0, 2.0]], "readouts: its rows differ in length"),
        ([[1.0, 2.0]] * 2, r"readouts: found the shape \[2, 2\]; give \[1, 2\]"),
    ],
)
def test_the_legibility_of_what_is_no_readout_is_refused(trained_run: Path, readouts: Any, why: str) -> None:
    with pytest.raises(InputError, match=why):
        loaded(trained_run, "mppi").legibility(OBS[None], readouts)

"""In a changed world the agent of before the change and the adapted one act in turn, then the better of them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from env_doubles import PassingEnv

import envs
import joule
from agent.world_model.model_bank import KnownModel
from agent.world_model.trial_returns import TrialReturns


def play(returns: TrialReturns, of_adapted: list[float], of_unadapted: float, episodes: int) -> list[bool]:
    """Who acts in so many episodes (True: the agent of before); the adapted one returns the numbers in turn."""
    acted: list[bool] = []
    for _ in range(episodes):
        unadapted = returns.next_unadapted()
        returns.begin()
        returns.total += (
            of_unadapted if unadapted else of_adapted[min(acted.count(False), len(of_adapted) - 1)]
        )
        returns.end(unadapted)
        acted.append(unadapted)
    return acted


def test_where_adapting_pays_the_agent_of_before_acts_once() -> None:
    assert play(TrialReturns(), [20.0, 60.0, 90.0], 10.0, 6) == [False, True, False, False, False, False]


def test_where_it_does_harm_the_agent_of_before_acts_and_the_adapted_one_is_tried_at_every_third_episode() -> (
    None
):
    assert play(TrialReturns(), [50.0], 90.0, 7) == [False, True, True, False, True, True, False]


def test_one_good_episode_is_followed_by_another_try_and_three_decide() -> None:
    returns = TrialReturns()
    assert play(returns, [50.0, 95.0, 20.0, 95.0], 90.0, 7) == [False, True, True, False, False, True, True]
    assert returns.prefers_unadapted


def test_what_the_adapted_agent_returned_first_is_forgotten() -> None:
    returns = TrialReturns()
    assert play(returns, [0.0, 95.0, 95.0, 95.0], 90.0, 9)[-2:] == [False, False]
    assert not returns.prefers_unadapted


def test_after_a_further_change_those_act_first_that_returned_more_before_it(trained_run: Path) -> None:
    assert play(TrialReturns(unadapted_first=True), [20.0, 60.0], 10.0, 4) == [True, False, False, False]
    agent: Any = joule.load(trained_run)
    harmed = KnownModel(agent.modules.networks.world_model, np.zeros(0))
    harmed.before, harmed.weights = {"weight": torch.zeros(1)}, {"weight": torch.ones(1)}
    play(harmed.returns, [50.0], 90.0, 3)
    new = copy.copy(harmed)
    harmed.is_followed_by(new)
    assert (new.before, new.returns) == (harmed.before, TrialReturns(unadapted_first=True))
    helped = copy.copy(harmed)
    helped.returns = TrialReturns(adapted=[90.0], unadapted=[50.0])
    helped.is_followed_by(new)
    assert (new.before, new.returns) == (helped.weights, TrialReturns())


def test_an_episode_that_is_interrupted_does_not_count() -> None:
    returns = TrialReturns()
    returns.begin()
    returns.total += 1.0
    returns.interrupt()
    returns.end(unadapted=False)
    assert (returns.adapted, returns.unadapted, returns.next_unadapted()) == ([], [], False)


class Paid(PassingEnv):
    """An environment of which the reward of every step is given."""

    reward = 0.0

    def step(self, action: np.ndarray) -> Any:
        obs, _, terminated, truncated, info = self.env.step(action)
        return obs, self.reward, terminated, truncated, info


def weights(agent: Any) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in agent.modules.networks.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.usefixtures("unchecked")
def test_the_networks_of_before_act_as_they_were_while_the_adapted_ones_learn(
    trained_run: Path,
) -> None:
    agent: Any = joule.load(trained_run)
    adaptive = agent.adapt()
    adaptive.change_detector = None  # only the change below
    before = weights(adaptive)
    paid = Paid(envs.make(adaptive.config.env))
    env = adaptive.observe(paid)

    def act(decisions: int) -> None:
        for _ in range(decisions):
            action, _ = adaptive.predict(obs)
            env.step(action)

    obs, _ = env.reset(seed=1)
    act(3)
    adaptive.begin_model(2)
    act(3)  # learns
    assert adaptive.in_use.returns.adapted == []  # the episode is of two worlds
    obs, _ = env.reset(seed=2)
    assert not adaptive.weights.unadapted
    act(3)
    learned = weights(adaptive)
    assert not same(before, learned)
    paid.reward = 1.0
    obs, _ = env.reset(seed=3)
    act(3)
    assert adaptive.weights.unadapted
    assert same(before, weights(adaptive))
    with adaptive.weights.adapted(adaptive.in_use):
        assert not same(learned, weights(adaptive))
        learned = weights(adaptive)
    assert same(before, weights(adaptive))
    errors = adaptive.errors_of_step(obs, adaptive.predict(obs)[0], obs)
    assert errors[0] != errors[1]  # the new model is still asked what it predicts
    adaptive.end_episode()
    assert adaptive.weights.unadapted  # it returned more
    assert adaptive.in_use.returns.unadapted == [3.0]
    # The world of before is met again: its networks are in use, and the adapted ones are kept.
    new = adaptive.in_use
    adaptive.switch_to(adaptive.first)
    assert not adaptive.weights.unadapted
    assert same(before, weights(adaptive))
    assert not same(before, new.weights)
    adaptive.switch_to(new)
    assert same(new.weights, weights(adaptive))

"""In a changed world the agent of before the change and the adapted one act in turn, then the better of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from agent_weights import same, weights
from env_doubles import PassingEnv

import envs
import joule
from agent.errors import ConfigError
from agent.world_model.home_episodes import play_home_episodes
from agent.world_model.observed_steps import errors_of_step
from agent.world_model.trial_returns import TrialReturns


def play(returns: TrialReturns, of_adapted: list[float], of_kept: float, episodes: int) -> list[bool]:
    """Who acts in so many episodes (True: the networks kept); the adapted one returns the numbers in turn."""
    acted: list[bool] = []
    for _ in range(episodes):
        kept = returns.next_kept()
        returns.begin(kept)
        returns.total += of_kept if kept else of_adapted[min(acted.count(False), len(of_adapted) - 1)]
        returns.end()
        acted.append(kept)
    return acted


def test_where_adapting_pays_the_agent_of_before_acts_once() -> None:
    assert play(TrialReturns(), [20.0, 60.0, 90.0], 10.0, 6) == [False, True, False, False, False, False]


def test_where_it_does_harm_the_agent_of_before_acts_and_every_third_episode_is_of_the_adapted_one() -> None:
    assert play(TrialReturns(), [50.0], 90.0, 7) == [False, True, True, False, True, True, False]


def test_where_nothing_is_to_be_gained_the_adapted_agent_is_not_tried_again() -> None:
    assert play(TrialReturns(enough=90.0), [50.0], 90.0, 7) == [False, *[True] * 6]
    assert play(TrialReturns(enough=91.0), [50.0], 90.0, 7) == [False, True, True, False, True, True, False]
    returns = TrialReturns(enough=90.0, kept=[95.0])
    assert returns.prefers_kept, "the first episode of the adapted agent did not count"
    returns.kept.append(80.0)
    assert not returns.prefers_kept, "the world is worse than it seemed"


def test_one_good_episode_is_followed_by_another_try_and_three_decide() -> None:
    returns = TrialReturns()
    assert play(returns, [50.0, 95.0, 20.0, 95.0], 90.0, 7) == [False, True, True, False, False, True, True]
    assert returns.prefers_kept


def test_after_a_further_change_those_act_first_that_returned_more_before_it() -> None:
    returns = TrialReturns(kept_first=True)
    assert returns.prefers_kept
    assert play(returns, [20.0, 60.0], 10.0, 4) == [True, False, False, False]


def test_what_the_adapted_agent_returned_first_is_forgotten() -> None:
    returns = TrialReturns()
    assert play(returns, [0.0, 95.0, 95.0, 95.0], 90.0, 9)[-2:] == [False, False]
    assert not returns.prefers_kept


def test_adapted_networks_are_kept_when_each_of_three_episodes_returned_more() -> None:
    returns = TrialReturns(adapted=[0.0, 60.0, 70.0, 65.0], kept=[50.0, 59.0])
    assert returns.earned
    returns.keep_adapted()
    assert (returns.kept, returns.adapted, returns.prefers_kept) == ([60.0, 70.0, 65.0], [], True)
    assert play(returns, [20.0], 65.0, 4) == [False, True, True, False]  # what is learned later is worse
    assert returns.prefers_kept
    assert not returns.earned


@pytest.mark.parametrize("kept", [[], [50.0, 60.0]])
def test_adapted_networks_are_not_kept_without_a_comparison_or_by_a_higher_mean_alone(
    kept: list[float],
) -> None:
    returns = TrialReturns(adapted=[60.0, 70.0, 65.0], kept=kept.copy())
    assert not returns.earned


def test_an_episode_that_is_interrupted_does_not_count() -> None:
    returns = TrialReturns()
    returns.begin(kept=False)
    returns.total += 1.0
    returns.interrupt()
    returns.end()
    assert (returns.adapted, returns.kept, returns.next_kept()) == ([], [], False)


def test_the_adapted_agent_learns_again_where_no_episode_of_the_other_one_counts() -> None:
    returns, acted = TrialReturns(adapted=[1.0]), []
    for _ in range(6):
        acted.append(returns.next_kept())
        returns.begin(acted[-1])
        returns.break_off()
        returns.end()
    assert acted == [True, True, False, True, True, False]


@pytest.mark.parametrize("kept_adapted", [False, True])
def test_where_no_episode_of_the_adapted_networks_counts_those_kept_act_in_turn(kept_adapted: bool) -> None:
    returns, acted = TrialReturns(kept_first=True), []
    if kept_adapted:
        returns.adapted, returns.kept = [3.0, 3.0, 3.0], [1.0]
        returns.keep_adapted()
    else:
        play(returns, [], 1.0, 1)
    for _ in range(4):
        acted.append(returns.next_kept())
        returns.begin(acted[-1])
        returns.interrupt()
        returns.end()
    assert acted == [False, True, False, True]


class Paid(PassingEnv):
    """An environment of which the reward of every step is given."""

    reward = 0.0
    over = False
    """Whether the next step is the last one of the episode."""

    @property
    def moment(self) -> Any:
        return self.env.moment

    def step(self, action: np.ndarray) -> Any:
        obs, _, terminated, truncated, info = self.env.step(action)
        return obs, self.reward, terminated, truncated or self.over, info


@pytest.mark.usefixtures("unchecked")
def test_the_networks_of_before_act_as_they_were_while_the_adapted_ones_learn(
    trained_run: Path,
) -> None:
    agent: Any = joule.load(trained_run)
    adaptive = agent.adapt()
    adaptive.choice.change_detector = None  # only the change below
    before = weights(adaptive)
    paid = Paid(envs.make(adaptive.config.env))
    env = adaptive.observe(paid)

    def act(decisions: int) -> None:
        for left in range(decisions, 0, -1):
            action, _ = adaptive.predict(obs)
            paid.over = left == 1
            env.step(action)

    obs, _ = env.reset(seed=1)
    act(3)
    adaptive.bank.begin_model(2, "errors")
    act(3)  # learns
    assert adaptive.in_use.returns.adapted == []  # the episode is of two worlds
    obs, _ = env.reset(seed=2)
    assert not adaptive.bank.weights.acts_kept
    act(3)
    learned = weights(adaptive)
    assert not same(before, learned)
    paid.reward = 1.0
    obs, _ = env.reset(seed=3)
    act(3)
    assert adaptive.bank.weights.acts_kept
    assert same(before, weights(adaptive))
    with adaptive.bank.weights.acting(adaptive.in_use, kept=False):
        assert not same(learned, weights(adaptive))
    assert same(before, weights(adaptive))
    models = [adaptive.bank.world_model(known) for known in adaptive.bank.models]
    action = adaptive.predict(obs)[0]
    errors = errors_of_step(adaptive.modules, [(model, action) for model in models], obs, obs)
    assert errors[0] != errors[1]  # the new model is still asked what it predicts
    adaptive.end_episode()
    assert adaptive.bank.weights.acts_kept  # it returned more
    assert adaptive.in_use.returns.kept == [3.0]
    # The world of before is met again: its networks are in use, and the adapted ones are kept.
    new = adaptive.in_use
    adaptive.bank.switch_to(adaptive.bank.first)
    assert not adaptive.bank.weights.acts_kept
    assert same(before, weights(adaptive))
    assert not same(before, new.weights)
    adaptive.bank.switch_to(new)
    assert same(weights(adaptive), new.weights)


@pytest.mark.usefixtures("unchecked")
def test_only_whole_episodes_are_compared(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    adaptive = agent.adapt()
    adaptive.choice.change_detector = None
    adaptive.bank.begin_model(1, "errors")
    paid = Paid(envs.make(adaptive.config.env))
    paid.reward = 1.0
    env, returns = adaptive.observe(paid), adaptive.in_use.returns
    size = adaptive.env_spec.action_size

    def act(decisions: int, over: bool) -> None:
        for left in range(decisions, 0, -1):
            paid.over = over and left == 1
            env.step(np.zeros(size, np.float32))

    env.reset(seed=1)
    act(3, over=False)
    env.reset(seed=2)  # the episode of before was broken off
    assert returns.adapted == []
    act(2, over=True)
    paid.reset(seed=3)
    act(4, over=True)  # its beginning was not observed
    env.reset(seed=4)
    assert returns.adapted == [2.0]
    act(5, over=False)
    adaptive.end_episode()  # a loop that ends its episodes by itself says so
    env.reset(seed=5)
    assert (returns.adapted, returns.kept) == ([2.0], [5.0])


@pytest.mark.usefixtures("unchecked")
def test_what_the_agent_has_learned_elsewhere_is_not_replaced(trained_run: Path, tmp_path: Path) -> None:
    agent: Any = joule.load(trained_run)
    adaptive = agent.adapt()
    adaptive.bank.begin_model(1, "errors")
    adaptive.in_use.returns = TrialReturns(adapted=[1.0], kept=[2.0])
    agent.learn(5, env=envs.make(agent.config.env))
    learned = weights(adaptive)
    with pytest.raises(ConfigError, match="the agent has learned since"):
        adaptive.end_episode()
    agent.save(tmp_path / "saved")
    assert same(learned, weights(adaptive))
    assert same(learned, weights(joule.load(tmp_path / "saved")))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("better", ["adapted", "kept"])
def test_an_agent_is_saved_with_the_networks_that_returned_more_whoever_acts(
    trained_run: Path, tmp_path: Path, better: str
) -> None:
    agent: Any = joule.load(trained_run)
    adaptive = agent.adapt()
    by = {"kept": weights(adaptive)}
    adaptive.bank.begin_model(1, "errors")
    with torch.no_grad():
        for parameter in adaptive.modules.networks.parameters():
            parameter += 0.01  # what was learned
    by["adapted"] = weights(adaptive)
    adaptive.in_use.returns = TrialReturns(adapted=[1.0], kept=[2.0 if better == "kept" else 0.0])
    for acts in ("kept", "adapted"):
        adaptive.bank.weights.act(adaptive.in_use, kept=acts == "kept")
        agent.save(tmp_path / acts)
        assert same(weights(joule.load(tmp_path / acts)), by[better])
        assert same(weights(adaptive), by[acts])
    adaptive.bank.weights.act(adaptive.in_use, kept=better == "adapted")
    agent.load_state_dict(*agent.state_dict())
    for _ in range(2):
        assert same(weights(adaptive), by[better])
        agent.state_dict()


@pytest.mark.usefixtures("unchecked")
def test_what_is_tried_in_the_next_world_is_the_agent_that_acted_in_the_world_before(
    trained_run: Path,
) -> None:
    agent: Any = joule.load(trained_run)
    adaptive = agent.adapt()
    before = weights(adaptive)
    adaptive.bank.begin_model(1, "errors")
    with torch.no_grad():
        for parameter in adaptive.modules.networks.parameters():
            parameter += 0.01  # what was learned
    adaptive.in_use.returns = TrialReturns(adapted=[1.0], kept=[2.0])
    adaptive.bank.begin_model(1, "errors")
    assert same(adaptive.in_use.kept, before)
    assert adaptive.in_use.returns == TrialReturns(kept_first=True)
    adaptive.in_use.returns = TrialReturns(adapted=[2.0], kept=[1.0])
    adaptive.bank.begin_model(1, "errors")
    assert not same(adaptive.in_use.kept, before)


@pytest.mark.usefixtures("unchecked")
def test_weights_that_returned_more_for_some_time_are_kept_as_they_are_then(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    adaptive = agent.adapt()
    adaptive.choice.change_detector = None
    env = adaptive.observe(Paid(envs.make(adaptive.config.env)))
    obs, _ = env.reset(seed=1)
    for _ in range(3):
        env.step(adaptive.predict(obs)[0])
    adaptive.bank.begin_model(2, "errors")
    for _ in range(3):
        env.step(adaptive.predict(obs)[0])  # learns
    learned, before = weights(adaptive), adaptive.in_use.kept
    adaptive.bank.weights.act(adaptive.in_use, kept=True)
    adaptive.in_use.returns = TrialReturns(adapted=[3.0, 3.0, 3.0], kept=[2.0], acts_kept=True)
    adaptive.end_episode()
    assert same(adaptive.in_use.kept, before), "in this episode the adapted networks did not act"
    adaptive.in_use.returns.acts_kept = False
    adaptive.choice.mean_error = 10.0
    adaptive.bank.weights.act(adaptive.in_use, kept=True)
    assert not adaptive.distrusts_model, "as without adaptation"
    adaptive.end_episode()
    assert adaptive.acts_kept
    assert adaptive.distrusts_model, "as when it returned more"
    assert not same(before, learned)
    assert same(adaptive.in_use.kept, learned)
    assert same(weights(adaptive), learned)


def test_a_usual_return_is_known_from_whole_episodes_at_home(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    adaptive = agent.adapt(joule.make_env(agent.config.env), 1_000)
    whole = adaptive.bank.usual_return
    adaptive.bank.begin_model(1, "errors")
    assert adaptive.in_use.returns.enough == whole
    home = play_home_episodes(agent.modules, joule.make_env(agent.config.env), 310)
    assert home.usual_return == np.mean(home.returns) - max(
        2 * np.std(home.returns), 0.05 * abs(np.mean(home.returns))
    )
    assert len(home.returns) == 3, (
        "of thirteen: four of five would be broken off, but for those that end early"
    )
    assert replace(home, returns=()).usual_return == np.inf

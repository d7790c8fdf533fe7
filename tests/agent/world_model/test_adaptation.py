"""Adaptation: an agent detects a change of its environment, learns it, and keeps the model of before."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import tiny_env
import torch
from agent_weights import same, weights
from commands import assert_refused
from env_doubles import PassingEnv

import envs
import joule
from agent.errors import ConfigError
from agent.world_model.adaptation import LARGEST_MEAN_ERROR, AdaptiveAgent
from agent.world_model.known_model import OLD_WEIGHT, RowNumbers, windows_of
from agent.world_model.model_bank import LARGEST_BANK
from agent.world_model.signals import Alarm
from joule.commands import evaluate, train
from joule.environment import make_env

pytestmark = pytest.mark.usefixtures("unchecked")


class ReversedMotor(PassingEnv):
    """An environment whose action has the opposite sign, which no training data show."""

    def step(self, action: np.ndarray) -> Any:
        return self.env.step(-action)


def returns(policy: Any, env: Any, episodes: int, first: int) -> list[float]:
    """The return of each episode, with seeds from `first` on."""
    found = []
    for seed in range(first, first + episodes):
        obs, _ = env.reset(seed=seed)
        state, over, total = None, False, 0.0
        while not over:
            action, state = policy.predict(obs, state, np.array([state is None]))
            obs, reward, terminated, truncated, _ = env.step(action)
            total, over = total + reward, terminated or truncated
        found.append(total)
    return found


def load(run: Path) -> Any:
    """A trained agent, without the uncertainty penalty: 250 decisions are too few to know the usual uncertainty."""
    return joule.load(run, settings={"cost.uncertainty": 0.0})


def point(agent: Any) -> Any:
    return envs.make(agent.config.env)


@pytest.mark.slow
def test_a_reversed_motor_is_detected_and_learned_and_the_first_model_is_kept(trained_run: Path) -> None:
    fixed, agent = load(trained_run), load(trained_run)
    adaptive = agent.adapt()
    before = weights(adaptive)
    good = np.mean(returns(fixed, point(fixed), 10, 500))
    poor = np.mean(returns(fixed, ReversedMotor(point(fixed)), 10, 500))

    returns(adaptive, adaptive.observe(point(adaptive)), 4, 600)
    assert adaptive.events == []  # the environment has not changed
    assert same(before, weights(adaptive))
    learning = returns(adaptive, adaptive.observe(ReversedMotor(point(adaptive))), 36, 600)
    first = adaptive.events[0]
    assert first.new
    assert 100 < first.decision <= 300
    assert first.decision - first.since == pytest.approx(100, abs=10)  # the change is dated
    after = weights(adaptive)
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert {"world_model", "critic", "policy"} <= moved
    assert not {"encoder", "normalizer", "readout_normalizer"} & moved
    # Steps that are not observed teach nothing.
    regained = np.mean(returns(adaptive, ReversedMotor(point(adaptive)), 10, 500))
    assert regained - poor > 0.7 * (good - poor), (good, poor, regained, learning)

    decisions = adaptive.decisions
    returns(adaptive, adaptive.observe(point(adaptive)), 1, 700)
    assert adaptive.in_use is adaptive.bank.first
    assert same(before, weights(adaptive))
    back = adaptive.events[-1]
    assert back.decision - back.since == pytest.approx(decisions, abs=4)  # 4 on some processors
    assert back.since <= len(adaptive.bank.first.rows) < 150
    # Training that continues afterwards updates all networks.
    agent.learn(3, env=point(agent))
    assert agent.modules.learner.curiosity == agent.config.explore.curiosity
    name = "encoder.hidden.linear.weight"
    assert not torch.equal(before[name], weights(agent)[name])


def test_the_encoder_and_its_optimiser_state_stay_as_they_are(trained_run: Path) -> None:
    adaptive = load(trained_run).adapt()
    group = adaptive.modules.learner.model_group
    state = {name: value.clone() for name, value in group.moments[0].items()}
    before = weights(adaptive)
    returns(adaptive, adaptive.observe(point(adaptive)), 1, 600)
    adaptive.bank.begin_model(10, "errors")
    adaptive.update()
    moved = {
        name.split(".")[0]
        for name, value in weights(adaptive).items()
        if not torch.equal(before[name], value)
    }
    assert "world_model" in moved
    assert "encoder" not in moved
    after = group.moments[0]
    assert all(torch.equal(value, after[name]) for name, value in state.items())


def moments(adaptive: Any) -> list[torch.Tensor]:
    learner = adaptive.modules.learner
    groups = (learner.model_group, learner.policy_group)
    return [v.clone() for group in groups for part in group.moments for v in part.values()]


def test_a_known_model_comes_back_with_its_weights_and_the_moments_of_its_optimiser(
    trained_run: Path,
) -> None:
    adaptive = load(trained_run).adapt()
    returns(adaptive, adaptive.observe(point(adaptive)), 1, 600)
    before, kept = weights(adaptive), moments(adaptive)
    adaptive.bank.begin_model(10, "errors")
    adaptive.update()
    adaptive.choice.mean_error = adaptive.bank.first.comparison.level = 5.0
    assert not same(before, weights(adaptive))
    adaptive.bank.switch_to(adaptive.bank.first)
    adaptive.choice.watch_anew()
    assert adaptive.bank.first.comparison.level == 0.0, "it is compared anew"
    assert same(before, weights(adaptive))
    assert all(torch.equal(one, other) for one, other in zip(kept, moments(adaptive), strict=True))
    assert adaptive.choice.mean_error == 0.0, "its model is known to hold"


def test_a_full_bank_forgets_the_model_that_was_used_least_recently_but_the_first(trained_run: Path) -> None:
    adaptive = load(trained_run).adapt()
    for used in range(1, LARGEST_BANK):
        adaptive.bank.begin_model(1, "errors")
        adaptive.in_use.last_used = 100 - used  # each was used before the one begun earlier
    assert [known.number for known in adaptive.bank.models] == list(range(LARGEST_BANK))
    adaptive.bank.begin_model(1, "errors")
    oldest = LARGEST_BANK - 2  # the newest is in use
    assert [known.number for known in adaptive.bank.models] == [
        number for number in range(LARGEST_BANK + 1) if number != oldest
    ]


def test_a_new_model_begins_with_the_steps_since_the_change(trained_run: Path) -> None:
    adaptive = load(trained_run).adapt()
    returns(adaptive, adaptive.observe(point(adaptive)), 1, 600)
    seen = adaptive.bank.first.rows.all.tolist()
    adaptive.bank.begin_model(4, "errors")
    assert (adaptive.bank.first.rows.all.tolist(), adaptive.in_use.rows.all.tolist()) == (
        seen[:-4],
        seen[-4:],
    )
    adaptive.modules.config = dataclasses.replace(
        adaptive.config, learning=dataclasses.replace(adaptive.config.learning, batch_size=1_000)
    )
    windows, buffer = windows_of(adaptive.modules, adaptive.in_use), adaptive.modules.replay_buffer
    new = np.asarray(buffer.observations(buffer.place(np.array(seen[-4:]))))
    drawn = (np.asarray(windows.obs)[0][:, None] == new[None]).all(-1).any(1).sum()
    assert drawn == round(1_000 * 4 / (4 + OLD_WEIGHT)), "the others are of the world before"


@pytest.mark.parametrize("noticed", ["before", "after"])
def test_plans_know_of_falls_as_soon_as_there_is_one(trained_run: Path, noticed: str) -> None:
    adaptive = load(trained_run).adapt()
    modules, obs = adaptive.modules, np.zeros(3, np.float32)
    assert modules.terminations == 0
    size = modules.env_spec.observation[0].shape[0]
    obs, readouts = np.zeros(size, np.float32), np.zeros(modules.readouts_size)
    adaptive.begin(obs, readouts)
    if noticed == "before":
        adaptive.bank.begin_model(1, "errors")
    adaptive.observe_step(np.zeros(modules.env_spec.action_size), 0.0, True, obs, readouts)
    if noticed == "after":
        adaptive.bank.begin_model(1, "errors")  # the fall was one of the changed world
    assert modules.terminations == 1
    adaptive.begin(obs, readouts)
    adaptive.observe_step(np.zeros(modules.env_spec.action_size), 0.0, False, obs, readouts)
    adaptive.bank.switch_to(adaptive.bank.first)
    assert modules.terminations == 0, "the agent of before is restored"
    adaptive.bank.follow(Alarm("errors", 1))
    assert modules.terminations == 1, "and so is the other one"


@pytest.mark.parametrize(("action", "executed"), [(np.array([5.0]), 1.0), (-0.25, -0.25), ([[-3.0]], -1.0)])
def test_an_action_is_remembered_as_it_was_executed(trained_run: Path, action: Any, executed: float) -> None:
    adaptive = load(trained_run).adapt()
    env = adaptive.observe(point(adaptive))
    env.reset(seed=0)
    env.step(action)
    buffer = adaptive.modules.replay_buffer
    assert buffer.action[buffer.place(buffer.transitions()[-1:])] == pytest.approx(executed)


@pytest.mark.slow
def test_the_same_steps_adapt_the_same_way_and_leave_the_generators_alone(trained_run: Path) -> None:
    found = []
    for noise in (0, 1):
        torch.manual_seed(noise)
        adaptive = load(trained_run).adapt()
        outside = torch.get_rng_state()
        got = returns(adaptive, adaptive.observe(ReversedMotor(point(adaptive))), 10, 40)
        assert torch.equal(torch.get_rng_state(), outside)
        found.append((got, adaptive.events, weights(adaptive)))
    assert found[0][:2] == found[1][:2]
    assert found[0][1]  # it did adapt
    assert same(found[0][2], found[1][2])


def mean_errors(adaptive: Any, env: Any, decisions: int) -> np.ndarray:
    """The mean standardised error after each decision."""
    found: list[float] = []
    state, obs = None, None
    while len(found) < decisions:
        if obs is None:
            obs, _ = env.reset(seed=len(found))
        action, state = adaptive.predict(obs, state, np.array([state is None]))
        obs, _, terminated, truncated, _ = env.step(action)
        found.append(adaptive.choice.mean_error)
        if terminated or truncated:
            state, obs = None, None
    return np.array(found)


@pytest.mark.slow
def test_the_mean_error_rises_with_a_change_and_falls_once_it_is_learned(trained_run: Path) -> None:
    adaptive = load(trained_run).adapt()
    known = mean_errors(adaptive, adaptive.observe(point(adaptive)), 100)
    assert known.max() < LARGEST_MEAN_ERROR
    changed = mean_errors(adaptive, adaptive.observe(ReversedMotor(point(adaptive))), 900)
    assert changed[20:40].mean() > known.mean() + 0.5
    assert changed[-200:].mean() < known.mean() + 0.5


def test_while_the_model_errs_too_much_the_policy_acts_alone(trained_run: Path) -> None:
    adaptive, constrained = load(trained_run).adapt(), load(trained_run)
    limit = joule.Constraint("near", lambda r: r["position"] - 1e3)
    constrained = constrained.constrain(limit).adapt()
    obs = np.zeros(3, np.float32)

    def plans(agent: Any, mean_error: float, first: bool) -> bool:
        _, before = agent.predict(obs, None, np.array([True]))
        agent.choice.mean_error = mean_error
        return agent.predict(obs, before, np.array([first]))[1].plan is not None

    assert plans(adaptive, LARGEST_MEAN_ERROR - 0.01, first=False)
    assert not plans(adaptive, LARGEST_MEAN_ERROR + 0.01, first=False)
    assert plans(adaptive, LARGEST_MEAN_ERROR + 0.01, first=True)  # no step of the episode has been observed
    assert plans(constrained, LARGEST_MEAN_ERROR + 0.01, first=False)  # a policy does not look ahead


@pytest.mark.slow
def test_at_home_it_sees_what_is_usual_and_then_all_signals_watch(trained_run: Path) -> None:
    agent = load(trained_run)
    before = weights(agent)
    told: list[int] = []
    adaptive = agent.adapt(point(agent), home_decisions=1_000, on_decision=told.append)
    assert told == list(range(1, 1_001))
    assert same(before, weights(adaptive))
    assert adaptive.decisions == 0
    assert adaptive.choice.signals is not None
    env = adaptive.observe(ReversedMotor(point(adaptive)))
    for seed in range(6):
        returns(adaptive, env, 1, 600 + seed)
        if adaptive.events:
            break
    assert adaptive.events[0].decision <= 60
    assert adaptive.events[0].signal in adaptive.choice.signals.thresholds
    with pytest.raises(ConfigError, match="home_decisions"):
        load(trained_run).adapt(point(agent), home_decisions=10)


def test_training_and_adapting_never_share_an_episode(trained_run: Path) -> None:
    agent = load(trained_run)
    agent.learn(3)
    adaptive = agent.adapt()
    env, buffer = adaptive.observe(point(agent)), agent.modules.replay_buffer
    still = np.zeros(agent.env_spec.action_size, np.float32)
    env.reset(seed=77)
    env.step(still)
    newest = buffer.newest()
    agent.learn(1)
    assert buffer.last[buffer.place(np.array([newest]))].all(), "training began an episode of its own"
    with pytest.raises(ConfigError, match="adapt: other steps were stored since this episode began"):
        env.step(still)
    with pytest.raises(ConfigError, match="the agent has learned since"):  # its stored weights are of before
        env.reset(seed=78)
    env = agent.adapt().observe(point(agent))
    env.reset(seed=78)
    env.step(still)
    assert agent.interaction.obs == [None], "and so did the adaptive agent"


def test_one_environment_is_observed_at_a_time_and_only_steps_that_follow(trained_run: Path) -> None:
    adaptive = load(trained_run).adapt()
    buffer = adaptive.modules.replay_buffer
    one, other = (adaptive.observe(point(adaptive)) for _ in range(2))
    still = np.zeros(adaptive.env_spec.action_size, np.float32)
    one.reset(seed=1)
    other.reset(seed=2)
    moment = one.moment
    with pytest.raises(ConfigError, match="another environment is observed since"):
        one.step(still)
    assert one.moment == moment
    one.reset(seed=1)
    one.step(still)
    before, saved = buffer.held, one.snapshot()
    one.step(still)
    assert buffer.held == before + 1
    one.restore(saved)
    one.step(still)
    assert buffer.held == before + 1, "the step before the restored moment was another one"
    one.step(still)
    assert buffer.held == before + 2
    under_way = point(adaptive)
    under_way.reset(seed=3)
    seen = adaptive.observe(under_way)
    seen.step(still)
    seen.step(still)
    assert buffer.held == before + 3
    under_way.reset(seed=4)
    seen.step(still)
    assert buffer.held == before + 3, "the reset was not observed"
    with pytest.raises(ConfigError, match="has observations of 17 numbers"):
        adaptive.observe(envs.make("HalfCheetah-v5"))
    with pytest.raises(ConfigError, match=r"found TimeLimit; observe one of joule\.make_env"):
        adaptive.observe(gymnasium.make("HalfCheetah-v5"))


def test_row_numbers_are_those_of_a_list() -> None:
    listed, rows = list(range(5)), RowNumbers([0, 1, 2, 3, 4])
    for step in range(5, 60):
        rows.add([step])
        listed.append(step)
        if step % 20 == 0:
            assert rows.take(step // 4).tolist() == listed[-(step // 4) :]
            del listed[-(step // 4) :]
        assert (rows.all.tolist(), len(rows)) == (listed, len(listed))
    assert rows.take(1_000).tolist() == listed
    assert len(rows) == 0


def test_an_agent_that_cannot_adapt_says_why(trained_run: Path, make_agent: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match="too little experience"):
        AdaptiveAgent(make_agent().modules)
    adaptive = load(trained_run).adapt()
    with pytest.raises(ConfigError, match="one environment at a time"):
        adaptive.predict(np.zeros((2, 3), np.float32))
    planning = load(trained_run)
    planning.plan_for(joule.Task("left", lambda r: r["position"]), horizon_decisions=5)
    with pytest.raises(ConfigError, match="learn_task"):
        planning.adapt()
    free = make_agent(reward="none")
    free.learn(60)
    with pytest.raises(ConfigError, match="learned without rewards knows no usual return"):
        free.adapt()
    with pytest.raises(ConfigError, match=r"adapt: an agent in memory .* act with agent\.adapt\(\)"):
        joule.evaluate(load(trained_run), 1, adapt=True)
    adapting = load(trained_run)
    adaptive = adapting.adapt()
    adapting.plan_for(joule.Task("left", lambda r: r["position"]), horizon_decisions=5)
    with pytest.raises(ConfigError, match="learn_task"):
        adaptive.predict(np.zeros(3, np.float32))


@pytest.mark.slow
def test_evaluate_adapts_and_leaves_the_run_as_it_was(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def contents() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in sorted(trained_run.rglob("*")) if p.is_file()}

    monkeypatch.setattr("joule.environment.make_env", lambda config: ReversedMotor(make_env(config)))
    monkeypatch.setattr("agent.world_model.home_episodes.HOME_DECISIONS", 0)  # 10,000 take seconds
    before, out = contents(), tmp_path / "adapted.json"
    assert evaluate.main([str(trained_run), "--episodes", "2", "--adapt", "--out", str(out)]) == 0
    detected = json.loads(out.read_text())["changes_detected"]
    assert detected[0]["new"]
    assert detected[0]["signal"] == "errors"
    assert contents() == before


def test_evaluate_refuses_to_adapt_an_agent_without_a_world_model(tmp_path: Path) -> None:
    folder = tmp_path / "zero"
    made = ["--env", tiny_env.ID, "--agent", "zero", "--steps", "10", "--no-video", "--eval-episodes", "1"]
    assert train.main([*made, "--out", str(folder)]) == 0
    assert_refused("evaluate", [str(folder), "--adapt"], "--adapt: zero has no world model")

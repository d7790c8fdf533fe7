"""An agent whose world changes detects it, learns the new world, and keeps the model of the old one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_env
import torch
from commands import assert_refused

import envs
import joule
from agent.errors import ConfigError
from agent.world_model.adaptation import LARGEST_MEAN_ERROR, AdaptiveAgent
from joule.commands import evaluate, train
from joule.environment import make_env


class Turned:
    """An environment whose motor is wired the wrong way round, which no step of training has shown."""

    def __init__(self, env: Any) -> None:
        self.env = env

    def __getattr__(self, name: str) -> Any:
        return getattr(self.env, name)

    def step(self, action: np.ndarray) -> Any:
        return self.env.step(-action)


def returns(agent: Any, env: Any, episodes: int, first: int) -> list[float]:
    """The return of each episode."""
    found = []
    for seed in range(first, first + episodes):
        obs, _ = env.reset(seed=seed)
        state, over, total = None, False, 0.0
        while not over:
            action, state = agent.predict(obs, state, np.array([state is None]))
            obs, reward, terminated, truncated, _ = env.step(action)
            total, over = total + reward, terminated or truncated
        found.append(total)
    return found


def weights(agent: Any) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in agent.modules.networks.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def load(run: Path) -> Any:
    """The trained agent. It plans without a penalty: 250 decisions are few to calibrate its uncertainty."""
    return joule.load(run, settings={"cost.uncertainty": 0.0})


def point() -> Any:
    return envs.make(tiny_env.ID)


def test_a_turned_motor_is_detected_and_learned_and_the_old_model_is_kept(
    trained_run: Path, unchecked: None
) -> None:
    frozen = load(trained_run)
    agent = load(trained_run)
    adaptive = agent.adapt()
    before = weights(adaptive)
    good = np.mean(returns(frozen, point(), 10, 500))
    poor = np.mean(returns(frozen, Turned(point()), 10, 500))

    returns(adaptive, adaptive.observe(point()), 4, 600)
    assert adaptive.events == []  # the world has not changed
    assert same(before, weights(adaptive))
    learning = returns(adaptive, adaptive.observe(Turned(point())), 36, 600)
    first = adaptive.events[0]
    assert first.new
    assert 100 < first.decision <= 300
    assert first.decision - first.since == pytest.approx(100, abs=10)  # the change is dated
    after = weights(adaptive)
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert {"world_model", "critic", "policy"} <= moved
    assert not {"encoder", "normalizer", "readout_normalizer"} & moved
    regained = np.mean(returns(adaptive, Turned(point()), 10, 500))  # not observed: no learning
    assert regained - poor > 0.7 * (good - poor), (good, poor, regained, learning)

    decisions = adaptive.decisions
    returns(adaptive, adaptive.observe(point()), 1, 700)
    assert adaptive.in_use is adaptive.first
    assert same(before, weights(adaptive))
    back = adaptive.events[-1]
    assert back.decision - back.since == pytest.approx(decisions, abs=3)
    assert back.since <= len(adaptive.first.rows) < 150
    # Afterwards the agent itself learns again with all its parts.
    agent.learn(3, env=point())
    assert agent.modules.learner.curiosity == agent.config.explore.curiosity
    name = "encoder.hidden.linear.weight"
    assert not torch.equal(before[name], weights(agent)[name])


def test_adaptation_repeats_itself_and_leaves_the_generators_alone(
    trained_run: Path, unchecked: None
) -> None:
    results = []
    for noise in (0, 1):
        torch.manual_seed(noise)
        adaptive = load(trained_run).adapt()
        outside = torch.get_rng_state()
        got = returns(adaptive, adaptive.observe(Turned(point())), 10, 40)
        assert torch.equal(torch.get_rng_state(), outside)
        results.append((got, adaptive.events, weights(adaptive)))
    assert results[0][:2] == results[1][:2]
    assert results[0][1]  # it did adapt
    assert same(results[0][2], results[1][2])


def mean_errors(adaptive: Any, env: Any, decisions: int) -> np.ndarray:
    """The mean standardised error after each decision [decisions]."""
    found: list[float] = []
    state, obs = None, None
    while len(found) < decisions:
        if obs is None:
            obs, _ = env.reset(seed=len(found))
        action, state = adaptive.predict(obs, state, np.array([state is None]))
        obs, _, terminated, truncated, _ = env.step(action)
        found.append(adaptive.mean_error)
        if terminated or truncated:
            state, obs = None, None
    return np.array(found)


def test_the_mean_error_is_high_until_the_new_world_is_learned(trained_run: Path, unchecked: None) -> None:
    adaptive = load(trained_run).adapt()
    known = mean_errors(adaptive, adaptive.observe(point()), 100)
    assert known.max() < LARGEST_MEAN_ERROR
    new = mean_errors(adaptive, adaptive.observe(Turned(point())), 900)
    assert new[20:40].mean() > known.mean() + 0.5
    assert new[-200:].mean() < known.mean() + 0.5


def test_an_agent_that_predicts_badly_acts_by_its_policy_and_plans_again_later(
    trained_run: Path, unchecked: None
) -> None:
    adaptive, constrained = load(trained_run).adapt(), load(trained_run)
    constrained = constrained.constrain(joule.Constraint("near", lambda r: r["position"] - 1e3)).adapt()
    obs = np.zeros(3, np.float32)

    def plans(one: Any, mean_error: float, first: bool) -> bool:
        _, before = one.predict(obs, None, np.array([True]))
        one.mean_error = mean_error
        return one.predict(obs, before, np.array([first]))[1].plan is not None

    assert plans(adaptive, LARGEST_MEAN_ERROR - 0.01, first=False)
    assert not plans(adaptive, LARGEST_MEAN_ERROR + 0.01, first=False)
    assert plans(adaptive, LARGEST_MEAN_ERROR + 0.01, first=True)  # no step of the episode was observed yet
    assert plans(constrained, LARGEST_MEAN_ERROR + 0.01, first=False)  # a policy does not look ahead


def test_what_cannot_adapt_is_refused(trained_run: Path, make_agent: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match="too little experience"):
        AdaptiveAgent(make_agent().modules)
    adaptive = load(trained_run).adapt()
    with pytest.raises(ConfigError, match="one environment at a time"):
        adaptive.predict(np.zeros((2, 3), np.float32))
    planning = load(trained_run)
    with pytest.raises(ConfigError, match="learn_task"):
        planning.plan_for(joule.Task("left", lambda r: r["position"]), horizon_decisions=5).adapt()


def test_the_command_adapts_and_leaves_the_run_as_it_was(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unchecked: None
) -> None:
    def contents() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in sorted(trained_run.rglob("*")) if p.is_file()}

    monkeypatch.setattr("joule.environment.make_env", lambda config: Turned(make_env(config)))
    before, out = contents(), tmp_path / "adapted.json"
    assert evaluate.main([str(trained_run), "--episodes", "10", "--adapt", "--out", str(out)]) == 0
    detected = json.loads(out.read_text())["changes_detected"]
    assert detected[0]["new"]
    assert contents() == before


def test_the_command_refuses_an_agent_without_a_world_model(tmp_path: Path) -> None:
    folder = tmp_path / "zero"
    made = ["--env", tiny_env.ID, "--agent", "zero", "--steps", "10", "--no-video", "--eval-episodes", "1"]
    assert train.main([*made, "--out", str(folder)]) == 0
    assert_refused("evaluate", [str(folder), "--adapt"], "--adapt: zero has no world model")

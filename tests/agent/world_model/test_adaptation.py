"""An agent whose world changes: it notices, learns the new world, and has not forgotten the old one."""

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
from agent.world_model.adaptation import LOST, AdaptiveAgent
from joule.commands import evaluate
from joule.environment import make_env


class Turned:
    """A body whose motor is wired the wrong way round: a world that no step of training has shown."""

    def __init__(self, body: Any) -> None:
        self.body = body

    def __getattr__(self, name: str) -> Any:
        return getattr(self.body, name)

    def step(self, action: np.ndarray) -> Any:
        return self.body.step(-action)


def returns(learner: Any, body: Any, episodes: int, first: int) -> list[float]:
    """What each episode gives."""
    found = []
    for seed in range(first, first + episodes):
        obs, _ = body.reset(seed=seed)
        state, over, total = None, False, 0.0
        while not over:
            action, state = learner.predict(obs, state, np.array([state is None]))
            obs, reward, terminated, truncated, _ = body.step(action)
            total, over = total + reward, terminated or truncated
        found.append(total)
    return found


def weights(learner: Any) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in learner.modules.networks.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def load(run: Path) -> Any:
    """What it can beyond the four verbs is its own, and not that of every agent.

    It plans as it did while it learned: 250 decisions are few to know what the model is unsure of.
    """
    return joule.load(run, settings={"cost.uncertainty": 0.0})


def point(learner: Any) -> Any:
    return envs.make(learner.config.env)


def test_a_turned_motor_is_noticed_learned_and_the_old_world_not_forgotten(
    trained_run: Path, unchecked: None
) -> None:
    frozen = load(trained_run)
    adaptive = load(trained_run).adapt()
    before = weights(adaptive)
    good = np.mean(returns(frozen, point(frozen), 10, 500))
    poor = np.mean(returns(frozen, Turned(point(frozen)), 10, 500))

    returns(adaptive, adaptive.observe(point(adaptive)), 4, 600)
    assert adaptive.events == []  # the world has not changed
    assert same(before, weights(adaptive))
    learning = returns(adaptive, adaptive.observe(Turned(point(adaptive))), 36, 600)
    first = adaptive.events[0]
    assert first.new
    assert 100 < first.decision <= 300
    assert first.decision - first.since == pytest.approx(100, abs=10)  # the change is dated
    after = weights(adaptive)
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert {"world_model", "critic", "policy"} <= moved
    assert not {"encoder", "normalizer", "readout_normalizer"} & moved
    regained = np.mean(returns(adaptive, Turned(point(adaptive)), 10, 500))  # not attended: no learning
    assert regained - poor > 0.7 * (good - poor), (good, poor, regained, learning)

    lived = adaptive.decisions
    returns(adaptive, adaptive.observe(point(adaptive)), 1, 700)
    assert adaptive.world is adaptive.home
    assert same(before, weights(adaptive))
    back = adaptive.events[-1]
    assert back.decision - back.since == pytest.approx(lived, abs=3)
    assert back.since <= len(adaptive.home.rows) < 150
    # Who goes on learning in the plain way learns with all its parts.
    config = adaptive.learner.learner.config
    adaptive.learn(3, env=point(adaptive))
    assert config.curiosity == adaptive.config.learning.curiosity
    name = "encoder.hidden.linear.weight"
    assert not torch.equal(before[name], weights(adaptive)[name])


def test_the_same_life_adapts_the_same_way_and_leaves_no_trace(trained_run: Path, unchecked: None) -> None:
    lives = []
    for noise in (0, 1):
        torch.manual_seed(noise)
        adaptive = load(trained_run).adapt()
        outside = torch.get_rng_state()
        got = returns(adaptive, adaptive.observe(Turned(point(adaptive))), 10, 40)
        assert torch.equal(torch.get_rng_state(), outside)
        lives.append((got, adaptive.events, weights(adaptive)))
    assert lives[0][:2] == lives[1][:2]
    assert lives[0][1]  # it did adapt
    assert same(lives[0][2], lives[1][2])


def excess(adaptive: Any, body: Any, decisions: int) -> np.ndarray:
    """How far the world is foreseen too badly, decision after decision of a life."""
    found: list[float] = []
    state, obs = None, None
    while len(found) < decisions:
        if obs is None:
            obs, _ = body.reset(seed=len(found))
        action, state = adaptive.predict(obs, state, np.array([state is None]))
        obs, _, terminated, truncated, _ = body.step(action)
        found.append(adaptive.recent_excess)
        if terminated or truncated:
            state, obs = None, None
    return np.array(found)


def test_a_world_is_foreseen_too_badly_until_it_is_learned(trained_run: Path, unchecked: None) -> None:
    adaptive = load(trained_run).adapt()
    home = excess(adaptive, adaptive.observe(point(adaptive)), 100)
    assert home.max() < LOST
    abroad = excess(adaptive, adaptive.observe(Turned(point(adaptive))), 900)
    assert abroad[20:40].mean() > home.mean() + 0.5
    assert abroad[-200:].mean() < home.mean() + 0.5


def test_who_foresees_too_little_acts_by_habit_and_searches_again_once_it_does(
    trained_run: Path, unchecked: None
) -> None:
    adaptive, held = load(trained_run).adapt(), load(trained_run)
    held = held.constraint(joule.Constraint("near", lambda r: r["position"] - 1e3)).adapt()
    obs = np.zeros(3, np.float32)

    def searches(one: Any, recent_excess: float, first: bool) -> bool:
        _, before = one.predict(obs, None, np.array([True]))
        one.recent_excess = recent_excess
        return one.predict(obs, before, np.array([first]))[1].plan is not None

    assert searches(adaptive, LOST - 0.01, first=False)
    assert not searches(adaptive, LOST + 0.01, first=False)
    assert searches(adaptive, LOST + 0.01, first=True)  # nothing strange has happened in it yet
    assert searches(held, LOST + 0.01, first=False)  # habit does not look ahead


def test_what_cannot_adapt_says_why(trained_run: Path, make_joule: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match="lived too little"):
        AdaptiveAgent(make_joule())
    adaptive = load(trained_run).adapt()
    with pytest.raises(ConfigError, match="one body at a time"):
        adaptive.predict(np.zeros((2, 3), np.float32))
    planning = load(trained_run)
    with pytest.raises(ConfigError, match="retask"):
        planning.plan_for(joule.Task("left", lambda r: r["position"]), horizon=5).adapt()


def test_the_door_adapts_and_leaves_the_run_as_it_was(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unchecked: None
) -> None:
    def contents() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in sorted(trained_run.rglob("*")) if p.is_file()}

    made = make_env
    monkeypatch.setattr("joule.environment.make_env", lambda config: Turned(made(config)))
    before, out = contents(), tmp_path / "adapted.json"
    assert evaluate.main([str(trained_run), "--episodes", "10", "--adapt", "--out", str(out)]) == 0
    noticed = json.loads(out.read_text())["changes_noticed"]
    assert noticed[0]["new"]
    assert contents() == before


def test_the_door_refuses_an_agent_without_a_world_model(tmp_path: Path, trained_run: Path) -> None:
    from joule.commands import train

    folder = tmp_path / "zero"
    made = ["--env", tiny_env.ID, "--agent", "zero", "--steps", "10", "--no-video", "--eval-episodes", "1"]
    assert train.main([*made, "--out", str(folder)]) == 0
    assert_refused("evaluate", [str(folder), "--adapt"], "--adapt: zero has no world model")

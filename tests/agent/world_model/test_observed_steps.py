"""What calibrates the tests for a change: steps compared with predictions, and episodes in the known world."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import joule
from agent.errors import ConfigError
from agent.interface import DIVERGED_KEY
from agent.memory.portions import evenly
from agent.world_model import home_episodes
from agent.world_model.home_episodes import FIRST_HOME_SEED, SHORT_DECISIONS, play_home_episodes
from agent.world_model.observed_steps import errors_of_rows, observed_steps, remembered_steps

pytestmark = pytest.mark.usefixtures("unchecked")


def test_a_shortfall_is_the_cost_that_the_critic_did_not_expect(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    modules, networks = agent.modules, agent.modules.networks
    rng = np.random.default_rng(0)
    before, after = rng.uniform(-1, 1, (2, 2, 3)).astype(np.float32)
    action, cost = rng.uniform(-1, 1, (2, 1)).astype(np.float32), np.array([3.0, 3.0])
    found = observed_steps(
        modules, networks.world_model, before, action, cost, np.array([False, True]), after
    )

    def value(obs: np.ndarray) -> np.ndarray:
        z = modules.perceive(obs)
        with torch.no_grad():
            return networks.critic(z, networks.policy(z)).mean(-1).numpy()

    to_come = np.array([modules.discount, 0.0]) * value(after)  # nothing comes after a termination
    assert abs(to_come[0]) > 1e-2
    np.testing.assert_allclose(found.shortfall, 3.0 + to_come - value(before), rtol=1e-5)
    with torch.no_grad():
        predicted = networks.world_model.expect(modules.perceive(before), torch.from_numpy(action))
    np.testing.assert_allclose(found.error, (predicted - modules.perceive(after)).numpy(), atol=1e-6)
    assert found.terminated.tolist() == [False, True]


def test_the_errors_of_stored_rows_are_those_of_the_steps(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    modules, buffer = agent.modules, agent.modules.replay_buffer
    rows = buffer.transitions()[5:60:9]
    error, disagreement = errors_of_rows(modules, rows)
    places = buffer.place(rows)
    after, action, cost = (
        buffer.observations(buffer.after(places)),
        buffer.action[places],
        buffer.cost[places],
    )
    steps = observed_steps(
        modules, modules.networks.world_model, buffer.observations(places), action, cost, cost > np.inf, after
    )
    np.testing.assert_allclose(error, (steps.error**2).mean(-1), rtol=1e-4)
    np.testing.assert_allclose(disagreement, steps.disagreement, rtol=1e-4)


def test_remembered_steps_are_spread_over_all_that_is_remembered(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    modules, buffer = agent.modules, agent.modules.replay_buffer
    rows = evenly(buffer.transitions(), 40)
    found = remembered_steps(modules, 40)
    assert found is not None
    assert len(found) == 40
    np.testing.assert_allclose((found.error**2).mean(-1), errors_of_rows(modules, rows)[0], rtol=1e-4)
    np.testing.assert_array_equal(found.terminated, buffer.terminated[buffer.place(rows)])


class Counted:
    """Observes the step of its episode; the physics diverges in the third step of the second episode."""

    def __init__(self, ends: int) -> None:
        self.ends, self.seeds, self.steps = ends, list[int](), 0

    def reset(self, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
        self.seeds.append(seed)
        self.steps = 0
        return np.zeros(1), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        diverged = len(self.seeds) == 2 and self.steps == 3
        over = self.steps == self.ends
        return np.full(1, float(self.steps)), 0.5 * self.steps, over, False, {DIVERGED_KEY: diverged}


def play(monkeypatch: pytest.MonkeyPatch, env: Any, decisions: int) -> tuple[list[Any], np.ndarray]:
    """What is compared with predictions, and the episode of each step."""
    compared: list[Any] = []

    def kept(modules: Any, model: Any, *parts: Any) -> None:
        compared.extend(parts)

    monkeypatch.setattr(home_episodes, "observed_steps", kept)
    monkeypatch.setattr(home_episodes, "remembered_steps", lambda modules, most: None)

    def predict(obs: Any, state: Any, starts: Any, deterministic: bool) -> tuple[np.ndarray, Any]:
        assert starts.tolist() == [obs[0] == 0.0], "a state is handed on within an episode alone"
        return obs + 100.0, obs

    modules: Any = SimpleNamespace(predict=predict, networks=SimpleNamespace(world_model=None))
    home = play_home_episodes(modules, env, decisions)
    return compared, home.episode


def test_episodes_at_home_differ_and_what_diverged_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    env = Counted(ends=5)
    (before, action, cost, terminated, after), episode = play(monkeypatch, env, 13)
    assert env.seeds == [FIRST_HOME_SEED + number for number in range(3)]
    assert episode.tolist() == [0] * 5 + [1] * 2 + [2] * 5
    assert before[:, 0].tolist() == [0, 1, 2, 3, 4, 0, 1, 0, 1, 2, 3, 4]
    np.testing.assert_array_equal(after, before + 1)
    np.testing.assert_array_equal(action, before + 100)
    np.testing.assert_array_equal(cost, -0.5 * after[:, 0])
    np.testing.assert_array_equal(terminated, after[:, 0] == 5)


def test_four_in_five_episodes_at_home_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    env = Counted(ends=250)
    _, episode = play(monkeypatch, env, 1_200)
    lengths = np.bincount(episode).tolist()
    assert lengths[:6] == [250, 2, SHORT_DECISIONS, SHORT_DECISIONS, SHORT_DECISIONS, 250]


def test_a_home_in_which_every_step_diverges_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    env: Any = Counted(ends=5)
    monkeypatch.setattr(env, "step", lambda _: (np.ones(1), 0.0, False, True, {DIVERGED_KEY: True}))
    with pytest.raises(ConfigError, match="the physics diverged in every decision"):
        play(monkeypatch, env, 5)

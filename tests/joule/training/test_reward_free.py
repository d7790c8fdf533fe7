"""A run that learns perception and dynamics without rewards, by the command line."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from run_comparison import assert_same_run
from run_files import table

import envs
import joule
from agent.agent import WorldModelAgent
from agent.errors import ConfigError
from agent.learning.undirected import smooth_action
from joule.commands import train
from joule.storage.loading import apply_task
from joule.training.coverage import Exploring, coverage, explored
from joule.training.evaluation import Evaluator

pytestmark = pytest.mark.usefixtures("unchecked")

AtFrame = Callable[[int | None, Callable[[], Any]], None]


class Killed(BaseException):
    """Stands for the end of the process."""


def die() -> None:
    raise Killed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "more"), [("disagreement", ["--learning.inverse-weight", "0.5"]), ("smooth", [])]
)
def test_it_explores_and_can_be_killed(
    kind: str, more: list[str], brief_options: Callable[..., list[str]], at_frame: AtFrame, tmp_path: Path
) -> None:
    command = [*brief_options(), "--reward", "none", "--explore.kind", kind, *more]
    assert train.main([*command, "--out", str(tmp_path / "whole")]) == 0
    assert not (tmp_path / "whole" / "evaluations.csv").exists()
    rows = [row for row in table(tmp_path / "whole" / "metrics.csv") if row["explore/coverage"]]
    assert [row["frames"] for row in rows] == ["40", "80", "90"]
    assert all(float(row["explore/coverage_random"]) > 0 for row in rows)
    at_frame(47, die)
    with pytest.raises(Killed):
        train.main([*command, "--out", str(tmp_path / "killed")])
    at_frame(None, die)
    assert train.main(["--resume", str(tmp_path / "killed")]) == 0
    assert_same_run(tmp_path / "whole", tmp_path / "killed")
    agent = joule.load(tmp_path / "killed")
    assert isinstance(agent, WorldModelAgent)
    buffer = agent.modules.replay_buffer
    assert (buffer.cost[buffer.place(buffer.transitions())] < 0).any()  # recorded, and not used
    agent.plan_for("less:distance")
    with pytest.raises(ConfigError, match="learned without rewards"):
        agent.learn_task("own", updates=1)
    agent.learn_task("less:distance", updates=2)
    assert agent.config.reward == "env"


def test_rewards_change_nothing(make_agent: Callable[..., Any]) -> None:
    weights = []
    for sign in (1.0, -5.0):
        agent = make_agent(reward="none", explore__warmup_decisions=20, learning__pretrain_updates=5)
        add = agent.modules.replay_buffer.streams[0].add
        agent.modules.replay_buffer.streams[0].add = lambda a, r, *rest, add=add, sign=sign: add(
            a, sign * r, *rest
        )
        agent.learn(30)
        weights.append(agent.modules.networks.to_arrays())
    for name, value in weights[0].items():
        np.testing.assert_array_equal(value, weights[1][name], err_msg=name)


def test_it_does_not_act_for_the_reward(make_agent: Callable[..., Any]) -> None:
    agent = make_agent(reward="none", explore__warmup_decisions=20, learning__pretrain_updates=5)
    agent.learn(30)
    with pytest.raises(ConfigError, match="learned without rewards"):
        apply_task(agent, "own", None, None)
    assert apply_task(agent, "less:distance", None, None).task == "less:distance"


def test_neither_costs_nor_the_critic_shape_the_latent(make_agent: Callable[..., Any]) -> None:
    agent = make_agent(reward="none", explore__warmup_decisions=20, learning__pretrain_updates=0)
    agent.learn(30)
    learner, modules = agent.modules.learner, agent.modules
    windows = modules.replay_buffer.sample(16, 5, modules.rng)
    batch = learner.batch_of(windows)
    losses = learner.autograd.losses(batch, *learner.autograd.predict(batch, 1.0, False))
    for shapes, term in (
        (True, losses.prediction),
        (False, losses.cost + losses.critic + losses.termination),
    ):
        modules.networks.zero_grad()
        term.backward(retain_graph=True)
        for part in (modules.networks.encoder, modules.networks.world_model.trunk):
            assert any(p.grad is not None and bool(p.grad.any()) for p in part.parameters()) is shapes


@pytest.mark.slow
def test_what_was_explored_serves_a_task(brief_options: Callable[..., list[str]], tmp_path: Path) -> None:
    free, then = tmp_path / "free", tmp_path / "then"
    assert (
        train.main([*brief_options(), "--reward", "none", "--explore.kind", "random", "--out", str(free)])
        == 0
    )
    assert train.main(["--init-from", str(free), "--steps", "10", "--out", str(then)]) == 0
    agent = joule.load(then)
    assert isinstance(agent, WorldModelAgent)
    assert (agent.config.reward, agent.modules.replay_buffer.held) == ("env", 100)
    assert float(agent.modules.networks.scales.count) >= 90  # the recorded rewards are learned from


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--explore.kind", "smooth"], "explore.kind: says what acts where there is no reward"),
        (["--reward", "none", "--task", "less:distance"], "task: found"),
        (["--reward", "none", "--eval-process"], "eval_process: found True"),
        (["--reward", "none", "--agent", "sac"], "sac"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    more: list[str], message: str, brief_options: Callable[..., list[str]], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        train.main([*brief_options(), *more, "--out", str(tmp_path / "run")])
    assert not (tmp_path / "run").exists()


def test_coverage_counts_cells() -> None:
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(500, 3))
    still, wide = np.zeros((500, 3)), 5.0 * reference
    assert coverage(still, reference) == 1.0
    assert coverage(wide, reference) > 2 * coverage(reference, reference)


def test_an_episode_that_ends_takes_its_actions_with_it(make_agent: Callable[..., Any]) -> None:
    agent = make_agent(reward="none", explore__kind="smooth")

    def explored(kept: list[bool]) -> list[np.ndarray]:
        watched = Exploring(agent)
        first, state = watched.predict(np.zeros((3, 1)), None, np.ones(3, bool))
        state = state.rows(np.array(kept))
        rest, _ = watched.predict(np.zeros((sum(kept), 1)), state, np.zeros(sum(kept), bool))
        again, _ = watched.predict(np.zeros((3, 1)), None, np.ones(3, bool))
        assert not np.array_equal(first, again), "the next group has others"
        return list(rest)

    whole, left = explored([True, True, True]), explored([False, True, True])
    np.testing.assert_array_equal(whole[1:], left)


def test_smooth_actions_are_correlated_in_time() -> None:
    actions = np.stack([[smooth_action((1, e), t, 2) for t in range(60)] for e in range(20)])
    assert np.abs(actions).max() <= 1.0
    assert np.corrcoef(actions[:, 1:].ravel(), actions[:, :-1].ravel())[0, 1] > 0.7


class Short(gymnasium.Env[np.ndarray, np.ndarray]):
    """An episode of two decisions, of at most 1,000."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        self.left = 2
        return np.zeros(2, np.float32), {}

    def step(self, action: np.ndarray) -> Any:
        self.left -= 1
        return action.astype(np.float32), 0.0, self.left == 0, False, {}


def test_coverage_reads_every_episode_however_short_and_each_has_actions_of_its_own(
    make_agent: Callable[..., Any],
) -> None:
    gymnasium.register("joule-tests/Short-v0", lambda **_: Short(), max_episode_steps=1_000)
    try:
        agent = make_agent(env="joule-tests/Short-v0", reward="none", explore__kind="random")
        evaluator = Evaluator(partial(envs.make, "joule-tests/Short-v0"), 40, read=True)
        with contextlib.closing(evaluator):
            played = evaluator(Exploring(agent))
            found = explored(evaluator, agent, Exploring(agent))
    finally:
        del gymnasium.registry["joule-tests/Short-v0"]
    assert played.read_steps is not None
    assert len(np.unique(played.read_steps.readouts, axis=0)) == 40
    assert found.coverage > 1.0

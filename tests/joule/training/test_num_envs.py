"""Several environments side by side: the agent learns, keeps their streams apart, and is resumed exactly."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import ending_env
import numpy as np
import pytest
import tiny_env
from run_comparison import assert_same_run, assert_same_state

import envs
import joule
from agent.errors import ConfigError, StopRun
from envs.vector import SafeEnvs
from joule.commands import train
from joule.environment import make_env
from joule.training.evaluation import evaluate
from joule.training.trainer import Trainer
from joule.training_envs import make_envs

pytestmark = pytest.mark.usefixtures("unchecked")

Make = Callable[..., Any]
COUNTER = "counter_env:Counter-v0"
BRIEF = {"explore__warmup_decisions": 30, "learning__pretrain_updates": 5, "learning__batch_size": 16}
BRIEF_BY_NAME = {name.replace("__", "."): value for name, value in BRIEF.items()}


def side_by_side(count: int, env: str = tiny_env.ID) -> SafeEnvs:
    return SafeEnvs([partial(envs.make, env)] * count)


@pytest.mark.slow
def test_an_agent_learns_in_three_environments_as_in_one(make_agent: Make, trained_run: Path) -> None:
    agent = make_agent(side_by_side(3), num_envs=3, explore__curiosity=0.0)
    untrained = evaluate(agent, lambda: envs.make(tiny_env.ID), 10).mean
    agent.learn(400)
    assert (agent.frames, agent.decisions, agent.episodes) == (402, 402, 15)
    in_three = evaluate(agent, lambda: envs.make(tiny_env.ID), 10).mean
    in_one = evaluate(joule.load(trained_run), lambda: envs.make(tiny_env.ID), 10).mean
    assert untrained < 15
    assert min(in_three, in_one) > 18
    assert in_three == pytest.approx(in_one, abs=4)


@pytest.mark.slow
def test_the_replay_of_three_environments_holds_three_streams(make_agent: Make) -> None:
    agent = make_agent(side_by_side(3, ending_env.ID), env=ending_env.ID, num_envs=3, **BRIEF)
    agent.learn(120)
    streams = [rows.since(rows.first) for rows in agent.replay]
    assert len(streams) == 3
    transitions = [int((~rows["last"]).sum()) for rows in streams]
    # The newest row of a stream is not final: where its episode is open, its transition is not there yet.
    assert transitions == [40, 40, 40]
    assert sum(int(rows["last"].sum()) for rows in streams) > 3, "episodes end"
    first_goals = {float(rows["obs"][0, 2]) for rows in streams}
    assert len(first_goals) == 3, "environments begin with different seeds"
    for rows in streams:
        goal, last = rows["obs"][:, 2], rows["last"]
        np.testing.assert_array_equal(goal[1:] == goal[:-1], ~last[:-1])  # one goal an episode, in order


def test_no_row_of_a_budget_is_overwritten_where_episodes_have_one_step(make_agent: Make) -> None:
    def counters(*lengths: int) -> SafeEnvs:
        return SafeEnvs([partial(envs.make, COUNTER, kwargs={"terminate_at": length}) for length in lengths])

    collecting = {"env": COUNTER, "explore__warmup_decisions": 1_000}
    seven = make_agent(counters(*[1] * 7), num_envs=7, steps=8, **collecting).learn(8)
    assert [(rows.first, rows.total) for rows in seven.replay] == [(0, 3)] * 7
    # The streams may be of very different lengths when learning continues.
    two = make_agent(counters(1, 10), num_envs=2, steps=2, **collecting).learn(100).learn(100)
    assert [(rows.first, rows.total) for rows in two.replay] == [(0, 199), (0, 109)]


def test_one_environment_side_by_side_is_one_environment(make_agent: Make) -> None:
    single = make_agent(envs.make(ending_env.ID), env=ending_env.ID, **BRIEF).learn(90)
    several = make_agent(side_by_side(1, ending_env.ID), env=ending_env.ID, **BRIEF).learn(90)
    assert single.episodes > 2
    assert_same_state(single, several)
    assert isinstance(make_envs(single.config), envs.SafeEnv)


class Killed(BaseException):
    """Stands for the end of the process."""


def die() -> None:
    raise Killed


@pytest.fixture
def whole(brief_options: Make, runs: Path) -> Path:
    """A run in three environments that nothing interrupted. Read-only."""
    folder = runs / "three-envs"
    if not folder.exists():
        assert train.main([*brief_options(env=ending_env.ID, num_envs=3), "--out", str(folder)]) == 0
    return folder


# In mid-episode; in warm-up; after a checkpoint at frame 60.
@pytest.mark.parametrize(
    "frame", [48, pytest.param(21, marks=pytest.mark.slow), pytest.param(75, marks=pytest.mark.slow)]
)
def test_a_killed_run_in_three_environments_is_resumed_exactly(
    whole: Path, frame: int, brief_options: Make, at_frame: Make, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    assert joule.load(whole).episodes > 3
    at_frame(frame, die)
    with pytest.raises(Killed):
        train.main([*brief_options(env=ending_env.ID, num_envs=3), "--out", str(folder)])
    at_frame(None, die)
    assert train.main(["--resume", str(folder)]) == 0
    assert_same_run(whole, folder)


def test_a_run_keeps_its_number_of_environments(whole: Path) -> None:
    why = "num_envs: the replay of this run has a stream for each of 3 environments, not 2"
    with pytest.raises(ConfigError, match=why):
        train.main(["--resume", str(whole), "--num-envs", "2", "--steps", "120", "--override"])
    with pytest.raises(ConfigError, match=why):
        joule.load(whole, settings={"num_envs": 2})


@pytest.mark.slow
def test_a_resume_is_exact_where_streams_have_overwritten_rows(
    make_agent: Make, training: Callable[..., Trainer]
) -> None:
    changes = {"env": ending_env.ID, "num_envs": 3, "learning__replay_capacity_transitions": 40}
    whole = training(**changes)
    assert whole.train() is None
    whole.run.close()
    assert [rows.total - rows.first < rows.total for rows in whole.agent.replay] == [True] * 3
    whole.run.folder.rename(whole.run.folder.with_name("whole"))
    first = training(**changes)
    first.agent.learn(66, on_step=first.on_step)
    first.save(unfinished_since=63)
    second = training(first.run.folder, **changes)
    assert second.resume() == []
    assert second.train() is None
    assert_same_state(whole.agent, second.agent)


@pytest.mark.slow
def test_processes_give_the_same_run_as_environments_in_turn(
    whole: Path, brief_options: Make, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    arguments = brief_options(env=ending_env.ID, num_envs=3, vector_mode="async")
    assert train.main([*arguments, "--out", str(folder)]) == 0
    assert_same_run(whole, folder)


@pytest.mark.slow
def test_processes_end_with_a_session_and_the_agent_continues_in_others(tmp_path: Path) -> None:
    def processes() -> int:
        return len(set(multiprocessing.active_children()) - before)

    class Failing(joule.Callback):
        def on_checkpoint(self, frames: int) -> None:
            assert processes() == 2
            raise OSError("the display is on fire")

    before = set(multiprocessing.active_children())
    with pytest.raises(StopRun, match=r"callback Failing raised OSError in on_checkpoint: .* on fire"):
        joule.train(
            env=ending_env.ID, num_envs=2, vector_mode="async", steps=40, video=False, eval_episodes=1,
            out=tmp_path / "run", settings=BRIEF_BY_NAME, callbacks=[Failing()],
        )  # fmt: skip
    assert processes() == 0
    run = joule.train(resume=tmp_path / "run", steps=50, progress=False)
    assert processes() == 0
    run.agent.learn(20)
    assert (run.agent.frames, processes()) == (70, 2)
    run.agent.env.close()  # type: ignore[union-attr]


@pytest.mark.slow
def test_processes_are_resumed_at_the_start_of_their_episodes(training: Callable[..., Trainer]) -> None:
    changes = {"env": ending_env.ID, "num_envs": 2, "vector_mode": "async"}
    first = training(**changes)
    first.agent.learn(45, on_step=first.on_step)
    first.save(unfinished_since=44)
    first.agent.env.close()  # type: ignore[union-attr]
    second = training(first.run.folder, **changes)
    (note,) = second.resume()
    assert "not exact" in note
    assert second.run.counters["inexact_resumes"] == 1
    assert second.train() is None
    assert second.agent.frames == 90
    second.agent.env.close()  # type: ignore[union-attr]


def test_another_number_of_environments_is_refused(make_agent: Make, tmp_path: Path) -> None:
    agent = make_agent(side_by_side(2), num_envs=2, **BRIEF)
    with pytest.raises(ConfigError, match="3 environments were handed in, and num_envs is 2"):
        agent.learn(3, side_by_side(3))
    with pytest.raises(ConfigError, match="1 environment was handed in, and num_envs is 2"):
        agent.learn(3, make_env(tiny_env.ID))
    wrong = make_agent(side_by_side(3), num_envs=2, **BRIEF)
    with pytest.raises(ConfigError, match="3 environments were handed in, and num_envs is 2"):
        wrong.learn(3)

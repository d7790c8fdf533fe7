"""A film of an agent with a goal shows the goal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import picture_env
import pytest

import envs
import joule
from envs.rendering.opengl import ensure_gl
from joule.filming.goal_view import GoalGhostView, SeenGoalView, beside, with_goal
from joule.filming.recording import record
from joule.filming.views import GhostView, PlainView, imagination_view

Make = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("unchecked")
DRAWN = pytest.mark.skipif(ensure_gl() is not None, reason="no OpenGL library")
FEW = {"explore__warmup_decisions": 30, "learning__pretrain_updates": 2, "steps": 60}


def seeing(make_agent: Make) -> tuple[Any, Any]:
    """An agent that observes pictures and remembers some, and its environment."""
    env = envs.make(picture_env.ID, kwargs={"side": 16}, render_mode="rgb_array")
    agent = make_agent(env, env=picture_env.ID, learning__batch_size=8, **FEW)
    agent.learn(40)
    return agent, env


def test_an_agent_that_sees_is_filmed_beside_its_goal_its_view_and_its_prediction(
    make_agent: Make, tmp_path: Path
) -> None:
    agent, env = seeing(make_agent)
    goal, _ = env.reset(seed=77)
    agent.plan_for(joule.Goal(goal))
    view, why = with_goal(agent, env, PlainView(env), 0.05)
    assert why is None
    assert isinstance(view, SeenGoalView)
    obs, _ = env.reset(seed=1)
    view.begin(0)
    action, state = agent.predict(obs)
    view.decided(obs, action, state)
    np.testing.assert_array_equal(view.goal, np.repeat(np.asarray(goal)[-1:].transpose(1, 2, 0), 3, 2))
    picture, ahead = view.nearest_to_goal(state)
    memory = agent.modules.replay_buffer.observations(agent.modules.replay_buffer.filled())
    assert any(np.array_equal(picture[:, :, 0], rows[-1]) for rows in memory)
    assert 1 <= ahead <= state.plan.actions.shape[1]
    drawn = env.render()
    assert view.picture().shape[1] > drawn.shape[1]
    assert iio.imread(record(agent, env, tmp_path / "film.mp4", seed=1)).shape[0] == picture_env.EPISODE + 1


@DRAWN
def test_a_ghost_has_the_pose_of_the_goal_and_an_imagined_one_stays(make_agent: Make) -> None:
    name = "InvertedPendulum-v5"
    env = envs.make(name, render_mode="rgb_array", width=160, height=120)
    agent = make_agent(env, env=name, **FEW)
    agent.learn(60)
    env.reset(seed=3)
    for _ in range(5):
        goal, *_ = env.step(np.ones(1, np.float32))
    agent.plan_for(joule.Goal(goal, name="aside"))
    env.reset(seed=3)
    ghost_view = imagination_view(agent, env, 0.04)
    assert isinstance(ghost_view, GhostView)
    for inner in (PlainView(env), ghost_view):
        view, why = with_goal(agent, env, inner, 0.04)
        if why is not None:  # two updates may not have taught it to read a pose
            view = _ghost_of(agent, ghost_view, inner)
        assert isinstance(view, GoalGhostView)
        view.readable[:] = True
        view.goal[:] = [0.5, 0.3]
        view.begin(0)
        plain = inner.picture().astype(int)
        green = (view.picture().astype(int) - plain)[:90]  # above the caption
        assert green[..., 1].max() > 40, "the ghost is where the robot is not"


def _ghost_of(agent: Any, ghost_view: GhostView, inner: Any) -> GoalGhostView:
    ghost, poses = ghost_view.ghost, ghost_view.predicted_poses
    return GoalGhostView(agent, ghost_view.env, ghost, poses, agent.modules.task_cost, inner)


def test_an_agent_without_a_goal_is_filmed_as_before(make_agent: Make) -> None:
    env = envs.make(picture_env.ID, kwargs={"side": 16}, render_mode="rgb_array")
    view = PlainView(env)
    assert with_goal(make_agent(env, env=picture_env.ID), env, view, 0.05) == (view, None)


def test_pictures_beside_a_frame_keep_it_and_their_shapes() -> None:
    frame = np.full((90, 120, 3), 7, np.uint8)
    sheet = beside(frame, [(np.full((8, 16, 3), 200, np.uint8), "goal"), (None, "the agent sees")])
    np.testing.assert_array_equal(sheet[:, :120], frame)
    bright = (sheet[:45, 120:] == 200).all(-1)
    height, width = bright.any(1).sum(), bright.any(0).sum()
    assert width == pytest.approx(2 * height, abs=1)
    assert sheet.shape[1] % 2 == 0

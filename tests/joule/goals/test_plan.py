"""How plans for one goal are asked for, on the command line and in Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import assert_refused

import joule
from agent.cost.goal import Goal
from agent.cost.goal_cost import READOUT_DISTANCE
from agent.errors import ConfigError
from joule.cli.options import given_settings
from joule.commands import evaluate, render
from joule.goals.plan import OF_PLANS, GoalPlan
from joule.output_names import name_parts
from joule.trained import Request

pytestmark = pytest.mark.usefixtures("unchecked")
BY_READOUTS = ["--goal-energy", "readouts", "--goal-within", "position=0.1", "--goal-within", "distance=2"]


def test_a_command_plans_for_a_goal_as_it_is_told(trained_run: Path) -> None:
    words = [str(trained_run), "--goal", "readout:position=0.5", *BY_READOUTS]
    for command in (evaluate, render):
        given = given_settings(command.parser(words).parse(words))
        asked = {name: given[name] for name in OF_PLANS if name in given}
        assert asked == {"goal_energy": "readouts", "goal_within": {"position": 0.1, "distance": 2.0}}
    agent: Any = Request(trained_run, given).load().world_model
    (distance,) = agent.modules.task_cost.distances.items()
    assert distance[0] == READOUT_DISTANCE
    assert distance[1].within == {"position": 0.1, "distance": 2.0}
    assert agent.modules.actor.horizon == agent.env_spec.episode_limit  # plans by readouts look far ahead
    assert "goal-within-position-0.1-distance-2.0" in "-".join(name_parts(given))


def test_sub_goals_lie_as_far_ahead_as_is_asked_for(trained_run: Path) -> None:
    for ahead in (0, 3):
        request = Request(trained_run, {"goal": "episode:0@1", "sub_goal_decisions": ahead})
        agent: Any = request.load().world_model
        assert (agent.modules.task_cost.target._route is None) == (ahead == 0)


def test_the_environment_says_which_readouts_count() -> None:
    goal = Goal(np.zeros(1), name="readout:block=0")
    assert GoalPlan("readouts").applied(goal, lambda: {"block": 0.03}).within == {"block": 0.03}
    with pytest.raises(ConfigError, match="readouts needs those that count; add --goal-within"):
        GoalPlan("readouts").applied(goal, dict)
    assert GoalPlan().applied(goal, dict) == goal


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--goal-energy", "latent"], "--goal-energy: is for reaching goals; add --goal or --goals"),
        (["--sub-goal-decisions", "3"], "--sub-goal-decisions: is for reaching goals; add --goal or --goals"),
        (["--goal", "episode:0@1", "--goal-within", "position=1"], "add --goal-energy readouts"),
        (["--goal", "episode:0@1", "--goal-energy", "readouts"], "needs those that count; add --goal-within"),
        (["--goal", "episode:0@1", "--goal-energy", "steps"], "is learned by --learn-goals; add"),
        (["--goal", "episode:0@1", *BY_READOUTS, "--goal-within", "place=1"], "'place' is no readout"),
    ],
)
def test_what_does_not_go_together_is_refused(trained_run: Path, options: list[str], message: str) -> None:
    assert_refused("evaluate", [str(trained_run), *options], message)


def test_films_and_explanations_refuse_it_too(trained_run: Path) -> None:
    for command, more in (("render", []), ("explain", ["--step", "3"])):
        words = [str(trained_run), *more, "--goal-energy", "latent"]
        assert_refused(command, words, "--goal-energy: is for reaching a goal; add --goal")


def test_a_goal_in_python_says_itself_how_it_is_planned_for(trained_run: Path) -> None:
    with pytest.raises(ConfigError, match=r"goal_energy: a joule\.Goal says itself how it is planned for"):
        joule.evaluate(trained_run, 1, goal=Goal(np.zeros(2)), goal_energy="latent")
    with pytest.raises(ConfigError, match="goal_energy: 'nearest' is none of auto, latent"):
        joule.evaluate(trained_run, 1, goal="episode:0@1", goal_energy="nearest")

"""How plans for one goal are asked for, on the command line and in Python."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import assert_refused

import joule
from agent.configurator.settings import Config
from agent.cost.goal import Goal
from agent.cost.goal_cost import READOUT_DISTANCE
from agent.cost.readouts import TaskError
from agent.errors import ConfigError
from joule.cli.options import given_settings
from joule.commands import evaluate, render
from joule.goals.asked import AskedGoal
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
    assert name_parts({"env_kwargs": {"layout": "long"}}) == ["env-kwargs--layout-long"]
    assert name_parts({"env": "/home/me/arm.xml"}) == ["env-arm.xml"]
    assert "goal-within-distance-2-position-0.1" in "-".join(name_parts(given))


def test_sub_goals_lie_as_far_ahead_as_is_asked_for(run: Path) -> None:
    for ahead in (0, 3):
        record = joule.evaluate(run, 1, goal="episode:0@1", sub_goal_decisions=ahead)
        assert [record[name] for name in OF_PLANS] == ["latent", None, ahead]


def test_records_say_how_a_goal_is_planned_for(run: Path) -> None:
    asked: dict[str, Any] = {"goal_energy": "readouts", "goal_within": {"position": 1}}
    record = joule.explain(run, 2, goal="episode:0@1", **asked)
    assert [record[name] for name in OF_PLANS] == ["readouts", {"position": 1}, 0]
    assert "for the goal episode:0@1 by readouts (position within 1)" in record.text
    assert [joule.evaluate(run, 1)[name] for name in OF_PLANS] == [None] * 3


def test_the_environment_says_which_readouts_count() -> None:
    goal = Goal(np.zeros(1), name="readout:block=0")
    assert GoalPlan("readouts").applied(goal, "E", lambda: {"block": 0.03}).within == {"block": 0.03}
    with pytest.raises(ConfigError, match="and E names none; add --goal-within NAME=DISTANCE"):
        GoalPlan("readouts").applied(goal, "E", dict)


def test_a_goal_in_python_stays_as_it_is(run: Path) -> None:
    goal = Goal(np.zeros(3, np.float32), "readouts", within={"position": 0.1})
    assert GoalPlan().applied(goal, "E", dict) is goal
    record = joule.evaluate(run, 1, goal=goal)
    assert [record[name] for name in OF_PLANS] == ["readouts", {"position": 0.1}, 0]
    with pytest.raises(ConfigError, match=r"--goal-energy: a joule\.Goal says itself how it is planned for"):
        joule.evaluate(run, 1, goal=goal, goal_energy="latent")
    with pytest.raises(TaskError, match="goal: 'place' is no readout"):
        joule.evaluate(
            run,
            1,
            goal=Goal(np.zeros(3, np.float32), "readouts", within={"place": 1}),
            learn_goals=10**9,
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--goal-energy", "latent"], "--goal-energy: is for reaching goals; add --goal or --goals"),
        (["--sub-goal-decisions", "3"], "--sub-goal-decisions: is for reaching goals; add --goal or --goals"),
        (["--goal", "episode:0@1", "--goal-within", "position=1"], "add --goal-energy readouts"),
        (
            ["--goal", "episode:0@1", "--goal-energy", "readouts"],
            "names none; add --goal-within NAME=DISTANCE",
        ),
        (["--goal", "episode:0@1", "--goal-energy", "steps"], "is learned by --learn-goals; add"),
        (
            ["--goal", "episode:0@1", *BY_READOUTS, "--goal-within", "place=1", "--learn-goals", "999999999"],
            "--goal-within: 'place' is no readout",
        ),
        (["--goal-energy", "latent", "--goal-energy", "steps"], "--goal-energy: found 'latent' and 'steps'"),
    ],
)
def test_what_does_not_go_together_is_refused(trained_run: Path, options: list[str], message: str) -> None:
    assert_refused("evaluate", [str(trained_run), *options], message)


def test_films_and_explanations_refuse_it_too(trained_run: Path) -> None:
    for command, more in (("render", []), ("explain", ["--step", "3"])):
        words = [str(trained_run), *more, "--goal-energy", "latent"]
        assert_refused(command, words, "--goal-energy: is for reaching a goal; add --goal")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"goal_energy": "nearest"}, "--goal-energy: 'nearest' is none of auto, latent"),
        ({"goal_energy": np.array(["latent", "x"])}, "--goal-energy: array"),
        ({"goal_energy": "readouts", "goal_within": {}}, "--goal-within: found no readout"),
        ({"goal_energy": "readouts", "goal_within": {"position": "1"}}, "--goal-within: position has '1'"),
        ({"goal": None, "goal_within": {"position": 1}}, "--goal-within: is for reaching a goal; add --goal"),
        ({"energy": "latent"}, "did you mean goal_energy?"),
        ({"goal_energy": "readouts", "sub_goal_decisions": 7}, "plans by readouts have no sub-goals"),
        (
            {"goal_energy": "latent", "settings": {"planner.kind": "policy"}, "learn_goals": 1},
            "--goal-energy: --planner.kind policy does not plan",
        ),
    ],
)
def test_what_python_gives_is_checked(run: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        joule.evaluate(run, 1, **{"goal": "episode:0@1", **given})


def test_an_evaluation_of_goals_has_arguments_of_its_own(run: Path) -> None:
    asked: dict[str, Any] = {"within": {"position": 1}}
    with pytest.raises(ConfigError, match=r"goal_energy: is of one goal.* give the argument energy"):
        joule.evaluate_goals(run, 1, goal_energy="latent", **asked)
    with pytest.raises(
        ConfigError, match="goal: is of one goal, and evaluate_goals finds its own; leave it out"
    ):
        joule.evaluate_goals(run, 1, goal="episode:0@1", **asked)
    options = {
        "goal_decisions": "decisions", "goal_oracle": "oracle", "goal_data": "recording", "goal_offset": "offset",
        "goals": "pairs",
    }  # fmt: skip
    for option, argument in options.items():
        with pytest.raises(ConfigError, match=f"^{option}: is neither .*; did you mean {argument}\\?$"):
            joule.evaluate_goals(run, 1, **dict[str, Any]({option: 5}))
    with pytest.raises(ConfigError, match="plans by readouts have no sub-goals; leave it out"):
        joule.evaluate_goals(run, 1, energy="readouts", sub_goal_decisions=7, **asked)


def test_an_agent_in_memory_and_one_without_a_world_model_are_told_what_to_do_first(
    trained_run: Path,
) -> None:
    with pytest.raises(ConfigError, match="goal_energy: an agent in memory keeps what it plans for"):
        joule.evaluate(joule.load(trained_run), 1, goal_energy="latent")
    asked = AskedGoal(None, None, GoalPlan("latent"))
    with pytest.raises(ConfigError, match="--goal-energy: sac has no world model that plans for a goal"):
        asked.check(Config(agent="sac"), adapts=False, has_task=False, several=False)

"""A trained agent within constraints: it keeps them, saves them, and never loses them silently."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import assert_refused

import joule
from agent.cost.constraint import Constraint, parse_constraint
from agent.cost.readouts import TaskError
from agent.cost.task import Task
from agent.cost.task_text import parse
from agent.errors import ConfigError
from joule.environment import make_env
from joule_errors import Advice

pytestmark = pytest.mark.usefixtures("unchecked")


def violating(run: Path, *constraints: str) -> float:
    """Share of decisions after which the position is above 0.2, in episodes that start below 0."""
    changes = {"constraint": constraints, "planner.horizon_decisions": 4}
    agent = joule.load(run, settings=changes)
    envs = [make_env(agent.config) for _ in range(12)]
    obs = np.stack([env.reset(seed=10_000 + k)[0] for k, env in enumerate(envs)])
    left = obs[:, 0] <= 0.0
    found, state = [], None
    for step in range(25):
        actions, state = agent.predict(obs, state, np.full(len(envs), step == 0))
        obs = np.stack([env.step(action)[0] for env, action in zip(envs, actions, strict=True)])
        found.append(obs[left, 0] > 0.2)
    return float(np.mean(found))


def test_an_agent_keeps_a_constraint_that_its_reward_opposes(trained_run: Path) -> None:
    assert violating(trained_run) > 0.1
    assert violating(trained_run, "position<0.1") < 0.03  # the model errs by a few hundredths


def test_constraints_are_set_and_removed_on_a_live_agent(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    agent.constrain(Constraint("left", lambda r: r["position"]))
    _, state = agent.predict(np.array([1.0, 0.0, 0.0], np.float32))
    assert agent.explain(state)["constraint"][0] > 1e9
    assert "constraint" not in agent.constrain().explain(state)
    assert_refused(
        "evaluate", [str(trained_run), "--constraint", "position?2"], "is no limit such as speed<2"
    )


def test_a_limit_on_what_the_agent_cannot_read_says_so(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    agent.modules.networks.readout[-1].weight.data.zero_()
    with pytest.warns(
        Advice,
        match=r"^constraint position<0.5 acts on what .*position \(R² -?0\.\d\d in its memory\); none is",
    ):
        agent.constrain(parse_constraint("position<0.5"))
    with pytest.warns(Advice, match="^task more position acts on what this agent cannot read"):
        agent.plan_for(parse("more:position"))


def test_a_task_for_which_a_fall_is_cheapest_says_so(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    far = Task("far", lambda r: r["position"].abs())
    with warnings.catch_warnings():
        warnings.simplefilter("error", Advice)
        agent.plan_for(far)  # nothing ever terminated
        agent.modules.terminations = 1
        agent.plan_for("own")
        agent.plan_for(Task("near", lambda r: r["position"].abs() - 10.0))
        agent.plan_for("track:position=0+10*alive")
    with pytest.warns(Advice, match="^task far: its cost is never below 0 .* cheapest plan ends the episode"):
        agent.plan_for(far)


def test_planning_for_nothing_else_is_planning_as_learned(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    obs = np.array([1.0, 0.0, 0.0], np.float32)
    learned, _ = agent.predict(obs)
    agent.plan_for("less:position")
    assert "critic" not in agent.explain(agent.predict(obs)[1])
    again, state = agent.plan_for(None).predict(obs)
    np.testing.assert_array_equal(again, learned)
    assert ("critic" in agent.explain(state), agent.planned_for) == (True, "")
    with pytest.raises(ConfigError, match="horizon_decisions is that of a task"):
        agent.plan_for(None, horizon_decisions=5)


def test_a_cost_that_is_never_finite_is_refused_when_it_is_set(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    with pytest.raises(TaskError, match="task 'root' is finite on none of the 200 newest steps"):
        agent.plan_for(Task("root", lambda r: (r["position"] * 0.0 - 1.0).sqrt()))
    with pytest.raises(TaskError, match="constraint 'root' is finite on none"):
        agent.constrain(Constraint("root", lambda r: (r["position"] * 0.0 - 1.0).log()))
    agent.plan_for(Task("half", lambda r: (r["position"] * 1e9).sqrt()))  # on some steps it is none


def test_a_constraint_is_saved_with_its_agent(trained_run: Path, tmp_path: Path) -> None:
    agent: Any = joule.load(trained_run)
    agent.constrain(parse_constraint("position<0.5")).save(tmp_path / "text")
    loaded: Any = joule.load(tmp_path / "text")
    assert [one.name for one in loaded.modules.constraint_cost.constraints] == ["position<0.5"]
    agent.constrain(Constraint("left", lambda r: r["position"])).save(tmp_path / "function")
    with pytest.raises(ConfigError, match="'left' was a function in Python"):
        joule.load(tmp_path / "function")
    free: Any = joule.load(tmp_path / "function", settings={"constraint": ()})
    assert free.modules.constraint_cost is None


def test_what_has_explored_plans_within_constraints_is_saved_and_does_not_explore_with_them(
    make_agent: Any, tmp_path: Path
) -> None:
    agent = make_agent(reward="none", explore__warmup_decisions=40, learning__batch_size=16)
    agent.learn(60)
    agent.constrain("position<1.5").plan_for("less:position")
    agent.predict(np.zeros(3, np.float32))
    agent.save(tmp_path / "free")
    loaded: Any = joule.load(tmp_path / "free")
    assert loaded.config.constraint == ("position<1.5",)
    assert joule.evaluate(tmp_path / "free", 1, task="less:position")["task"] == "less:position"
    with pytest.raises(ConfigError, match="--reward none only explores, where no constraint is kept"):
        loaded.learn(1)
    loaded.constrain().learn(1)


def test_a_constraint_that_was_learned_is_charged_for_once(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    agent.constrain("position<0.5").learn_constraints(1)
    charged = agent.config.task
    assert charged.startswith("own+20*keep:position<")
    assert agent.learn_constraints(1).config.task == charged
    agent.constrain("position<0.5", "position>-2").learn_constraints(1)
    assert agent.config.task.startswith(f"{charged}+20*keep:position>")


@pytest.mark.parametrize(
    ("task", "unknown"),
    [
        ("own+20*keep:position<0.5", False),
        ("own+0*keep:position<0.5", True),
        ("own+-1*keep:position<0.5", True),
        ("own", True),
    ],
)
def test_planning_starts_from_the_policy_only_where_it_was_charged_for_the_constraint(
    trained_run: Path, task: str, unknown: bool
) -> None:
    agent: Any = joule.load(trained_run)
    agent.configurator.learn_task(parse(task), updates=1)
    agent.constrain(parse_constraint("position<0.5"))
    assert agent.modules.task_unknown_to_policy() is unknown


def test_a_policy_that_reaches_goals_was_not_charged_for_a_constraint(make_agent: Any) -> None:
    agent = make_agent(explore__warmup_decisions=40, learning__pretrain_updates=1, learning__batch_size=16)
    agent.learn(45).learn_task("own+20*keep:position<0.5", 1)
    goal = joule.Goal(np.array([1.0, 0.0, 0.0], np.float32))
    agent.learn_goals(1).plan_for(goal)
    assert not agent.modules.task_unknown_to_policy()
    agent.constrain(parse_constraint("position<0.5"))
    assert agent.modules.task_unknown_to_policy()
    assert not agent.plan_for(None).modules.task_unknown_to_policy()


def test_a_constraint_changes_nothing_of_training(make_agent: Any) -> None:
    brief = {"explore__warmup_decisions": 40, "learning__pretrain_updates": 10, "learning__batch_size": 16}
    free, limited = (make_agent(constraint=limit, **brief) for limit in ((), ("position<1e6",)))
    for agent in (free, limited):
        agent.learn(120)  # planned episodes from the end of warm-up on
    ours, theirs = (agent.modules.networks.state_dict() for agent in (free, limited))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)

"""An agent learns to reach what it remembers, and plans for an observation."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_env
import torch
from shape_checks import shapes_unchecked

import joule
from agent.configurator import readout_checks
from agent.cost.goal import Goal
from agent.cost.goal_cost import LATENT_DISTANCE, READOUT_DISTANCE
from agent.cost.readouts import TaskError
from agent.errors import ConfigError, InputError
from agent.goal_networks import DISCOUNT
from agent.learning.goal_learning import moments_of, steps_towards
from agent.world_model import experience_graph
from joule.environment import make_env
from joule_errors import Advice

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture(scope="module")
def reaching(small: dict[str, Any]) -> Any:
    """An agent that has acted at random in the tiny environment, and has learned to reach goals."""
    decisions = 1_200
    settings = {**small, "steps": decisions, "explore.warmup_decisions": decisions, "model.latent_dim": 32}
    settings |= {"model.hidden_dim": 64, "model.head_width": 32, "learning.pretrain_updates": 600}
    del settings["env"]
    with shapes_unchecked():
        agent: Any = joule.make("joule", env=tiny_env.ID, settings=settings)
        return agent.learn(decisions).learn_goals(900)


def test_decisions_are_counted_to_the_goal_the_end_of_the_episode_or_the_most() -> None:
    starts = np.array([0, 0, 0, 0, 8, 5])
    goals = np.array([2, 5, 0, 12, 9, 4])  # near, too far, itself, of another episode, the last one, before
    taken, reached = steps_towards(starts, goals, np.array([9, 9, 9, 9, 9, 9]), 3)
    assert taken.tolist() == [2, 3, 3, 3, 1, 3]
    assert reached.tolist() == [True, False, False, False, True, False]


def test_moments_are_in_the_order_of_the_episodes(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    moments, buffer = moments_of(agent.modules), agent.modules.replay_buffer
    assert len(moments.starts) == buffer.held
    assert moments.last[moments.end].all()
    assert not any(moments.last[start:end].any() for start, end in enumerate(moments.end) if start < 500)


def test_learning_goals_changes_nothing_else_and_repeats(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    before, drawn = agent.modules.networks.to_arrays(), torch.get_rng_state()
    agent.learn_goals(3)
    after = agent.modules.networks.to_arrays()
    assert all(np.array_equal(value, after[name]) for name, value in before.items())
    assert torch.equal(drawn, torch.get_rng_state())
    again: Any = joule.load(trained_run)
    again.learn_goals(3)
    repeated = again.modules.networks.to_arrays()
    assert all(np.array_equal(value, repeated[name]) for name, value in after.items())


@pytest.mark.slow
def test_decisions_to_a_goal_grow_with_its_distance(reaching: Any) -> None:
    positions = np.array([[x, 0.0, 0.0] for x in (-1.0, -0.5, 0.0, 0.5, 1.0)], np.float32)
    z = reaching.modules.perceive(positions)
    with torch.no_grad():
        found = reaching.modules.networks.goals.decisions(z, z[:1].expand(5, -1))
    assert 0.0 < found[1] < found[2:].min()
    assert found[2] < found[4] < 1.0 / (1.0 - DISCOUNT)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["steps", "both", "latent", "policy"])
def test_goals_are_reached(reaching: Any, how: Any) -> None:
    env = make_env(reaching.config)
    reached = 0
    for seed in range(8):
        obs, _ = env.reset(seed=100 + seed)
        wanted = -np.sign(obs[0]) * 0.5  # on the other side
        goal = np.array([wanted, 0.0, obs[2]], np.float32)
        if how == "policy":
            reaching.configurator.goals.act_for(Goal(goal))
        else:
            reaching.plan_for(Goal(goal, how))
        state = None
        for _ in range(25):
            action, state = reaching.predict(obs, state)
            obs, *_ = env.step(action)
            if abs(obs[0] - wanted) < 0.1:
                reached += 1
                break
    assert reached >= 6  # random actions: 1


def test_what_was_learned_is_saved_and_more_training_forgets_it(trained_run: Path, tmp_path: Path) -> None:
    reaching: Any = joule.load(trained_run)
    reaching.learn_goals(2)
    reaching.save(tmp_path / "run")
    loaded: Any = joule.load(tmp_path / "run")
    saved, kept = loaded.modules.networks.to_arrays(), reaching.modules.networks.to_arrays()
    assert saved.keys() == kept.keys()
    assert any(name.startswith("goals.") for name in saved)
    assert all(np.array_equal(value, saved[name]) for name, value in kept.items())
    loaded.plan_for(Goal(np.zeros(3, np.float32)))
    loaded.learn(1)
    assert loaded.modules.networks.goals is None
    assert loaded.modules.task_cost is None
    assert loaded.modules.actor.policy is loaded.modules.networks.policy


def test_a_goal_that_cannot_be_planned_for_is_refused(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    goal = np.zeros(3, np.float32)
    with pytest.raises(ConfigError, match="the energy 'steps' needs what learn_goals learns"):
        agent.plan_for(Goal(goal, "steps"))
    with pytest.raises(ConfigError, match="several observations; a goal is one"):
        agent.plan_for(Goal(np.zeros((2, 3), np.float32)))
    with pytest.raises(InputError, match="observation"):
        agent.plan_for(Goal(np.zeros(4, np.float32)))
    with pytest.raises(ConfigError, match="energy 'far' is none of auto, latent, steps, both"):
        Goal(goal, "far")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="found str; give an observation"):
        Goal("up")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no experience"):
        joule.make("joule", env=agent.config.env, preset="smoke").learn_goals(1)


def test_a_plan_is_imagined_towards_the_sub_goal_of_its_own_decision(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    agent.learn_goals(2)
    agent.plan_for(Goal(np.zeros(3, np.float32)))
    obs = np.linspace(-1.0, 1.0, 12, dtype=np.float32).reshape(4, 3)
    _, states = agent.predict(obs)
    one = states.rows(np.array([True, False, False, False]))
    imagined = agent.imagine_plan(one, 8)
    _, alone = agent.predict(obs[3])
    assert not np.array_equal(agent.imagine_plan(alone, 8), imagined)
    np.testing.assert_array_equal(agent.imagine_plan(one, 8), imagined)


def test_another_state_forgets_the_ways_to_goals(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    agent.learn_goals(2)
    agent.plan_for(Goal(np.zeros(3, np.float32)))
    before = agent.configurator.goals._experience
    agent.load_state_dict(*agent.state_dict())
    assert agent.modules.task_cost is None, "latents of another encoder are no goal"
    agent.plan_for(Goal(np.zeros(3, np.float32)))
    assert agent.configurator.goals._experience is not before


def test_a_policy_alone_does_not_act_within_a_constraint(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    agent.learn_goals(2)
    agent.constrain("position<0.5")
    with pytest.raises(ConfigError, match="the constraint needs a plan"):
        agent.configurator.goals.act_for(Goal(np.zeros(3, np.float32)))
    record = joule.evaluate_goals(agent, 1, within={"position": 0.2}, decisions=2)
    assert list(record["results"]) == ["plan", "random"]


def test_another_planner_keeps_the_policy_that_reaches_the_goal(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    agent.learn_goals(2)
    agent.plan_for(Goal(np.zeros(3, np.float32)))
    reaching = agent.modules.actor.policy
    for kind in ("cem", "policy"):
        agent.configurator.choose_planner(kind)
        assert agent.modules.actor.policy is reaching
    assert agent.modules.actor.planner is None


def test_a_plan_that_ends_the_episode_is_not_nearer_to_the_goal(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    agent.plan_for(Goal(np.zeros(3, np.float32)))
    actions = torch.zeros(1, 1, agent.modules.actor.horizon, 1)
    z = agent.modules.perceive(np.ones((1, 3), np.float32))
    alive = agent.modules.energy(z)(actions)
    agent.modules.terminations = 1  # survival is predicted from now on
    assert torch.equal(agent.modules.energy(z)(actions), alive)


def test_goals_that_are_learned_anew_end_the_plan_for_one(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    agent.plan_for(Goal(np.zeros(3, np.float32)))
    agent.learn_goals(2)
    assert agent.modules.task_cost is None, "its plans would go by what was learned before"
    assert agent.modules.actor.policy is agent.modules.networks.policy


def test_a_goal_keeps_its_energy_and_no_constraint_where_a_policy_acts(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    agent.learn_goals(2)
    agent.configurator.goals.act_for(Goal(np.zeros(3, np.float32), "latent"))
    assert list(agent.modules.task_cost.distances) == [LATENT_DISTANCE]
    with pytest.raises(ConfigError, match="the policy that acts towards a goal does not look ahead"):
        agent.constrain("position<0.5")
    assert agent.modules.constraint_cost is None


def test_plans_by_readouts_look_further_ahead_and_straight_for_the_goal(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent: Any = joule.load(trained_run)
    agent.learn_goals(2)
    goal = Goal(np.array([0.5, 0.0, 0.0], np.float32), "readouts", within={"position": 0.1})
    monkeypatch.setattr(readout_checks, "illegible", lambda layout, legibility, used: list(used))
    monkeypatch.setattr(readout_checks, "warning", lambda *_: "cannot be read")
    with pytest.warns(Advice, match="cannot be read"):
        agent.plan_for(goal)
    cost = agent.modules.task_cost
    assert list(cost.distances) == [READOUT_DISTANCE]
    assert not cost.near_policy
    assert cost.target._route is None
    _, state = agent.predict(goal.observation)
    assert state.plan.actions.shape[1] == agent.modules.actor.horizon == 25, "all of an episode"
    assert READOUT_DISTANCE in agent.explain(state)
    with pytest.raises(TaskError, match=f"goal: 'plaice' is no readout of {tiny_env.RECORDED}"):
        agent.plan_for(Goal(goal.observation, "readouts", within={"plaice": 0.1}))


def test_goals_are_evaluated_by_readouts(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    found = joule.evaluate_goals(agent, 2, energy="readouts", within={"position": 0.2}, decisions=4)
    assert found["energy"] == "readouts"
    assert found["sub_goal_decisions"] == 0
    assert found["planner"]["horizon_decisions"] == 25
    assert found["results"].keys() == {"plan", "random"}
    assert found["results"]["plan"]["success"] >= 0.0
    with pytest.raises(ConfigError, match="readouts does not go with --goal-data"):
        joule.evaluate_goals(agent, 2, energy="readouts", recording="swm:any.h5")


def test_a_goal_in_python_is_taken_as_it_is(trained_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(trained_run, tmp_path / "run")
    goal = Goal(np.zeros(3, np.float32), "readouts", name="the middle", within={"position": 0.2})
    found = joule.evaluate(run, episodes=1, goal=goal)
    assert found["goal"] == "the middle"
    with pytest.raises(ConfigError, match=r"found 3; give a text such as episode:3@80, or a joule\.Goal"):
        joule.evaluate(run, episodes=1, goal=3)


def test_a_learned_task_has_memory_measured_anew(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    agent.plan_for(Goal(np.zeros(3, np.float32)))
    agent.learn_task("less:position", 1)
    assert agent.configurator.goals._experience is None


def test_a_model_that_is_used_again_leaves_what_was_learned_of_goals(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    adaptive = agent.adapt()
    adaptive.bank.weights.store(adaptive.in_use, np.zeros(0, np.int64))
    agent.learn_goals(2)
    before = agent.modules.networks.to_arrays()
    adaptive.bank.switch_to(adaptive.bank.first)
    after = agent.modules.networks.to_arrays()
    assert all(np.array_equal(value, after[name]) for name, value in before.items() if "goals." in name)


def test_a_state_from_before_the_first_update_takes_the_optimisers_back(make_agent: Any) -> None:
    agent = make_agent()
    untrained = agent.state_dict()
    agent.learn(agent.config.explore.warmup_decisions + 2)
    assert agent.modules.learner.updates
    agent.load_state_dict(*untrained)
    assert not any(name.startswith("optimizer/") for name in agent.state_dict()[0])


@pytest.mark.parametrize(("joined", "energy"), [(True, "steps"), (False, "latent")])
def test_learned_decisions_count_where_ways_lead_from_one_episode_to_another(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch, joined: bool, energy: str
) -> None:
    agent: Any = joule.load(trained_run)
    monkeypatch.setattr(experience_graph, "CONNECTABLE", 0.0 if joined else 1.1)
    monkeypatch.setattr(experience_graph, "CONNECTED", 1.1)
    goal = Goal(np.zeros(3, np.float32))
    agent.plan_for(goal)
    assert agent.modules.task_cost.energy == "latent", "nothing is learned yet"
    agent.learn_goals(2)
    agent.plan_for(goal)
    assert agent.modules.task_cost.energy == energy
    ahead = agent.modules.actor.horizon
    assert ahead == agent.configurator.goals.settings(energy=energy).planner.horizon_decisions
    agent.plan_for(replace(goal, energy="steps"))
    assert agent.modules.task_cost.energy == "steps"

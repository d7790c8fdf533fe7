"""A trained agent serves a task it was not trained for: by planning, or by learning in imagination."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_env
import torch
from commands import assert_refused

import joule
from agent.cost.constraint import parse_constraint
from agent.cost.readouts import TaskError
from agent.cost.task import Task
from agent.cost.task_text import parse
from agent.errors import ConfigError
from agent.learning.task_learning import BATCH_SIZE, TaskLearner, relabel
from joule.agents import new_agent
from joule.commands import evaluate
from joule.environment import make_env
from joule.storage.loading import apply_task
from joule.training.evaluation import evaluate as play

Make = Callable[..., Any]
LEFT = "track:position=-1"
pytestmark = pytest.mark.usefixtures("unchecked")


def returns(agent: Any, config: Any = None) -> float:
    """Mean return, by the task of the config."""
    return play(agent, lambda: make_env(config or agent.config), 8).mean


def stored(agent: Any) -> tuple[np.ndarray, np.ndarray]:
    """Costs of the stored transitions, and the positions after them."""
    buffer = agent.modules.replay_buffer
    after, _, cost = buffer.outcomes(buffer.place(buffer.transitions()))
    return cost, after[:, 0]


def test_perception_stays_as_it_is_with_a_target_encoder_too(make_agent: Make) -> None:
    agent = make_agent(regularizer__kind="ema", explore__warmup_decisions=40, learning__pretrain_updates=5)
    networks = agent.learn(60).modules.networks
    before = {name: value.clone() for name, value in networks.state_dict().items()}
    agent.learn_task(LEFT, 3)
    moved = {name for name, value in networks.state_dict().items() if not torch.equal(before[name], value)}
    assert "critic.members.0.0.linear.weight" in moved
    assert not [name for name in moved if "encoder" in name or name.startswith("world_model.dynamics")]


def test_constraints_are_learned_with_the_present_task_within_the_margin_of_one_decision(
    trained_run: Path,
) -> None:
    agent: Any = joule.load(trained_run)
    agent.constrain("position<0.5")
    margin = float(agent.modules.margin()[0, 0])
    assert margin > 0.0
    task = agent.configurator.task_within_constraints()
    assert task.startswith("own+20*keep:position<")
    bound = float(task.rpartition("<")[2])  # rounded to three digits, but never to a looser bound
    assert 0.5 - margin - 1e-3 < bound <= 0.5 - margin
    assert agent.learn_constraints(3) is agent
    assert (agent.config.task, agent.config.constraint) == (task, ("position<0.5",))
    agent.learn_constraints(3)  # what its task charges for is not charged for twice
    assert agent.config.task == task
    agent.constrain(joule.Constraint("slow", lambda r: r["position"] - 0.5))
    with pytest.raises(ConfigError, match="a constraint is a function in Python"):
        agent.learn_constraints(3)
    with pytest.raises(ConfigError, match="there is no constraint"):
        joule.load(trained_run).learn_constraints(3)  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_command_learns_the_constraints_and_keeps_the_reward(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(trained_run), "--constraint", "position<0.5", "--learn-task", "2", "--episodes", "1"]
    assert evaluate.main([*words, "--out", str(tmp_path / "kept.json")]) == 0
    values = json.loads((tmp_path / "kept.json").read_text())
    assert (values["task"], values["learn_task"], values["constraint"]) == ("", 2, ["position<0.5"])
    assert "to keep the constraints first, by 2 updates" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("learned", "asked"),
    [
        ("", "own"),
        ("", " own "),
        ("own+0.10*control", "own+0.10*control"),
        ("own + 0.1*control", "own+0.10*control"),
    ],
)
def test_an_agents_own_task_stays_learned_however_it_is_written(
    learned: str, asked: str, trained_run: Path
) -> None:
    agent: Any = joule.load(trained_run)
    agent.modules.config = dataclasses.replace(agent.config, task=learned)
    apply_task(agent, asked, None, None)
    assert agent.modules.task_cost is None
    assert agent.modules.actor.horizon == agent.config.planner.horizon_decisions


@pytest.mark.slow
def test_planning_and_learning_both_serve_a_new_task(trained_run: Path, tmp_path: Path) -> None:
    unmodified = joule.load(trained_run)
    config = apply_task(joule.load(trained_run), LEFT, None, 5)
    before = returns(unmodified, config)

    planning: Any = joule.load(trained_run)
    _, state = planning.predict(np.zeros(3, np.float32))
    apply_task(planning, LEFT, None, 5)
    _, state = planning.predict(np.zeros(3, np.float32), state)  # from the next decision on
    assert list(planning.explain(state)) == ["track position=-1"]
    assert state.plan.actions.shape[1] == 5
    assert planning.config == unmodified.config  # what would be saved

    learned: Any = joule.load(trained_run)
    networks = learned.modules.networks
    dynamics = {n: p.clone() for n, p in networks.world_model.dynamics.state_dict().items()}
    frames, costs = learned.frames, stored(learned)[0].copy()
    learned.learn_task(parse(LEFT), 300)
    assert learned.frames == frames
    assert learned.env is None
    assert all(torch.equal(dynamics[n], p) for n, p in networks.world_model.dynamics.state_dict().items())
    cost, position = stored(learned)
    np.testing.assert_allclose(cost, np.abs(position + 1.0), atol=1e-5)
    assert not np.array_equal(costs, cost)

    # A return of 0 would be to start at the goal; both come nearer to it than the unmodified agent. With so
    # young a model a plan leaves 0.2 to 0.7 of the cost, by the seed.
    assert returns(planning, config) > 0.8 * before
    assert returns(learned) > 0.6 * before

    learned.save(tmp_path / "left")
    again: Any = joule.load(tmp_path / "left")
    assert again.config.task == LEFT
    assert returns(again) == returns(learned)
    again.learn(3)  # in an environment whose reward is the task
    cost, position = stored(again)
    assert cost[-1] == pytest.approx(abs(position[-1] + 1.0), abs=1e-5)


@pytest.mark.slow
def test_the_own_cost_is_predicted_by_a_copy_of_the_cost_head_that_is_trained(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    buffer = agent.modules.replay_buffer
    rows = buffer.place(buffer.transitions())
    z = agent.modules.perceive(buffer.obs[rows])
    action = torch.from_numpy(buffer.action[rows])

    def predicted() -> torch.Tensor:
        model = agent.modules.networks.world_model
        with torch.inference_mode():
            cost: torch.Tensor = model.expected_cost(model.predict(z, action))
        return cost

    before = predicted()
    agent.learn_task(parse("3*own"), 150)
    # A head that predicted its own target would diverge; one that learned nothing would be off by twice the cost.
    assert (predicted() - 3.0 * before).abs().mean() < before.abs().mean()


@pytest.mark.parametrize("factor", [0.01, 3.0])
def test_the_scales_are_those_of_the_costs_of_the_task(trained_run: Path, factor: float) -> None:
    agent: Any = joule.load(trained_run)
    networks = agent.modules.networks
    before = networks.critic.scale.item()
    agent.learn_task(parse(f"{factor}*own"), 1)
    cost, _ = stored(agent)
    assert networks.world_model.cost_scale.item() == pytest.approx(np.sqrt(np.square(cost).mean()), rel=1e-4)
    assert int(networks.scales.count) == len(cost), "each row counts once"
    assert networks.critic.scale.item() == pytest.approx(factor * before, rel=0.2)


def test_a_second_task_replaces_the_first_and_the_own_cost_is_gone(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    agent.constrain(parse_constraint("cost<0.5"))
    agent.learn_task(parse(LEFT), 3)
    margin = agent.modules.margin()
    agent.learn_task(parse("track:position=1"), 3)
    assert agent.config.task == "track:position=1"
    cost, position = stored(agent)
    np.testing.assert_allclose(cost, np.abs(position - 1.0), atol=1e-5)
    assert not torch.equal(agent.modules.margin(), margin), "the constraint is on another cost now"
    for ask in (agent.learn_task, agent.plan_for):
        with pytest.raises(TaskError, match=r"'own' asks for .* its task 'track:position=1' alone"):
            ask(parse("own"))


def test_learning_a_task_is_repeatable_and_leaves_the_generators_alone(trained_run: Path) -> None:
    one: Any = joule.load(trained_run)
    two: Any = joule.load(trained_run)
    task = Task("left", lambda r: (r["position"] + 1.0).abs())
    torch.manual_seed(1)
    drawn = torch.get_rng_state()
    one.learn_task(task, 5)
    assert torch.equal(torch.get_rng_state(), drawn)
    torch.manual_seed(2)
    two.learn_task(task, 5)
    first, second = one.state_dict()[0], two.state_dict()[0]
    assert [n for n in first if n.startswith("weights") and not np.array_equal(first[n], second[n])] == []
    with pytest.raises(ConfigError, match="'left' was a function in Python"):
        make_env(one.config)


@pytest.mark.parametrize("text", [LEFT, f"own+0.1*{LEFT}"])
def test_a_task_that_is_interrupted_changes_nothing(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    agents: list[Any] = [joule.load(trained_run) for _ in range(2)]
    interrupted, other = agents
    update, done = TaskLearner.update, list[bool]()

    def interrupt(learner: TaskLearner, *, update_policy: bool) -> None:
        if len(done) == 3:
            raise KeyboardInterrupt
        update(learner, update_policy=update_policy)
        done.append(update_policy)

    monkeypatch.setattr(TaskLearner, "update", interrupt)
    with pytest.raises(KeyboardInterrupt):
        interrupted.learn_task(parse(text), 8)
    assert interrupted.config == other.config
    before = other.state_dict()[0]
    for agent in agents:
        torch.manual_seed(1)
        agent.learn(20)
    first, second = (agent.state_dict()[0] for agent in agents)
    assert [name for name in first if not np.array_equal(first[name], second[name], equal_nan=True)] == []
    learned = [name for name in first if name.startswith("weights") and "policy" in name]
    assert learned
    assert not any(np.array_equal(first[name], before[name]) for name in learned), "it learns on"


def test_uncertainty_raises_the_critics_targets_in_imagination_only(trained_run: Path) -> None:
    task = parse(LEFT)
    imagined = []
    for uncertainty in (0.0, 2.0):
        agent: Any = joule.load(trained_run, settings={"cost.uncertainty": uncertainty})
        modules = agent.modules
        relabel(modules.replay_buffer, task, agent.configurator.task_cost(task).layout)
        learner = TaskLearner(modules, agent.configurator.task_cost(task))
        torch.manual_seed(0)
        imagined.append(learner.imagine()[0])
    plain, penalised = imagined
    for name in ("z", "action", "cost", "termination"):
        assert torch.equal(getattr(plain, name), getattr(penalised, name))
    assert (penalised.target >= plain.target - 1e-6).all()
    raised = penalised.target > plain.target + 1e-6
    assert 0.3 < raised.float().mean() < 1.0, "no more uncertainty than of the logged action costs nothing"
    model, usual = modules.networks.world_model, modules.networks.usual_disagreement
    # The targets of the last step differ by its penalty alone.
    first, last = slice(BATCH_SIZE), slice(-BATCH_SIZE, None)
    starts = modules.replay_buffer.windows(BATCH_SIZE, 1, np.random.default_rng(agent.config.seed))[0]
    logged = torch.from_numpy(modules.replay_buffer.action[starts])
    excess = model.predict(plain.z[last], plain.action[last]).disagreement
    excess = excess - model.disagreement(plain.z[first], logged)
    penalty = excess.clamp_min(0.0) * 2.0 * model.cost_scale / usual
    torch.testing.assert_close((penalised.target - plain.target)[last], penalty, rtol=1e-4, atol=1e-5)


def test_what_is_replayed_are_stored_transitions_and_never_the_end_of_an_episode(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    modules, buffer, task = agent.modules, agent.modules.replay_buffer, parse(LEFT)
    relabel(buffer, task, agent.configurator.task_cost(task).layout)
    replayed = TaskLearner(modules, agent.configurator.task_cost(task)).replayed_transitions()
    rows = buffer.place(buffer.transitions())
    action, z = buffer.action[rows], modules.perceive(buffer.observations(rows))
    stored_rows = torch.cat((z, torch.from_numpy(np.column_stack((action, buffer.cost[rows])))), 1)
    found = torch.cat((replayed.z, replayed.action, replayed.cost.unsqueeze(1)), 1)
    assert torch.cdist(found, stored_rows).amin(1).max() < 0.01, "an end has no action and no cost"
    assert len(replayed.z) < BATCH_SIZE * modules.config.learning.n_step, "some windows reach an end"


@pytest.mark.parametrize(
    ("text", "terminations", "uncertainty"), [(LEFT, 0, 0.0), (LEFT, 1, 2.0), (f"own+0.1*{LEFT}", 0, 2.0)]
)
def test_a_task_keeps_the_uncertainty_penalty_with_the_own_cost_or_where_episodes_terminate(
    trained_run: Path, text: str, terminations: int, uncertainty: float
) -> None:
    agent: Any = joule.load(trained_run, settings={"cost.uncertainty": 2.0})
    agent.modules.terminations = terminations
    assert agent.learn_task(parse(text), updates=1).config.cost.uncertainty == uncertainty


def test_the_policy_is_updated_after_a_quarter_of_the_updates(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent: Any = joule.load(trained_run)
    policy = agent.modules.networks.policy
    before = {name: w.clone() for name, w in policy.state_dict().items()}
    updated: list[bool] = []
    update = TaskLearner.update

    def recorded(learner: TaskLearner, *, update_policy: bool) -> None:
        updated.append(update_policy)
        update(learner, update_policy=False)

    monkeypatch.setattr(TaskLearner, "update", recorded)
    agent.learn_task(parse(LEFT), 8)
    assert updated == [False, False, *[True] * 6]
    assert all(torch.equal(w, before[name]) for name, w in policy.state_dict().items())


@pytest.mark.parametrize(("text", "keeps"), [(LEFT, True), (f"own+0.1*{LEFT}", False)])
def test_the_policy_of_a_new_task_keeps_to_the_actions_that_the_critic_prefers(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch, text: str, keeps: bool
) -> None:
    agent: Any = joule.load(trained_run)
    modules, task = agent.modules, parse(text)
    relabel(modules.replay_buffer, task, agent.configurator.task_cost(task).layout)
    learner = TaskLearner(modules, agent.configurator.task_cost(task))
    torch.manual_seed(0)
    z, cost_to_go = torch.randn(BATCH_SIZE, modules.config.model.latent_dim), modules.networks.critic
    with torch.no_grad():
        own = modules.networks.policy(z)
        # In every second state the action that was taken is the policy's own: it is not better.
        logged = torch.where((torch.arange(BATCH_SIZE) % 2 == 0).unsqueeze(1), own, -own)
        expected = (cost_to_go(z, logged).mean(1) < cost_to_go(z, own).mean(1)).float()
    actions, known = learner.better_actions(z, logged)
    assert torch.equal(actions[:BATCH_SIZE], logged)
    assert torch.equal(known[:BATCH_SIZE], expected)
    assert 0.0 < known[1:BATCH_SIZE:2].mean() < 1.0
    assert not known[:BATCH_SIZE:2].any()
    assert not known[BATCH_SIZE:].any(), "nothing was done in an imagined state"

    def distance() -> float:
        with torch.no_grad():
            squared = (modules.networks.policy(z) - logged).square().sum(-1)
        return float((squared * known[:BATCH_SIZE]).sum() / known.sum())

    given, update_policy = list[bool](), learner.learner.update_policy

    def update(z: torch.Tensor, measure: bool, stored: Any) -> dict[str, float]:
        given.append(stored is not None)
        return update_policy(z, measure, stored)

    monkeypatch.setattr(learner.learner, "update_policy", update)
    monkeypatch.setattr(learner, "imagine", lambda real=learner.imagine: (real()[0], [z, z, z, z], logged))
    before = distance()
    for _ in range(30):
        learner.update(update_policy=True)
    assert given == [keeps] * 30
    # Where it does not keep to them, the critic alone may lead the policy to them or away.
    assert not keeps or distance() < 0.5 * before


def test_a_task_on_a_readout_that_the_environment_lacks_is_refused(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    with pytest.raises(TaskError, match="'velocity' is no readout"):
        agent.plan_for(parse("less:velocity"))
    with pytest.raises(ConfigError, match="updates: found 0; give a whole number, at least 1"):
        agent.learn_task(parse(LEFT), 0)


@pytest.mark.slow
def test_evaluate_takes_a_task(trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "left.json"
    given = ["--task", LEFT, "--episodes", "2", "--out", str(out)]
    assert evaluate.main([str(trained_run), *given, "--planner.horizon-decisions", "4"]) == 0
    planned = json.loads(out.read_text())
    assert (planned["task"], planned["learn_task"]) == (LEFT, None)
    assert planned["planner"]["horizon_decisions"] == 4
    assert evaluate.main([str(trained_run), *given, "--learn-task", "5"]) == 0
    assert json.loads(out.read_text())["learn_task"] == 5
    assert LEFT in capsys.readouterr().out
    assert_refused("evaluate", [str(trained_run), "--task", "trak:position=1"], "did you mean track")
    assert_refused("evaluate", [str(trained_run), "--learn-task", "5"], "--learn-task")


def test_a_baseline_learns_the_task_by_its_reward(make_agent: Make) -> None:
    config = make_agent(agent="sac", task=LEFT, env=tiny_env.ID).config
    sac: Any = new_agent(config, make_env(config))
    sac.learn(30)
    (rows,) = [replay.since(0) for replay in sac.replay]
    assert (rows["reward"] < 0).all()
    with pytest.raises(ConfigError, match="sac has no world model"):
        apply_task(sac, "more:position", 5, None)

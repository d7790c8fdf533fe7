"""The command explain: the plans that were compared, and the observed outcome of a decision."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import counter_env
import numpy as np
import pytest
import tiny_env
from commands import assert_help_is_instant, assert_refused

import envs
import joule
from agent.errors import ConfigError
from joule.commands import explain, train
from joule.explaining.explanation_record import explanation_record
from joule.report import decision

pytestmark = pytest.mark.usefixtures("unchecked")

counter_env.Counter  # noqa: B018  registers the ids


@pytest.fixture(scope="module")
def explained(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The fifth decision of an episode of the tiny environment, as a user gets it."""
    out = tmp_path_factory.mktemp("explained")
    before = {path: path.read_bytes() for path in trained_run.rglob("*") if path.is_file()}
    assert explain.main([str(trained_run), "--step", "5", "--seed", "10003", "--out", str(out)]) == 0
    assert {path: path.read_bytes() for path in trained_run.rglob("*") if path.is_file()} == before
    (figure,), (values,) = out.glob("*.png"), out.glob("*.json")
    assert figure.stem == values.stem == "step-400-seed-10003-decision-5"
    assert figure.read_bytes().startswith(b"\x89PNG")
    result: dict[str, Any] = json.loads(values.read_text())
    return result


def played(run: Path, seed: int) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Observation, action and cost of every decision of an episode, by `predict` and the environment."""
    agent, env = joule.load(run), envs.make(tiny_env.ID)
    obs, _ = env.reset(seed=seed)
    state, ended, steps = None, False, []
    while not ended:
        action, state = agent.predict(obs, state, np.array([state is None]))
        after, reward, terminated, truncated, _ = env.step(action)
        steps.append((obs, action, -reward))
        obs, ended = after, terminated or truncated
    return steps


def test_the_decision_and_its_outcome_are_those_of_the_episode(
    explained: dict[str, Any], trained_run: Path
) -> None:
    steps = played(trained_run, 10_003)
    chosen, *_ = explained["alternatives"]
    np.testing.assert_allclose(chosen["actions"][0], steps[4][1], rtol=1e-5)
    costs = [cost for *_, cost in steps[4:]]
    outcome, discount = explained["outcome"], explained["discount"]
    np.testing.assert_allclose(outcome["costs"], costs[: len(outcome["costs"])], rtol=1e-5)
    assert outcome["decisions"] == len(costs) == 21
    total = -sum(discount**k * cost for k, cost in enumerate(costs))
    assert outcome["return"] == pytest.approx(total, rel=1e-5)
    assert outcome["hidden"] == pytest.approx(discount**21, rel=1e-5)
    assert chosen["executed_costs"][0] == outcome["costs"][0]
    positions = [obs[0] for obs, *_ in steps[4:]]
    observed = np.array(outcome["readouts"])[:, explained["readouts"]["names"].index("position")]
    np.testing.assert_allclose(observed, positions[: len(observed)], rtol=1e-5)


def test_all_plans_are_executed_in_the_environment(explained: dict[str, Any], trained_run: Path) -> None:
    (x, v, goal), *_ = played(trained_run, 10_003)[4]
    for plan in explained["alternatives"]:
        position, speed, costs = float(x), float(v), []
        for (action,) in plan["actions"]:
            speed = 0.5 * speed + 0.2 * action
            position += speed
            costs.append(-max(0.0, 1.0 - abs(position - goal)))
        np.testing.assert_allclose(plan["executed_costs"], costs, atol=1e-5)
    assert [one["name"] for one in explained["alternatives"]] == [
        "chosen",
        "runner-up",
        "policy",
        "no action",
    ]
    assert not np.any(explained["alternatives"][3]["actions"])


def test_the_text_names_the_decision_and_every_plan(explained: dict[str, Any]) -> None:
    text = decision.shown(explained)
    assert "decision 5 of the episode of seed 10003" in text
    for one in explained["alternatives"]:
        assert f"{one['name']:<12}{decision.short(one['energy']):>12}" in text


def test_a_decision_beyond_the_episode_is_refused(make_agent: Any, trained_run: Path) -> None:
    env = envs.make("Counter-v0", kwargs={"terminate_at": 5})
    agent = make_agent(env, env="Counter-v0")
    with pytest.raises(ConfigError, match="--step: 7 is beyond the episode of seed 3, which ended after 5"):
        explanation_record(agent, env, 3, 7)
    result, _ = explanation_record(agent, env, 3, 5)
    assert (result["outcome"]["decisions"], result["outcome"]["hidden"]) == (1, 0.0)
    assert [len(one["executed_costs"]) for one in result["alternatives"]] == [1, 1, 1, 1]
    beyond = r"--step: 26 is beyond an episode of tiny_env:joule-tests/Point-v0, which has 25"
    with pytest.raises(ConfigError, match=beyond):
        explain.main([str(trained_run), "--step", "26"])


def test_plans_for_what_is_new_predict_no_reward(make_agent: Any) -> None:
    agent, env = make_agent(reward="none"), envs.make(tiny_env.ID)
    result, _ = explanation_record(agent, env, 3, 2)
    assert (result["rewardless"], result["predicted_return"]) == (True, None)
    agent.plan_for("less:position")
    result, _ = explanation_record(agent, env, 3, 2)
    assert not result["rewardless"], "the plan predicts the cost of the task"


def test_a_goal_costs_in_the_environment_what_its_plans_predict(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    env = envs.make(tiny_env.ID)
    goal, _ = env.reset(seed=9)
    agent.plan_for(joule.Goal(goal, "latent", name="there", sub_goal_decisions=0))
    result, _ = explanation_record(agent, env, 3, 1)
    chosen = result["alternatives"][0]
    env.reset(seed=3)
    seen, *_ = env.step(np.array(chosen["actions"][0], np.float32))
    apart = agent.modules.perceive(seen[None]) - agent.modules.perceive(goal[None])
    usual = agent.configurator.goals._usual_distance()
    assert chosen["executed_costs"][0] == pytest.approx(float(apart.norm()) / usual, rel=1e-3)
    assert result["outcome"]["costs"][0] == chosen["executed_costs"][0]
    text = decision.shown({"perturb": [], "task": "", **result})
    assert "planner mppi, for the goal there by latent: decision 1" in text
    assert "no return, because a goal is planned for without a critic" in text


def test_a_task_of_an_agent_in_memory_costs_in_the_environment_what_its_plans_predict(
    trained_run: Path,
) -> None:
    agent: Any = joule.load(trained_run)
    agent.plan_for(joule.Task("seven", lambda r: 7.0 + 0.0 * r["position"]))
    record = joule.explain(agent, 2)
    assert record["task"] == "seven"
    for plan in record["alternatives"]:
        assert plan["predicted_costs"] == pytest.approx([7.0] * len(plan["predicted_costs"]), abs=1e-3)
        assert plan["executed_costs"] == pytest.approx([7.0] * len(plan["executed_costs"]))


def test_a_run_without_energies_is_refused(trained_run: Path, tmp_path: Path) -> None:
    small = ["--env", tiny_env.ID, "--steps", "30", "--eval-episodes", "1", "--no-video"]
    assert train.main([*small, "--agent", "zero", "--out", str(tmp_path / "zero")]) == 0
    with pytest.raises(ConfigError, match="zero has no energies"):
        explain.main([str(tmp_path / "zero"), "--step", "1"])
    with pytest.raises(ConfigError, match=r"policy acts without comparing energies.*--planner.kind mppi"):
        explain.main([str(trained_run), "--step", "1", "--planner.kind", "policy"])
    with pytest.raises(ConfigError, match="--out"):
        explain.main([str(trained_run), "--step", "1", "--out", str(tmp_path / "no" / "where")])


def test_it_writes_into_the_run_and_names_what_was_changed(trained_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    options = ["--step", "1", "--cost.action", "0.2", "--perturb", "noise=0.1"]
    assert explain.main([str(run), *options]) == 0
    stem = "step-400-seed-10000-decision-1-cost.action-0.2-noise-0.1"
    assert {path.name for path in (run / "explanations").iterdir()} == {f"{stem}.png", f"{stem}.json"}
    result = json.loads((run / "explanations" / f"{stem}.json").read_text())
    assert set(result["alternatives"][0]["terms"]) == {"task", "critic", "control", "uncertainty"}
    assert result["perturb"] == ["noise=0.1"]
    assert result["surprise"] is None


@pytest.mark.slow
def test_another_task_and_a_constraint_are_explained_too(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--out", str(tmp_path), "--task", "more:position", "--planner.horizon-decisions", "4"]
    assert explain.main([str(trained_run), "--step", "2", *options, "--constraint", "position<-2"]) == 0
    (values,) = tmp_path.glob("*.json")
    result = json.loads(values.read_text())
    for plan in result["alternatives"]:
        assert set(plan["terms"]) == {"more position", "constraint"}
        assert len(plan["predicted_costs"]) == len(plan["executed_costs"]) == 4
        assert plan["terms"]["constraint"] > 0, "the line ends at -1.5"
        predicted = decision.discounted(result, plan["predicted_costs"])
        assert predicted == pytest.approx(plan["terms"]["more position"], rel=1e-4)
    assert result["predicted_return"] is None
    assert result["planner"]["horizon_decisions"] == 4
    column = result["readouts"]["names"].index("position")
    costs = [-row[column] for row in result["outcome"]["readouts"][1:]]
    np.testing.assert_allclose(result["outcome"]["costs"][: len(costs)], costs, rtol=1e-4)
    printed = capsys.readouterr().out
    assert "within position<-2, for more:position" in printed
    assert "predicted no return" in printed


def test_help_is_instant() -> None:
    assert_help_is_instant("explain", "--planner.kind")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([".", "--step", "1"], "run.json"),
        (["no-such-run", "--step", "1"], "does not exist"),
        (["."], "--step: say which decision of the episode to explain, such as --step 60"),
        ([".", "--step", "0"], "--step: 0"),
        ([".", "--step", "1", "--sed", "3"], "did you mean --seed?"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], sentence: str) -> None:
    assert_refused("explain", arguments, sentence)


def test_a_run_folder_that_cannot_be_written_is_refused_before_the_episode(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever may do everything, as in a container, can write anywhere: the answer of the system is replaced.
    monkeypatch.setattr("joule.commands.explain.os.access", lambda path, mode: False)
    monkeypatch.setattr("joule.trained.Request.load", lambda request: pytest.fail("the agent was loaded"))
    with pytest.raises(ConfigError, match="explanations cannot be written; give a folder"):
        joule.explain(trained_run, 5)

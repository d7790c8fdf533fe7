"""The door that explains a decision: it shows what the search compared, and what truly came."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import counter_env
import numpy as np
import pytest
import tiny_env
import torch
from commands import assert_help_is_instant, assert_refused

import envs
import joule
from agent import explanation as explanations
from agent.errors import ConfigError
from envs.readouts.labels import action_labels, readout_labels
from joule.commands import explain, train
from joule.report import decision

pytestmark = pytest.mark.usefixtures("unchecked")

counter_env.Counter  # noqa: B018  registers the ids


@pytest.fixture(scope="module")
def explained(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The fifth decision of an episode of the tiny body, as a user gets it."""
    out = tmp_path_factory.mktemp("explained")
    before = {path: path.read_bytes() for path in trained_run.rglob("*") if path.is_file()}
    assert explain.main([str(trained_run), "--step", "5", "--seed", "10003", "--out", str(out)]) == 0
    assert {path: path.read_bytes() for path in trained_run.rglob("*") if path.is_file()} == before
    (picture,), (values,) = out.glob("*.png"), out.glob("*.json")
    assert picture.stem == values.stem == "step-400-seed-10003-decision-5"
    assert picture.read_bytes().startswith(b"\x89PNG")
    result: dict[str, Any] = json.loads(values.read_text())
    return result


def played(trained_run: Path, seed: int) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Observation, action and cost of every decision of an episode, as `predict` and the body give them."""
    trained, body = joule.load(trained_run), envs.make(tiny_env.ID)
    obs, _ = body.reset(seed=seed)
    state, over, lived = None, False, []
    while not over:
        action, state = trained.predict(obs, state, np.array([state is None]))
        after, reward, terminated, truncated, _ = body.step(action)
        lived.append((obs, action, -reward))
        obs, over = after, terminated or truncated
    return lived


def test_the_decision_is_the_one_of_the_episode_and_what_came_is_what_came(
    explained: dict[str, Any], trained_run: Path
) -> None:
    lived = played(trained_run, 10_003)
    chosen, *_ = explained["alternatives"]
    np.testing.assert_allclose(chosen["actions"][0], lived[4][1], rtol=1e-5)
    costs = [cost for *_, cost in lived[4:]]
    outcome, discount = explained["came"], explained["discount"]
    np.testing.assert_allclose(outcome["costs"], costs[: len(outcome["costs"])], rtol=1e-5)
    assert outcome["decisions"] == len(costs) == 21
    assert outcome["return"] == pytest.approx(-sum(discount**k * cost for k, cost in enumerate(costs)), rel=1e-5)
    assert outcome["hidden"] == pytest.approx(discount**21, rel=1e-5)
    assert chosen["true_costs"][0] == outcome["costs"][0]
    positions = [obs[0] for obs, *_ in lived[4:]]
    seen = np.array(outcome["readouts"])[:, explained["readouts"]["names"].index("position")]
    np.testing.assert_allclose(seen, positions[: len(seen)], rtol=1e-5)


def test_rejected_plans_are_acted_out_in_truth(explained: dict[str, Any], trained_run: Path) -> None:
    (x, v, goal), *_ = played(trained_run, 10_003)[4]
    for one in explained["alternatives"]:
        place, speed, costs = float(x), float(v), []
        for (action,) in one["actions"]:
            speed = 0.5 * speed + 0.2 * action
            place += speed
            costs.append(-max(0.0, 1.0 - abs(place - goal)))
        np.testing.assert_allclose(one["true_costs"], costs, atol=1e-5)
    assert [one["name"] for one in explained["alternatives"]] == ["chosen", "rival", "policy", "no action"]
    assert not np.any(explained["alternatives"][3]["actions"])


def test_energies_are_those_that_the_search_compared(trained_run: Path) -> None:
    trained: Any = joule.load(trained_run)
    obs = np.array([0.3, 0.0, -0.4], np.float32)
    plain_action, plain = trained.predict(obs)
    action, state, why = explanations.explain(trained, obs, None, 8)
    np.testing.assert_array_equal(action, plain_action)
    assert state.plan is not None
    assert torch.equal(state.plan.energy, plain.plan.energy), "watching must not change the search"
    chosen, rival, policy, still = why.alternatives
    assert len(why.energies) == 2 * 16
    assert chosen.energy == pytest.approx(why.energies.min(), rel=1e-5)
    assert rival.energy == pytest.approx(why.energies[np.argmin(np.abs(why.energies - rival.energy))])
    apart = np.abs(why.first_actions[:, 0] - chosen.actions[0])
    # Of an even number of candidates the median that torch takes is the lower of the middle two.
    assert np.abs(rival.actions[0] - chosen.actions[0]) >= np.quantile(apart, 0.5, method="lower") - 1e-6
    with torch.inference_mode():
        np.testing.assert_allclose(policy.actions[:1], trained.modules.networks.policy(state.z).numpy(), rtol=1e-5)
    assert {one.future.shape for one in why.alternatives} == {(9, 2)}
    np.testing.assert_allclose(still.future[0], chosen.future[0])
    discounts = trained.modules.discount ** np.arange(3)
    assert float(discounts @ chosen.costs) == pytest.approx(chosen.terms["task"], rel=1e-4)
    at = np.interp(chosen.actions[0, 0], why.slice.values, why.slice.energy)
    assert at == pytest.approx(chosen.energy, abs=0.05)
    with pytest.raises(ValueError, match="mode 1"):
        explanations.explain(policy_alone(trained_run), obs, None, 8)


def policy_alone(run: Path) -> Any:
    unset = dict.fromkeys(f"planner.{name}" for name in ("samples", "iterations", "elites", "temperature"))
    return joule.load(run, settings={"planner.kind": "policy", **unset})


def test_the_slice_lies_in_the_two_first_actions_that_vary_most() -> None:
    def energy(plans: torch.Tensor) -> torch.Tensor:
        assert (plans[0, :, 1] == 7.0).all()
        assert (plans[0, :, 0, 1] == 7.0).all(), "the rest is as in the chosen plan"
        return 10 * plans[..., 0, 2] + plans[..., 0, 0]

    learner: Any = SimpleNamespace(energy=lambda z: energy)
    found = explanations.slice_of(
        learner, torch.zeros(1, 2), torch.full((2, 3), 7.0), torch.tensor([2.0, 1.0, 3.0])
    )
    assert found.dimensions == (2, 0)
    columns, rows = np.meshgrid(found.values, found.values)
    np.testing.assert_allclose(found.energy, 10 * columns + rows, atol=1e-5)


def test_it_says_what_it_shows(explained: dict[str, Any]) -> None:
    words = decision.shown(explained)
    assert "decision 5 of the episode of seed 10003" in words
    for one in explained["alternatives"]:
        assert f"{one['name']:<12}{decision.short(one['energy']):>12}" in words
    told = json.loads(json.dumps(explained))
    energies = ((1.0, 2.0), (3.0, 1.5), (4.0, 4.0), (5.0, 5.0))
    for one, (task, critic) in zip(told["alternatives"], energies, strict=True):
        one |= {"terms": {"task": task, "critic": critic}, "energy": task + critic, "true_costs": None}
    assert decision.shown(told).count("\N{EM DASH}") == 4, (
        "a body that cannot be put back has no truth to show"
    )
    assert decision.reason(told) == (
        "the chosen plan is better than the nearest rejected one, rival, by 1.5: better 2 by its task, "
        "worse 0.5 by its critic"
    )
    told["alternatives"][2] |= {"terms": {"task": 1.0, "critic": 1.0}, "energy": 2.0}
    assert decision.reason(told) == "the planner missed a better plan: policy has an energy lower by 1"
    decision.draw(told, [])


def test_a_body_with_a_ghost_is_drawn_once_for_every_alternative(make_joule: Any, tmp_path: Path) -> None:
    learner = make_joule(env="joule/Push-v0", max_episode_frames=20)
    body = explain.stage(learner.config)
    result, drawn = explain.explained(learner, body, 1, 2)
    if result["no_picture"]:
        assert not drawn
        pytest.skip(result["no_picture"])
    assert 0 < result["ghosts_ahead"] < len(result["alternatives"][0]["foreseen_readouts"])
    assert [picture.shape for picture in drawn] == 4 * [(explain.HEIGHT, explain.WIDTH, 3)]
    assert len(result["slice"]["energy"]) == len(result["slice"]["energy"][0]) == explanations.GRID
    decision.draw({"task": "", **result}, drawn, tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 50_000


def test_a_ghost_is_in_view_when_it_is_seen_and_not_cut() -> None:
    plain = np.zeros((20, 30, 3), np.uint8)
    seen: dict[str, bool] = {}
    for name, rows, columns in (
        ("within", 9, 9),
        ("gone", 20, 0),
        ("left", 9, 0),
        ("right", 9, 29),
        ("top", 0, 9),
    ):
        with_ghost = plain.copy()
        with_ghost[rows : rows + 3, columns : columns + 3] = 90
        seen[name] = explain.in_view(with_ghost, plain)
    assert seen == {"within": True, "gone": False, "left": False, "right": False, "top": False}


def test_a_decision_beyond_the_episode_is_refused(make_joule: Any, trained_run: Path) -> None:
    body = envs.make("Counter-v0", kwargs={"terminate_at": 5})
    learner = make_joule(body, env="Counter-v0")
    with pytest.raises(ConfigError, match="--step: 7 is beyond the episode of seed 3, which ended after 5"):
        explain.explained(learner, body, 3, 7)
    result, _ = explain.explained(learner, body, 3, 5)
    assert (result["came"]["decisions"], result["came"]["hidden"]) == (1, 0.0)
    assert [len(one["true_costs"]) for one in result["alternatives"]] == [1, 1, 1, 1]
    with pytest.raises(
        ConfigError, match=r"--step: 26 is beyond an episode of joule-tests/Point-v0, which has 25"
    ):
        explain.main([str(trained_run), "--step", "26"])


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
    stem = "step-400-seed-10000-decision-1-noise-0.1-effort-0.2"
    assert {path.name for path in (run / "explanations").iterdir()} == {f"{stem}.png", f"{stem}.json"}
    result = json.loads((run / "explanations" / f"{stem}.json").read_text())
    assert set(result["alternatives"][0]["terms"]) == {"task", "critic", "control", "uncertainty"}
    assert result["surprise"] is None


def test_another_task_and_a_guard_are_explained_too(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--step", "2", "--out", str(tmp_path), "--task", "more:position", "--planner.horizon-decisions", "4"]
    assert explain.main([str(trained_run), *options, "--constraint", "position<-2"]) == 0
    (values,) = tmp_path.glob("*.json")
    result = json.loads(values.read_text())
    for one in result["alternatives"]:
        assert set(one["terms"]) == {"more position", "guard"}
        assert len(one["foreseen_costs"]) == len(one["true_costs"]) == 4
        assert one["terms"]["constraint"] > 0, "the line ends at -1.5"
        (goes,) = [value for name, value in one["terms"].items() if name != "guard"]
        assert decision.discounted(result, one["foreseen_costs"]) == pytest.approx(goes, rel=1e-4)
    assert result["foretold_return"] is None
    place = result["readouts"]["names"].index("position")
    chosen = [-row[place] for row in result["came"]["readouts"][1:]]
    np.testing.assert_allclose(result["came"]["costs"][: len(chosen)], chosen, rtol=1e-4)
    said = capsys.readouterr().out
    assert "within position<-2, for more:position" in said
    assert "predicted no return" in said


def test_numbers_are_named() -> None:
    cheetah = envs.make("HalfCheetah-v5")
    assert action_labels(cheetah) == ["bthigh", "bshin", "bfoot", "fthigh", "fshin", "ffoot"]
    assert readout_labels(cheetah)[:3] == ["qpos rootx", "qpos rootz", "qpos rooty"]
    assert len(readout_labels(cheetah)) == 18
    push = readout_labels(envs.make("joule/Push-v0"))
    assert len(push) == len(set(push)) == sum(envs.make("joule/Push-v0").env_spec.readout_sizes.values())
    point = envs.make(tiny_env.ID)
    assert (action_labels(point), readout_labels(point)) == (["action 0"], ["position", "distance"])


def test_help_is_instant() -> None:
    assert_help_is_instant("explain", "--planner.kind")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([".", "--step", "1"], "run.json"),
        (["no-such-run", "--step", "1"], "does not exist"),
        (["."], "--step"),
        ([".", "--step", "0"], "--step: 0"),
        ([".", "--step", "1", "--sed", "3"], "did you mean --seed?"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], sentence: str) -> None:
    assert_refused("explain", arguments, sentence)

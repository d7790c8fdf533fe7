"""Tasks: what a cost sees of a body, what its text means, and one world model that serves another wish."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_env
import torch
from commands import assert_refused

import envs
import joule
from agent.configurator.validation import from_json, to_json
from agent.cost.constraint import parse_constraint
from agent.cost.readouts import NamedReadouts, Readouts, TaskError
from agent.cost.task_terms import parse
from agent.errors import ConfigError
from agent.learning.task_learning import BATCH, TaskLearner, relabel
from joule import Task
from joule.agents import new_agent
from joule.commands import evaluate
from joule.environment import make_env
from joule.storage.loading import apply_task
from joule.training.evaluation import evaluate as play

Make = Callable[..., Any]
LAYOUT = Readouts(
    {"place": 2, "turn": 4, "rate": 1, "qvel": 2},
    {
        "height": {"of": "place", "at": [1], "sign": -1.0, "plus": 0.5, "as": "value"},
        "upright": {"of": "turn", "at": [0, 1, 2, 3], "sign": 1.0, "plus": 0.0, "as": "up"},
        "speed": {"of": "qvel", "at": [0, 1], "sign": 1.0, "plus": 0.0, "as": "length"},
        "position": {"of": "place", "at": [0, 1], "sign": 1.0, "plus": 0.0, "as": "value"},
    },
)


def named() -> NamedReadouts:
    """Two rows: place, a half turn about x or none, a rate, and velocities."""
    rows = [[3.0, 4.0, 0.0, 2.0, 0.0, 0.0, 7.0, 3.0, 4.0], [0.3, 0.4, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0, -2.0]]
    action = torch.tensor([[1.0, -1.0], [0.5, 0.0]])
    return LAYOUT.of(torch.tensor(rows), action, lambda: torch.tensor([10.0, 20.0]))


def test_names_and_views_read_the_columns_they_say() -> None:
    r = named()
    assert r["rate"].tolist() == [7.0, -1.0]
    assert r["place"].shape == (2, 2)
    assert r["place.1"].tolist() == pytest.approx([4.0, 0.4])
    assert r["height"].tolist() == pytest.approx([-3.5, 0.1])
    assert r["upright"].tolist() == [-1.0, 1.0]
    assert r["speed"].tolist() == [5.0, 2.0]
    with pytest.raises(TaskError, match=r"'heihgt' is no readout .* did you mean height"):
        r["heihgt"]
    with pytest.raises(TaskError, match="has 2 numbers"):
        r["place.2"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("track:rate=2", [5.0, 3.0]),
        ("track:place=1,0", [3.0, 0.55]),
        ("track:rate=2,height=0.1", [8.6, 3.0]),
        ("reach:place=0,0", [5.0, 0.5]),
        ("more:rate", [-7.0, 1.0]),
        ("less:place.0", [3.0, 0.3]),
        ("upright", [2.0, 0.0]),
        ("still", [3.5, 1.0]),
        ("spend", [1.0, 0.125]),
        ("own", [10.0, 20.0]),
        ("nothing", [0.0, 0.0]),
        ("out-of:x=0,y=0,r=1", [0.0, 0.5]),
        ("out-of:x=0,y=0,r=1,of=qvel", [0.0, 0.0]),
        ("keep:rate<2", [5.0, 0.0]),
        ("keep:place.0>1", [0.0, 0.7]),
        ("own + 2*spend+1e+1*upright", [32.0, 20.25]),
    ],
)
def test_the_table_means_what_it_says(text: str, expected: list[float]) -> None:
    assert parse(text)(named()).tolist() == pytest.approx(expected)


def test_tasks_in_python_add_up_and_keep_their_terms_apart() -> None:
    task = Task("slow", lambda r: r["rate"]) + 0.5 * (parse("spend") + parse("own"))
    assert [term.name for term in task.terms] == ["slow", "0.5 spend", "0.5 own"]
    parts = [term(named()).tolist() for term in task.terms]
    assert task(named()).tolist() == pytest.approx(np.sum(parts, axis=0).tolist())
    assert task.text is None
    assert (parse("own") + 2 * parse("spend")).text == "own+2*spend"
    with pytest.raises(TaskError, match="'wide' must give one cost a row"):
        Task("wide", lambda r: r["place"])(named())


def test_weights_multiply_and_read_back_exactly() -> None:
    task = 0.5 * parse("track:position=0.2+0.1234567*spend")
    assert task.text == "0.5*track:position=0.2+0.06172835*spend"
    assert parse(task.text).text == task.text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("trak:rate=2", "did you mean track"),
        ("track:rate", "give a readout and its value"),
        ("track:rate=fast", "rate=fast is not a number"),
        ("reach:place=nan,0", "is not a number"),
        ("out-of:x=0,y=0", "takes x, y, r and of"),
        ("out-of:x=0,y=0,r=0", "r is above 0"),
        ("upright:now", "takes nothing"),
        ("keep:rate", "give a limit"),
        ("keep:rate<fast", "is not a number"),
        ("track:rate=1,rate=2", "comes twice"),
        ("spend+", "'' is none of"),
    ],
)
def test_text_that_means_nothing_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        parse(text)


def test_a_cheetah_has_everyday_names_for_its_root() -> None:
    body = envs.make("HalfCheetah-v5")
    body.reset(seed=1)
    raw: Any = body.unwrapped
    raw.set_state(np.array([1.0, 0.2, math.pi / 3, *[0.0] * 6]), np.array([-2.0, 0.5, *[0.0] * 7]))
    rows = torch.from_numpy(body.readouts())[None]
    r = Readouts(body.env_spec.readout_sizes, body.env_spec.derived_readouts).of(
        rows, torch.zeros(1, 6), lambda: rows[:, 0]
    )
    true_height = raw.data.body("torso").xpos[2]
    assert float(r["height"]) == pytest.approx(true_height, abs=1e-5)
    assert float(r["upright"]) == pytest.approx(0.5, abs=1e-5)
    assert [float(r[n]) for n in ("velocity", "speed", "climb", "position")] == pytest.approx([-2, 2, 0.5, 1])


@pytest.mark.parametrize("env", ["Hopper-v5", "Ant-v5", "joule/Reach-v0"])
def test_views_agree_with_the_simulator(env: str) -> None:
    body = envs.make(env)
    body.reset(seed=3)
    raw: Any = body.unwrapped
    rows = torch.from_numpy(body.readouts())[None]
    act = torch.zeros(1, body.env_spec.action_size)
    r = Readouts(body.env_spec.readout_sizes, body.env_spec.derived_readouts).of(rows, act, lambda: rows[:, 0])
    if env == "joule/Reach-v0":
        assert r["position"][0].tolist() == pytest.approx(raw.data.site("fingertip").xpos[:2], abs=1e-5)
    else:
        torso = raw.data.body("torso")
        assert float(r["height"]) == pytest.approx(torso.xpos[2], abs=1e-4)
        assert float(r["upright"]) == pytest.approx(torso.xmat[8], abs=1e-5)


def test_a_body_with_a_task_pays_by_it_and_refuses_one_it_cannot_judge(make_joule: Make) -> None:
    config = make_joule(task="track:position=0.5+spend").config
    body = make_env(config)
    body.reset(seed=1)
    _, reward, _, _, info = body.step(np.array([0.5], np.float32))
    position, distance = body.readouts()
    assert reward == pytest.approx(-abs(position - 0.5) - 0.25, abs=1e-6)
    assert info["own_reward"] == pytest.approx(max(0.0, 1.0 - abs(distance)), abs=1e-6)
    with pytest.raises(TaskError, match="'hight' is no readout"):
        make_env(make_joule(task="more:hight").config)
    assert from_json(json.loads(json.dumps(to_json(config)))) == config


pytestmark = pytest.mark.usefixtures("unchecked")
LEFT = "track:position=-1"


def returns(learner: Any, config: Any = None) -> float:
    """Mean return by the task of the config."""
    return play(learner, lambda: make_env(config or learner.config), 8).mean


def test_planning_and_retasking_both_serve_a_task_that_was_not_trained_for(
    trained_run: Path, tmp_path: Path
) -> None:
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
    world = {n: p.clone() for n, p in learned.modules.networks.world_model.dynamics.state_dict().items()}
    frames, costs = learned.frames, learned.modules.replay_buffer.cost.copy()
    learned.learn_task(parse(LEFT), 300)
    assert learned.frames == frames
    assert learned.env is None
    assert all(torch.equal(world[n], p) for n, p in learned.modules.networks.world_model.dynamics.state_dict().items())
    rows = np.flatnonzero(~learned.modules.replay_buffer.last[: len(learned.modules.replay_buffer)])
    np.testing.assert_allclose(
        learned.modules.replay_buffer.cost[rows], np.abs(learned.modules.replay_buffer.readout[rows + 1, 0] + 1.0), atol=1e-5
    )
    assert not np.array_equal(costs[rows], learned.modules.replay_buffer.cost[rows])

    # A return of 0 would be to start at the goal; both come much nearer to it than the agent as it was.
    assert returns(planning, config) > 0.6 * before
    assert returns(learned) > 0.6 * before

    learned.save(tmp_path / "left")
    again: Any = joule.load(tmp_path / "left")
    assert again.config.task == LEFT
    assert returns(again) == returns(learned)
    again.learn(3)  # in a body that pays by the task
    row = again.modules.replay_buffer.head - 1
    assert again.modules.replay_buffer.cost[row] == pytest.approx(abs(again.modules.replay_buffer.readout[row + 1, 0] + 1.0), abs=1e-5)


def test_the_environments_own_cost_is_not_asked_of_the_head_that_learns_anew(
    trained_run: Path,
) -> None:
    learner: Any = joule.load(trained_run)
    rows = np.flatnonzero(~learner.modules.replay_buffer.last[: len(learner.modules.replay_buffer)])
    z = learner.modules.perceive(learner.modules.replay_buffer.obs[rows])
    action = torch.from_numpy(learner.modules.replay_buffer.action[rows])

    def cost_fn() -> torch.Tensor:
        model = learner.modules.networks.world_model
        with torch.inference_mode():
            return model.expected_cost(model.predict(z, action))

    before = cost_fn()
    learner.learn_task(parse("3*own"), 300)
    # A head that asked itself would run away; one that learned nothing would be off by twice as much.
    assert (cost_fn() - 3.0 * before).abs().mean() < before.abs().mean()


def test_a_task_after_a_task_takes_its_place_and_cannot_go_on_from_what_is_gone(trained_run: Path) -> None:
    learner: Any = joule.load(trained_run)
    learner.constraint(parse_constraint("cost<0.5"))
    learner.learn_task(parse(LEFT), 3)
    known = learner.modules.margin()
    learner.learn_task(parse("track:position=1"), 3)
    assert learner.config.task == "track:position=1"
    rows = np.flatnonzero(~learner.modules.replay_buffer.last[: len(learner.modules.replay_buffer)])
    place = learner.modules.replay_buffer.readout[rows + 1, 0]
    np.testing.assert_allclose(learner.modules.replay_buffer.cost[rows], np.abs(place - 1.0), atol=1e-5)
    assert not torch.equal(learner.modules.margin(), known), "the cost that the guard is on is another one"
    for ask in (learner.learn_task, learner.plan_for):
        with pytest.raises(TaskError, match=r"'own' asks for .* its task 'track:position=1' alone"):
            ask(parse("own"))


def test_retasking_is_repeatable_and_leaves_no_trace(trained_run: Path) -> None:
    one, two = (joule.load(trained_run) for _ in range(2))
    task = Task("left", lambda r: (r["position"] + 1.0).abs())
    torch.manual_seed(1)
    drawn = torch.get_rng_state()
    one.learn_task(task, 5)  # type: ignore[attr-defined]
    assert torch.equal(torch.get_rng_state(), drawn)
    torch.manual_seed(2)
    two.learn_task(task, 5)  # type: ignore[attr-defined]
    first, second = one.state_dict()[0], two.state_dict()[0]
    assert [n for n in first if n.startswith("weights") and not np.array_equal(first[n], second[n])] == []
    with pytest.raises(ConfigError, match="'left' was a function in Python"):
        make_env(one.config)


def test_doubt_makes_what_is_imagined_dearer_to_the_critic_and_to_nobody_else(trained_run: Path) -> None:
    task = parse(LEFT)
    imagined = []
    for uncertainty in (0.0, 2.0):
        learner: Any = joule.load(trained_run, settings={"cost.uncertainty": uncertainty})
        relabel(learner.modules.replay_buffer, task, learner.task_cost_of(task).layout)
        lesson = TaskLearner(learner, learner.task_cost_of(task))
        torch.manual_seed(0)
        imagined.append(lesson.imagine())
    (z, action, cost, _, target, _), (*same, _, dearer, _) = imagined
    for one, other in zip((z, action, cost), same, strict=True):
        assert torch.equal(one, other)
    assert (dearer >= target - 1e-6).all()
    assert 0.3 < (dearer > target + 1e-6).float().mean() < 1.0, "less doubt than about what was lived is free"
    model, usual = learner.modules.networks.world_model, learner.modules.networks.usual_disagreement
    first, last = slice(BATCH), slice(-BATCH, None)  # the last step's cost is all that differs there
    starts = learner.modules.replay_buffer.windows(BATCH, 1, np.random.default_rng(learner.config.seed))[0]
    tried = torch.from_numpy(learner.modules.replay_buffer.action[starts])
    more = model.predict(z[last], action[last]).disagreement - model.disagreement(z[first], tried)
    doubt = more.clamp_min(0.0) * 2.0 * model.cost_scale / usual
    torch.testing.assert_close((dearer - target)[last], doubt, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("text", "unsure"), [(LEFT, 0.0), (f"own+0.1*{LEFT}", 2.0)])
def test_a_task_that_does_not_go_on_from_the_environments_own_cost_is_learned_without_doubt(
    trained_run: Path, text: str, uncertainty: float
) -> None:
    learner: Any = joule.load(trained_run, settings={"cost.uncertainty": 2.0})
    assert learner.learn_task(parse(text), updates=1).config.planner.uncertainty == uncertainty


def test_a_policy_waits_for_its_new_critic(trained_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learner: Any = joule.load(trained_run)
    before = {name: w.clone() for name, w in learner.modules.networks.policy.state_dict().items()}
    taught: list[bool] = []
    update = TaskLearner.update

    def watched(lesson: TaskLearner, *, teach_policy: bool) -> None:
        taught.append(teach_policy)
        update(lesson, teach_policy=False)

    monkeypatch.setattr(TaskLearner, "update", watched)
    learner.learn_task(parse(LEFT), 8)
    assert taught == [False, False, *[True] * 6]
    assert all(torch.equal(w, before[name]) for name, w in learner.modules.networks.policy.state_dict().items())


def test_a_run_from_before_there_were_views_asks_its_body(trained_run: Path) -> None:
    old: Any = joule.load(trained_run)
    old.env_spec.derived_readouts = None
    old.plan_for(parse(LEFT))
    with pytest.raises(TaskError, match="'velocity' is no readout"):
        old.plan_for(parse("less:velocity"))


def test_the_door_takes_a_task(trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "left.json"
    given = ["--task", LEFT, "--episodes", "2", "--out", str(out)]
    assert evaluate.main([str(trained_run), *given, "--planner.horizon-decisions", "4"]) == 0
    planned = json.loads(out.read_text())
    assert (planned["task"], planned["retask"], planned["planner"]["horizon"]) == (LEFT, None, 4)
    assert evaluate.main([str(trained_run), *given, "--learn-task", "5"]) == 0
    assert json.loads(out.read_text())["retask"] == 5
    assert f"for {LEFT}" in capsys.readouterr().out
    assert_refused("evaluate", [str(trained_run), "--task", "trak:position=1"], "did you mean track")
    assert_refused("evaluate", [str(trained_run), "--learn-task", "5"], "--learn-task: needs a --task")


def test_a_baseline_learns_the_task_by_its_reward(make_joule: Make) -> None:
    config = make_joule(agent="sac", task=LEFT, env=tiny_env.ID).config
    body = make_env(config)
    sac = new_agent(config, body)
    sac.learn(30)
    rows = sac.replay.since(0)
    assert (rows["reward"] < 0).all()
    with pytest.raises(ConfigError, match="sac has no world model"):
        apply_task(sac, "more:position", 5, None)

"""Goals as a user gives them, pairs of a start and a goal, and the evaluation of both."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny_env
from commands import assert_refused
from PIL import Image

import joule
from agent.errors import ConfigError
from joule.commands import evaluate
from joule.environment import make_env
from joule.goals.attempts import Attempt, summary
from joule.goals.nearness import Nearness
from joule.goals.pairs import _wandered, make_pairs
from joule.goals.request import GoalRequest
from joule.goals.run import _parts
from joule.goals.text import goal_of
from joule.report.evaluation_text import _heading
from joule.storage.goal_file import read_picture
from joule.trained import Request
from joule_errors import Advice

pytestmark = pytest.mark.usefixtures("unchecked")


def test_a_moment_of_an_episode_and_the_nearest_pose_are_goals(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    buffer = agent.modules.replay_buffer
    positions = buffer.readout[buffer.filled(), 0]
    goal: Any = goal_of("readout:position=0.5", agent)
    assert abs(goal.observation[0] - 0.5) == pytest.approx(np.abs(positions - 0.5).min(), abs=1e-6)
    one: Any = goal_of("readout:position.0=0.5", agent)
    assert np.array_equal(one.observation, goal.observation)
    ends = np.flatnonzero(buffer.last[buffer.filled()])
    second: Any = goal_of("episode:1@3", agent)
    assert np.array_equal(second.observation, buffer.obs[ends[0] + 1 + 3])


def test_a_pose_far_from_all_that_is_remembered_is_named_with_the_nearest(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    with pytest.warns(Advice, match=r"is far from all that is remembered; the nearest moment has position="):
        goal_of("readout:position=50", agent)
    value = float(agent.modules.replay_buffer.readout[0, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        goal_of(f"readout:position={value}", agent)


def test_a_number_that_is_given_twice_is_refused(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    with pytest.raises(ConfigError, match=r"has position\.0 twice; give it once"):
        goal_of("readout:position.0=0.1,position.0=0.3", agent)


def test_a_readout_that_never_varies_decides_nothing(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    buffer = agent.modules.replay_buffer
    wanted: Any = goal_of("readout:position=0.5", agent)
    buffer.readout[:, 1] = 0.25  # distance
    mixed: Any = goal_of("readout:distance=0.273,position=0.5", agent)
    assert np.array_equal(mixed.observation, wanted.observation)
    with pytest.raises(ConfigError, match="names nothing that differs between the moments"):
        goal_of("readout:distance=0.25", agent)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("redout:position=1", "did you mean readout:ball=1.2,0.5"),
        ("position=1", "none of readout:ball"),
        ("readout:place=1", "'place' is no readout of .* position, distance"),
        ("readout:position", "'position' gives no value"),
        ("readout:position.1=1", "position.1: position is one number; leave out .1"),
        (
            "readout:position=1,2",
            "position has 1 number, found 2; one that is remembered is position=[-0-9.]+$",
        ),
        ("episode:3", "no moment such as episode:3@80"),
        ("episode:999@0", "there is no episode 999"),
        (f"episode:{'9' * 5000}@1", "no moment such as"),
        ("episode:0@999", "episode 0 has 25 decisions, not 999"),
        ("image:none.png", "a picture is a goal where it observes pixels alone"),
        ("observation:none.npy", "goal: none.npy cannot be read: No such file or directory"),
    ],
)
def test_a_goal_that_is_none_is_refused(trained_run: Path, text: str, message: str) -> None:
    agent: Any = joule.load(trained_run)
    with pytest.raises(ConfigError, match=message):
        goal_of(text, agent)


@pytest.mark.parametrize("text", ["episode:0@3", "readout:position=0.5"])
def test_an_agent_in_shared_form_is_said_to_remember_nothing(
    trained_run: Path, tmp_path: Path, text: str
) -> None:
    joule.push(trained_run, out=tmp_path / "shared")
    agent: Any = joule.load(tmp_path / "shared")
    with pytest.raises(ConfigError, match=f"{text} is looked for .*an agent in its shared form has none"):
        goal_of(text, agent)


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    lying = Image.new("L", (16, 8))
    exif = lying.getexif()
    exif[0x0112] = 6  # held upright: to be turned by 90 degrees
    lying.save(tmp_path / "photo.jpg", exif=exif)
    picture, colours = read_picture(tmp_path / "photo.jpg", grey=True)
    assert (picture.shape, colours) == ((1, 16, 8), False)


def test_the_return_of_an_evaluation_for_a_goal_is_said_to_be_that_of_the_reward() -> None:
    record = {"env": "E", "agent": "joule", "frames": 1, "unit": "frames", "planner": None, "perturb": []}
    record |= {"perceive": "encoder", "task": "", "goal": "episode:0@9", "constraint": []}
    record |= {"goal_energy": "readouts", "goal_within": {"x": 0.1}}
    by = "for the goal episode:0@9 by readouts (x within 0.1)"
    assert _heading(record).endswith(f", {by}, with the environment's own reward")
    assert _heading(record | {"task": "less:x"}).endswith(f"{by}, with the reward of less:x")


@pytest.mark.parametrize("name", ["Maze", "Reach", "Push"])
def test_the_goal_of_a_task_is_its_success_and_the_episode_goes_on_as_before(name: str) -> None:
    env, other = make_env_of(name), make_env_of(name)
    for seed in range(3):
        for each in (env, other):
            each.reset(seed=seed)
        found = env.at_goal()
        assert found is not None
        nearness = Nearness(env.env_spec, env.goal_within)
        assert nearness.excess(env.readouts(), found[1]) > 1.0
        with env.unwrapped.at_goal():
            assert env.unwrapped._get_reset_info()["success"]
        action = np.full(env.env_spec.action_size, 0.3, np.float32)
        assert np.array_equal(env.step(action)[0], other.step(action)[0])
        env.at_goal()
        assert env.restore(env.snapshot())


def make_env_of(name: str) -> Any:
    """One of Joule's own environments."""
    return joule.make_env(f"joule/{name}-v0")


def test_pairs_repeat_and_none_is_solved_at_the_start(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    env = make_env(agent.config)
    nearness = Nearness(env.env_spec, {"position": 0.3})
    found, again = (make_pairs(env, nearness, 6, 500, 25) for _ in range(2))
    assert found.source == "episodes"
    assert found.solved == found.pairs[-1].seed - 500 + 1 - 6 > 0
    for pair, same in zip(found.pairs, again.pairs, strict=True):
        env.reset(seed=pair.seed)
        assert nearness.excess(env.readouts(), pair.readouts) > 1.0
        np.testing.assert_array_equal(pair.goal, same.goal)  # type: ignore[arg-type]


class Falling:
    """Observes how many steps were taken, and terminates after the eleventh."""

    env_spec = SimpleNamespace(action_size=1)

    def __init__(self) -> None:
        self.steps = 0

    def reset(self, **_: Any) -> None:
        self.steps = 0

    def step(self, _: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        return self.readouts(), 0.0, self.steps == 11, False, {}

    def readouts(self) -> np.ndarray:
        return np.array([self.steps])


def test_a_state_that_ends_the_episode_is_no_goal() -> None:
    found = _wandered(Falling(), 0, 100)
    assert found is not None
    observed, readouts = found
    assert (observed, readouts) == (np.array([6]), np.array([6]))


def test_the_interval_is_wilsons() -> None:
    attempts = [Attempt(seed, seed < 8, 10, 0.5) for seed in range(10)]
    found = summary(attempts, [1.0])
    assert found["success"] == 0.8
    assert (found["low"], found["high"]) == pytest.approx((0.4902, 0.9433), abs=1e-4)  # Wilson 1927


def test_the_command_writes_what_it_shows(run: Path, capsys: Any) -> None:
    options = ["--goals", "3", "--learn-goals", "2", "--goal-within", "position=0.2", "--goal-decisions", "5"]
    assert evaluate.main([str(run), *options]) == 0
    shown = capsys.readouterr().out
    record = json.loads((run / "goals-learn-goals-2-decisions-5-pairs-3-position-0.2.json").read_text())
    assert list(record["results"]) == ["plan", "policy", "random"]
    assert record["within"] == {"position": 0.2}
    assert len(record["results"]["plan"]["reached"]) == record["pairs"] == 3
    assert all(word in shown for word in ("3 goals", "position within 0.2", "plan", "policy", "random"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--goals", "2"], "does not say when a goal is reached; give a readout"),
        (
            ["--goals", "2", "--learn-goals", "100000000"],
            "does not say when a goal is reached; give a readout",
        ),
        (["--goals", "2", "--goal-within", "place=1"], "'place' is no readout"),
        (["--goals", "2", "--goal-within", "position.1=1"], "'position.1' is no readout"),
        (["--goals", "2", "--goal-within", "position"], "not of the form NAME=DISTANCE"),
        (["--goals", "2", *["--goal-within", "position=1"] * 2], "--goal-within: position comes twice"),
        (["--goals", "2", "--goal-within", "position=-1"], "is not a finite number above 0"),
        (["--goals", "0"], "0 is less than 1"),
        (
            ["--goals", "2", "--goal-within", "position=1", "--goal-decisions", "9000"],
            "an attempt of 9,000 decisions is longer than an episode",
        ),
        (
            ["--goals", "2", "--goal-within", "position=1", "--goal-energy", "both"],
            "--goal-energy: both is learned by --learn-goals; add --learn-goals 10000",
        ),
        (
            ["--goals", "2", "--goal-within", "position=1", "--planner.kind", "policy"],
            "--planner.kind: policy acts towards a goal by what --learn-goals learns",
        ),
        (["--goals", "2", "--task", "still"], "--task: does not go with --goals"),
        (["--goals", "2", "--adapt"], "--adapt: does not go with --goals"),
        (["--goals", "2", "--episodes", "3"], "--episodes: does not go with --goals; give --goals N"),
        (["--learn-goals", "20"], "--learn-goals: is for reaching goals; add --goal"),
        (["--goal-oracle"], "--goal-oracle: is for reaching goals; add --goals"),
        (["--goal", "episode:1"], "no moment such as"),
        (["--goal", "episode:999@0", "--learn-goals", "9999999"], "there is no episode 999"),
        (
            ["--goal", "episode:0@0", "--planner.kind", "policy"],
            "acts towards a goal by what --learn-goals learns",
        ),
        (["--goal", "episode:1@2", "--task", "still"], "--goal: does not go with a task"),
    ],
)
def test_what_does_not_go_together_is_refused(trained_run: Path, options: list[str], message: str) -> None:
    assert_refused("evaluate", [str(trained_run), *options], message)


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_played(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("joule.trained.Request.load_unlearned", None)
    with pytest.raises(ConfigError, match="cannot be written; give a file in a folder"):
        joule.evaluate_goals(trained_run, 1, within={"position": 0.2}, out=tmp_path / "none" / "g.json")


def test_a_seed_is_taken_as_it_is_and_is_in_the_name_of_the_file(run: Path) -> None:
    options = ["--goals", "1", "--goal-within", "position=0.2", "--goal-decisions", "5"]
    for more in ((), ("--seed", "10000")):
        assert evaluate.main([str(run), *options, *more]) == 0
    files = sorted(path.name for path in run.glob("goals*.json"))
    stem = "decisions-5-pairs-1-position-0.2"
    assert files == [f"goals-{stem}-seed-10000.json", f"goals-{stem}.json"]
    assert json.loads((run / files[0]).read_text())["first_seed"] == 10_000


def test_evaluations_that_differ_have_files_of_their_own(run: Path) -> None:
    recordings = [GoalRequest(recording=f"swm:{folder}/held.h5") for folder in "ab"]
    requests = [GoalRequest(), GoalRequest(oracle=True), GoalRequest(seed=10_000), *recordings]
    assert len({"-".join(_parts(Request(run, {}), each)) for each in requests}) == len(requests)


def test_an_agent_in_memory_plans_as_before_when_its_goals_were_evaluated(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    before = agent.modules.task_cost, agent.modules.actor
    record = joule.evaluate_goals(agent, 2, within={"position": 0.2}, decisions=3)
    assert list(record["results"]) == ["plan", "random"]
    assert (agent.modules.task_cost, agent.modules.actor) == before
    with pytest.raises(ConfigError, match="an agent in memory keeps what it plans for"):
        joule.evaluate(agent, goal="episode:0@1")


def test_a_policy_without_a_planner_is_no_plan(trained_run: Path) -> None:
    asked: dict[str, Any] = {"within": {"position": 0.2}, "decisions": 3, "learn_goals": 1}
    record = joule.evaluate_goals(trained_run, 2, settings={"planner.kind": "policy"}, **asked)
    assert list(record["results"]) == ["policy", "random"]
    assert record["energy"] is None


def test_without_memory_there_are_no_sub_goals() -> None:
    agent: Any = joule.make("joule", env=joule.make_env(tiny_env.ID), preset="smoke")
    record = joule.evaluate_goals(agent, 2, within={"position": 0.2}, decisions=3)
    assert record["sub_goal_decisions"] == 0
    with pytest.raises(ConfigError, match="sub-goals are remembered moments, and this agent has no replay"):
        joule.evaluate_goals(agent, 2, within={"position": 0.2}, decisions=3, sub_goal_decisions=9)


def test_ways_are_those_of_what_is_remembered_now(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    asked: dict[str, Any] = {"within": {"position": 0.2}, "decisions": 2}
    joule.evaluate_goals(agent, 1, **asked)
    first = agent.configurator.goals._experience
    joule.evaluate_goals(agent, 1, **asked)
    assert first is not agent.configurator.goals._experience is not None


def test_a_horizon_that_is_asked_for_is_that_of_plans_for_goals(trained_run: Path) -> None:
    asked: dict[str, Any] = {"within": {"position": 0.2}, "decisions": 2}
    for horizon, settings in ((15, {}), (4, {"planner.horizon_decisions": 4})):
        record = joule.evaluate_goals(trained_run, 1, settings=settings, **asked)
        assert record["planner"]["horizon_decisions"] == horizon
        agent: Any = Request(trained_run, settings | {"goal": "episode:0@1"}).load().world_model
        assert agent.modules.actor.horizon == horizon
    with pytest.raises(ConfigError, match="--seed: -1 is less than 0"):
        joule.evaluate_goals(trained_run, 1, seed=-1, **asked)

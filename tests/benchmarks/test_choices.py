"""What benchmarks try on a robot: choices of a file, and defaults that follow from the model."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import envs
from agent.cost.constraint import parse_constraint
from agent.cost.task import TaskReward
from agent.cost.task_text import parse
from benchmarks.comprehension import constraints, intuition, sensors, tasks
from benchmarks.comprehension.choices import KEYS, Choices, choices_for
from benchmarks.comprehension.default_tasks import constraint_for, tasks_for, visit
from benchmarks.comprehension.episodes import play
from benchmarks.comprehension.run_folders import folder_name
from benchmarks.comprehension.worlds import worlds_for
from benchmarks.refusals import exit_code
from joule_errors import Refused

EXAMPLE = Path(tasks.__file__).with_name("robots.json")
ROBOTS = ("HalfCheetah-v5", "Hopper-v5", "joule/Reach-v0", "dmc:finger-spin")


@pytest.fixture(scope="module")
def made() -> dict[str, envs.SafeEnv]:
    return {name: envs.make(name) for name in ROBOTS}


def test_the_example_holds_choices_of_every_robot_in_it(made: dict[str, envs.SafeEnv]) -> None:
    for name in json.loads(EXAMPLE.read_text()):
        found = choices_for(EXAMPLE, name)
        env = made[name] if name in made else envs.make(name)
        for task, costs in (found.tasks or {}).items():
            tasks.check_fits(env, task, costs)
        if found.constraint is not None:
            constraints.check_fits(env, found.constraint)
        assert found.worlds is None or worlds_for(env, found.worlds) == found.worlds
    assert choices_for(EXAMPLE, "Ant-v5") == Choices()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "cannot be read as JSON"),
        ("[]", "must hold a table by environment"),
        ('{"A": 3}', "'A' must hold a table"),
        ('{"A": {"world": []}}', "unknown key 'world': did you mean worlds"),
        ('{"A": {"worlds": "gravity=2"}}', "worlds of A must be a list of texts"),
        ('{"A": {"tasks": {}}}', "tasks of A must be a table of name and costs"),
        ('{"A": {"start": 1}}', "start of A must be a text"),
    ],
)
def test_a_file_that_holds_no_choices_is_one_sentence(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "robots.json"
    path.write_text(content)
    with pytest.raises(Refused, match=message) as refusal:
        choices_for(path, "A")
    assert "\n" not in str(refusal.value)


def test_a_table_for_every_other_robot(tmp_path: Path) -> None:
    path = tmp_path / "robots.json"
    path.write_text('{"*": {"violations": ["up"]}, "A": {"sensors": [""]}}')
    assert choices_for(path, "B") == Choices(violations=("up",))
    assert choices_for(path, "A") == Choices(sensors=("",))
    assert choices_for(None, "A") == Choices()
    assert set(KEYS) >= {"worlds", "tasks", "constraint", "violations"}


def test_default_worlds_follow_from_the_model(made: dict[str, envs.SafeEnv]) -> None:
    cheetah = worlds_for(made["HalfCheetah-v5"])
    assert len(cheetah) == 10
    assert {"mass.torso=2", "dead=bthigh", "latency=1"} <= set(cheetah)
    assert "dead=0" in worlds_for(made["Hopper-v5"])  # its motors have no names
    assert {"latency=2", "mass.spinner=2"} <= set(worlds_for(made["dmc:finger-spin"]))
    flat = worlds_for(made["joule/Reach-v0"])
    assert not any(text.startswith(("gravity", "friction")) for text in flat)
    assert made["HalfCheetah-v5"].perturbations == []


@pytest.mark.parametrize(
    ("robot", "world", "message"),
    [
        (
            "joule/Reach-v0",
            "gravity=2",
            "changes nothing in joule/Reach-v0: gravity moves none of its joints",
        ),
        ("HalfCheetah-v5", "mass.tors=2", "did you mean torso"),
        ("HalfCheetah-v5", "graviti=2", "did you mean gravity"),
        ("HalfCheetah-v5", "gravity=0.5..2", "here it must be one value"),
    ],
)
def test_a_world_that_does_not_apply_is_one_sentence(
    made: dict[str, envs.SafeEnv], robot: str, world: str, message: str
) -> None:
    with pytest.raises(Refused, match=message):
        worlds_for(made[robot], [world])


@pytest.mark.parametrize("robot", [pytest.param(ROBOTS[0], marks=pytest.mark.slow), *ROBOTS[1:]])
def test_there_are_five_default_tasks_and_each_fits(made: dict[str, envs.SafeEnv], robot: str) -> None:
    env = made[robot]
    found, left = tasks_for(env, {})
    assert len(found) >= 5 - (robot == "Hopper-v5")  # one that falls cannot lie on its back
    assert not left
    for name, costs in found.items():
        tasks.check_fits(env, name, costs)
    constraint = constraint_for(env, {})
    parse_constraint(constraint.split("{")[0] + "1")


def test_a_task_whose_readout_is_illegible_is_left_out(made: dict[str, envs.SafeEnv]) -> None:
    known = dict.fromkeys(visit(made["HalfCheetah-v5"]).names, 0.95)
    found, left = tasks_for(made["HalfCheetah-v5"], known | {"velocity": 0.4})
    assert "run backwards" not in found
    assert left["run backwards"] == "velocity has R² 0.40"
    assert constraint_for(made["HalfCheetah-v5"], known | {"speed": 0.1}) == "velocity<{velocity}"
    with pytest.raises(Refused, match="has no default task"):
        tasks_for(made["HalfCheetah-v5"], dict.fromkeys(known, 0.0))


def test_an_early_fall_does_not_pay(made: dict[str, envs.SafeEnv]) -> None:
    env = made["Hopper-v5"]
    found, _ = tasks_for(env, {})
    env.reset(seed=1)
    zero = np.zeros(3, np.float32)
    for name in ("stand still", "jump"):
        assert TaskReward(parse(found[name]))(env.env_spec, env.readouts(), zero, 0.0) < 0.0, name


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda env: tasks.check_fits(env, "fly", "more:wings"), "task 'fly' does not fit HalfCheetah-v5"),
        (
            lambda env: tasks.costs_for(env, options_of(tasks.parser(), "--tasks", "more:height"), {}),
            "NAME=COSTS",
        ),
        (
            lambda env: tasks.costs_for(env, options_of(tasks.parser(), "--only", "x"), {}),
            "--only 'x': the tasks",
        ),
        (lambda env: constraints.check_fits(env, "wings<{wings}"), "does not fit HalfCheetah-v5"),
        (lambda env: constraints.check_fits(env, "speed"), "does not fit HalfCheetah-v5"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_sentence(
    made: dict[str, envs.SafeEnv],
    call: Callable[[Any], Any],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def main() -> int:
        call(made["HalfCheetah-v5"])
        return 0

    assert exit_code(main) == 2
    sentence = capsys.readouterr().err
    assert message in sentence
    assert sentence.count("\n") == 1


def options_of(parser: argparse.ArgumentParser, *words: str) -> argparse.Namespace:
    return parser.parse_args(["--env", "HalfCheetah-v5", "--sac", "1", *words])


@pytest.mark.parametrize("words", [("--sac", "9"), ("--env", "Hopper-v5"), ("--env", "A", "--sac", "9")])
def test_a_run_and_options_of_sac_are_not_given_together(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["tasks.py", "RUN", *words])
    with pytest.raises(SystemExit, match="2"):
        tasks.main()
    assert "give them without RUN" in capsys.readouterr().err


def test_folders_of_tasks_that_differ_by_a_sign_or_by_their_first_run_are_two() -> None:
    folders = {tasks.sac_run("A", costs, 9).folder for costs in ("track:x=1", "track:x=-1")}
    assert len(folders) == 2
    assert all("track-x-1" in folder.name for folder in folders)
    assert folder_name("A seed 1", ("id of a run", "9")) != folder_name("A seed 1", ("id of another", "9"))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.00123456, "0.00123"), (6.238, "6.24"), (1234.5, "1230"), (2.0, "2"), (-0.5, "-0.5")],
)
def test_a_bound_of_a_slow_robot_is_not_zero(value: float, text: str) -> None:
    assert constraints.digits(value) == text
    parse_constraint(f"speed<{text}")


def test_nothing_is_decided_for_episodes_that_have_all_ended() -> None:
    class Env:
        def __init__(self, length: int) -> None:
            self.left = length

        def reset(self, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
            return np.zeros(1), {}

        def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
            self.left -= 1
            return np.zeros(1), 1.0, self.left == 0, False, {}

    decided = []

    def decide(obs: np.ndarray, state: Any, starts: np.ndarray) -> tuple[np.ndarray, Any]:
        decided.append(starts)
        return np.zeros((len(obs), 1)), None

    assert len(list(play(decide, [Env(2), Env(4)], 100))) == 6
    assert len(decided) == 4


def test_sensors_have_options_for_other_conditions() -> None:
    options = sensors.parser().parse_args(["RUN", "--conditions", "dead_sensor.torso_pitch", ""])
    assert options.conditions == ["dead_sensor.torso_pitch", ""]


@pytest.mark.parametrize(
    ("parser", "option"),
    [
        (tasks.parser, "--updates"),
        (constraints.parser, "--episodes"),
        (sensors.parser, "--episodes"),
        (intuition.parser, "--real-steps"),
    ],
)
def test_a_count_of_none_is_refused_before_a_run_is_loaded(
    parser: Callable[[], argparse.ArgumentParser], option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in ("0", "-5"):
        with pytest.raises(SystemExit) as ended:
            parser().parse_args(["RUN", f"{option}={text}"])
        assert ended.value.code == 2
        assert f"argument {option}: {text} is less than 1" in capsys.readouterr().err
    found = vars(parser().parse_args(["RUN", option, "1e3"]))
    assert found[option.strip("-").replace("-", "_")] == 1_000

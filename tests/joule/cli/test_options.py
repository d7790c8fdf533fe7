"""The options: made from the settings, grouped by module, with the settings of the chosen planner."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import pytest
from run_files import make_run

from agent.configurator.settings import ActorConfig, Config, LearningConfig, PlannerConfig, RegularizerConfig
from agent.errors import ConfigError
from joule.arguments import as_path
from joule.cli.command_line import setting_words
from joule.cli.named_kinds import named_kinds
from joule.cli.nearest_option import OTHER_NAMES
from joule.cli.options import field_help, given_settings
from joule.cli.parser import Parser, json_object, number, whole_number
from joule.commands import evaluate, play, sweep, train
from joule.settings import config_init_from


def help_of(arguments: list[str]) -> str:
    return train.parser(arguments).format_help()


def test_settings_are_grouped_by_module() -> None:
    text = help_of([])
    groups = [line for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    modules = ["model:", "regularizer:", "cost:", "actor:", "planner:", "explore:", "learning:"]
    assert groups == ["options:", "run:", *modules]
    assert "usage: " in text
    assert "[options]" in text.splitlines()[0]


def test_the_short_help_names_the_settings_of_the_parts_and_leaves_them_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        train.parser().parse(["-h"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert "--steps N" in text
    assert "--learning.* " in text
    assert "--learning.batch-size" not in text
    assert len(text.splitlines()) < len(help_of([]).splitlines()) / 2


def test_the_help_shows_the_settings_of_the_planner_that_the_arguments_name() -> None:
    assert "--planner.temperature" in help_of([])
    assert "--planner.colour" not in help_of([])
    for arguments in (["--planner.kind", "icem"], ["--planner.kind=icem", "--help"]):
        assert "--planner.colour" in help_of(arguments)
        assert "of icem" in help_of(arguments)
        assert "--planner.temperature" not in help_of(arguments)
    assert "--planner.samples" not in help_of(["--planner.kind", "policy"])
    assert "--regularizer.group-size" not in help_of(["--regularizer.kind", "vicreg"])
    assert "--planner.colour" in evaluate.parser(["RUN", "--planner.kind", "icem"]).format_help()


def test_the_last_kind_that_is_named_counts() -> None:
    usual = {"planner": Config().planner.kind, "regularizer": Config().regularizer.kind}
    assert named_kinds([]) == named_kinds(["--planner.kind"]) == usual
    assert named_kinds(["--planner.kind", "cem", "--planner.kind=icem"]) == usual | {"planner": "icem"}
    words = ["--regularizer.kind", "vicreg", "--planner.kind", "cem"]
    assert named_kinds(words) == {"planner": "cem", "regularizer": "vicreg"}


def test_a_kind_that_no_option_names_is_that_of_the_run(tmp_path: Path) -> None:
    run, other = str(tmp_path / "run"), str(tmp_path / "other")
    make_run(tmp_path / "run", planner=PlannerConfig("icem"), regularizer=RegularizerConfig("vicreg"))
    make_run(tmp_path / "other")
    of_run = {"planner": "icem", "regularizer": "vicreg"}
    for words in (
        [run],
        ["--episodes", "3", run],
        ["--resume", run],
        [f"--init-from={run}"],
        ["--adapt", run],
    ):
        assert named_kinds(words) == of_run
        assert "--planner.colour" in help_of(words)
    assert named_kinds(["--planner.kind", "cem", run]) == of_run | {"planner": "cem"}
    assert named_kinds(["--data", run, "--out", "absent"]) == named_kinds([other])
    (tmp_path / "run" / "config.json").write_text("{")
    assert named_kinds([run]) == named_kinds([])


def test_a_setting_of_another_kind_is_read_and_refused_by_validation() -> None:
    options = train.parser().parse(["--planner.colour", "2"])
    assert given_settings(options) == {"planner.colour": 2.0}
    with pytest.raises(ConfigError, match="planner mppi has no such setting; icem has it"):
        train.main(["--planner.colour", "2"])


def test_only_given_options_are_settings() -> None:
    arguments = ["--perturb", "mass=2", "--perturb", "gravity=0.5", "--no-video", "--learning.utd", "0.5"]
    given = given_settings(train.parser().parse([*arguments, "--out", "run"]))
    assert given == {"perturb": ("mass=2", "gravity=0.5"), "video": False, "learning.utd": 0.5}


def test_the_help_of_a_setting_is_the_docstring_under_it() -> None:
    found = field_help(ActorConfig)
    assert found["proposals"] == "Candidate sequences that the policy proposes to the planner."
    assert set(found) == set(vars(ActorConfig()))
    assert all(set(field_help(node)) == set(vars(node())) for node in (LearningConfig,))


@pytest.mark.parametrize(("text", "value"), [("2000", 2000), ("1e3", 1000), ("1_000", 1000), ("2.5e3", 2500)])
def test_a_budget_may_be_written_as_people_write_it(text: str, value: int) -> None:
    assert whole_number(text) == value


def test_the_home_folder_is_what_a_shell_would_have_made_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert train.parser([]).parse(["--out=~/runs/a"]).out == Path("/home/ada/runs/a")
    assert as_path("out", "~/runs/a") == Path("/home/ada/runs/a")
    assert as_path("out", "~nobody-of-that-name/a") == Path("~nobody-of-that-name/a")


@pytest.mark.parametrize("command", [train, evaluate, play])
def test_a_second_task_is_refused_and_not_taken_in_place_of_the_first(command: Any) -> None:
    run = [] if command is train else ["RUN"]
    with pytest.raises(ConfigError, match=r"--task: found 'still' and 'more:height'; join .* by \+"):
        command.parser().parse([*run, "--task", "still", "--task=more:height"])
    again = command.parser().parse([*run, "--task", "still", "--task", "still", "--seed", "1", "--seed", "2"])
    assert given_settings(again)["task"] == "still"


def test_a_second_source_of_data_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^--data: found 'one' and 'two'; give one source"):
        train.parser().parse(["--data", "one", "--data", "two"])


def test_a_value_that_cannot_be_read_is_named() -> None:
    for reader, text in ((whole_number, "1.5"), (number, "fast"), (number, "inf"), (json_object, "[1]")):
        with pytest.raises(argparse.ArgumentTypeError, match=text.replace("[", r"\[")):
            reader(text)
    with pytest.raises(argparse.ArgumentTypeError, match="the key 'a' comes twice"):
        json_object('{"a": 1, "a": 2}')


def test_help_and_examples_have_the_form_in_which_the_process_was_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/bin/joule", "train"])
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/joule")
    text = Parser("train.py", "Train.\n\npython train.py --preset smoke").format_help()
    assert text.startswith("usage: joule train [options]")
    assert "joule train --preset smoke" in text
    assert "train.py" not in text


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("--lr", "did you mean --learning.learning-rate?"),
        ("--learning.lr", "did you mean --learning.learning-rate?"),
        ("--learning-rate", "did you mean --learning.learning-rate?"),
        ("--batch-size", "did you mean --learning.batch-size?"),
        ("--batch_size=64", "did you mean --learning.batch-size?"),
        ("--total-timesteps", "did you mean --steps?"),
        ("--timesteps", "did you mean --steps?"),
        ("--horizon", "did you mean --planner.horizon-decisions?"),
        ("--output", "did you mean --out?"),
        ("--no-vidoe", "did you mean --no-video?"),
        ("--planer.kind", "did you mean --planner.kind?"),
        ("--kind", "did you mean --regularizer.kind or --planner.kind or --explore.kind?"),
        *((typed, "see {prog} --help") for typed in ("--adapt", "--learning.foo", "--epochs", "--x", "-n")),
    ],
)
def test_an_unknown_option_comes_with_what_was_meant_or_where_to_look(typed: str, hint: str) -> None:
    parser = train.parser()
    with pytest.raises(ConfigError) as refusal:
        parser.parse([typed])
    assert str(refusal.value) == f"unknown option {typed.partition('=')[0]}; {hint.format(prog=parser.prog)}"


@pytest.mark.parametrize("typed", ["--adapt", "--lr", "--timesteps"])
def test_an_option_of_another_command_is_not_taken_for_one_of_this(typed: str) -> None:
    with pytest.raises(ConfigError, match=f"^unknown option {typed}; see .*play --help$"):
        play.parser().parse(["run", typed])


def test_every_other_name_is_that_of_an_option() -> None:
    known = [
        {option.lstrip("-") for action in parser._actions for option in action.option_strings}
        for parser in (train.parser(), sweep.parser())
    ]
    assert set(OTHER_NAMES.values()) <= set().union(*known)
    for options in known:
        assert not [other for other, meant in OTHER_NAMES.items() if {other, meant} <= options]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("50k", "'50k' is not a number; write 50000"),
        ("2M", "'2M' is not a number; write 2000000"),
        ("1.5k", "'1.5k' is not a number; write 1500"),
        ("50kb", "'50kb' is not a number"),
        ("k", "'k' is not a number"),
        ("1.0005k", "'1.0005k' is not a number"),
    ],
)
def test_a_number_with_a_suffix_is_written_out(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=f"{re.escape(sentence)}$"):
        train.parser().parse(["--steps", text])


def test_no_perturbation_is_said_in_so_many_words() -> None:
    words = setting_words({"perturb": (), "constraint": (), "seed": 2})
    assert words == ["--perturb=none", "--seed=2"]
    earlier = Config(perturb=("mass=2",))
    assert config_init_from(earlier, given_settings(train.parser().parse(words))).perturb == ()

"""The command render: where a film goes, what it is named, and what is refused."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import pytest
from commands import assert_help_is_instant, assert_refused
from drawn_env import ID

import joule
from agent.errors import ConfigError
from envs import EnvError
from joule.commands import render, train
from joule.output_names import name_parts


@pytest.fixture(scope="module")
def zero_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of an agent that does nothing, in an environment that renders."""
    run = tmp_path_factory.mktemp("runs") / "zero"
    options = ["--env", ID, "--agent", "zero", "--steps", "30", "--eval-episodes", "1", "--no-video"]
    assert train.main([*options, "--out", str(run)]) == 0
    return run


def test_a_film_goes_into_the_run_or_where_it_is_asked_for(
    zero_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert render.main([str(zero_run), "--seed", "7"]) == 0
    film = zero_run / "videos" / "step-30-seed-7.mp4"
    assert len(iio.imread(film)) == 26
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("seed 7: return ")
    assert printed[-1] == str(film)
    assert render.main([str(zero_run), "--episodes", "2", "--out", str(tmp_path / "two.mp4")]) == 0
    assert len(iio.imread(tmp_path / "two.mp4")) == 52


def test_what_a_film_cannot_show_is_refused(zero_run: Path) -> None:
    with pytest.raises(ConfigError, match="imagine: zero has no world model"):
        render.main([str(zero_run), "--imagine"])
    with pytest.raises(ConfigError, match="--adapt: zero has no world model"):
        render.main([str(zero_run), "--adapt"])
    assert_refused(
        "render", [str(zero_run), "--out", "film.xyz"], "--out: film.xyz is no film; give a name that"
    )


def test_a_folder_that_cannot_be_written_is_refused_before_the_agent_learns(
    zero_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever may do everything, as in a container, can write anywhere: the answer of the system is replaced.
    monkeypatch.setattr("joule.filming.film_file.os.access", lambda path, mode: False)
    monkeypatch.setattr("joule.trained.Request.load", lambda request: pytest.fail("the agent was loaded"))
    with pytest.raises(ConfigError, match=r"--out: .*videos cannot be written; give a file in a folder"):
        joule.render(zero_run)
    with pytest.raises(ConfigError, match="new cannot be written; give a file in a folder"):
        joule.render(zero_run, out=tmp_path / "new" / "film.mp4")


def test_an_environment_that_cannot_be_drawn_is_refused_before_the_agent_learns(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("joule.trained.Request.load", lambda request: pytest.fail("the agent was loaded"))
    learned = {"task": "less:position", "learn_task": 1}, {"adapt": True}
    for asked in learned:
        with pytest.raises(EnvError, match="one that can be shown takes render_mode"):
            joule.render(trained_run, out=tmp_path / "film.mp4", **asked)


def test_a_size_that_the_environment_does_not_take_is_said(
    zero_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [str(zero_run), "--out", str(tmp_path / "film.mp4")]
    assert render.main([*command, "--width", "960"]) == 0
    printed = capsys.readouterr()
    assert "the frames are 120 x 90 pixels, not 960 x 480: " in printed.out + printed.err
    assert "decides their size itself; the film shows them 3 times as large" in printed.out + printed.err
    assert render.main(command) == 0
    printed = capsys.readouterr()
    assert "pixels" not in printed.out + printed.err


def test_a_film_is_named_after_what_it_shows() -> None:
    parts = name_parts({"perturb": ("gravity=0.5@300",), "planner.kind": "icem"}, seed=3)
    assert render.film_name(500, False, None, []) == "step-500"
    name = render.film_name(500, True, 7, parts)
    assert name == "step-500-imagine-at-7-gravity-0.5@300-kind-icem-seed-3"
    assert render.film_name(500, True, None, [], 3, (960, 720)) == "step-500-imagine-episodes-3-960x720"
    assert name_parts({"constraint": ("speed<2",)}) != name_parts({"constraint": ("speed>2",)})
    assert name_parts({"goal_within": {"x": 5e6}}) != name_parts({"goal_within": {"x": 5e-6}})
    assert name_parts({"constraint": ("x<5e+6",)}) == name_parts({"constraint": ("x<5e6",)})
    assert name_parts({"perturb": ("mass=1|2", "gravity=0.7..1.3")}) == ["mass-1-or-2", "gravity-0.7..1.3"]
    many = [name_parts({"perturb": tuple(f"mass.part_{k}=2" for k in range(count))}) for count in (40, 41)]
    assert all(len("-".join(parts)) < 200 for parts in many), "a file system takes the name"
    assert many[0] != many[1]
    assert name_parts({"perturb": ()}) == name_parts({"perturb": ("none",)}) == ["perturb-none"]
    assert name_parts({"task": "own"}, learn_task=50, adapt=True) == ["task-own", "learn-task-50", "adapt"]


def test_help_is_instant() -> None:
    assert_help_is_instant("render", "--imagine-at")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["."], "run.json"),
        (["no-such-run"], "does not exist"),
        ([".", "--height", "479"], "--height: 479"),
        ([".", "--seed", "-1"], "--seed: -1"),
        ([".", "--imagine-at", "-1"], "--imagine-at: -1"),
        ([".", "--planer.kind", "icem"], "did you mean --planner.kind?"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], sentence: str) -> None:
    assert_refused("render", arguments, sentence)

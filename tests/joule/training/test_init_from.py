"""A run that begins with another run's agent, by the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from run_comparison import assert_same_run

import joule
from agent.errors import ConfigError
from joule.commands import train
from joule.storage.errors import RunError

Options = Callable[..., list[str]]
AtFrame = Callable[[int | None, Callable[[], Any]], None]
TASK = "track:position=-1"


class Killed(BaseException):
    """Stands for the end of the process."""


def die() -> None:
    raise Killed


def begin(whole: Path, folder: Path, *more: str) -> list[str]:
    task = [] if "--task" in more else ["--task", TASK]
    return ["--init-from", str(whole), *task, "--seed", "3", *more, "--out", str(folder)]


@pytest.mark.slow
def test_it_has_the_settings_of_the_other_run_and_can_be_killed(
    whole: Path, at_frame: AtFrame, tmp_path: Path
) -> None:
    assert train.main(begin(whole, tmp_path / "whole")) == 0
    config = json.loads((tmp_path / "whole" / "config.json").read_text())
    assert (config["task"], config["seed"], config["steps"]) == (TASK, 3, 90)
    assert config["model"] == json.loads((whole / "config.json").read_text())["model"]
    assert config["explore"]["warmup_decisions"] == 0
    assert "--init-from" in (tmp_path / "whole" / "command.txt").read_text()
    held = [joule.load(run).modules.replay_buffer.held for run in (whole, tmp_path / "whole")]  # type: ignore[attr-defined]
    assert held[1] == 2 * held[0]

    for frame in (5, 47):  # before its first checkpoint after the beginning; between two
        at_frame(frame, die)
        with pytest.raises(Killed):
            train.main(begin(whole, tmp_path / f"{frame}"))
        at_frame(None, die)
        assert train.main(["--resume", str(tmp_path / f"{frame}")]) == 0
        assert_same_run(tmp_path / "whole", tmp_path / f"{frame}")


@pytest.mark.slow
def test_python_does_the_same(whole: Path, tmp_path: Path) -> None:
    trained = joule.train(
        init_from=whole, out=tmp_path / "run", task=TASK, steps=20, progress=False, settings={"video": False}
    )
    assert trained.agent.frames == 20
    assert f"--init-from {whole}" in (tmp_path / "run" / "command.txt").read_text()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--preset", "smoke"], "--preset: this run begins with the settings of another"),
        (["--override"], "--override: is for another run"),
        (["--perceive", "energy"], "perceive: energy is for a trained agent"),
        (["--agent", "sac"], "init_from: sac has no world model"),
        (["--num-envs", "2"], "num_envs: the replay of this run has a stream"),
        (
            ["--model.latent-dim", "24"],
            "init_from: model.latent_dim of that agent is 16, and its networks keep",
        ),
        (["--env", "InvertedPendulum-v5", "--task", ""], "observations of"),
        (["--task", "less:wings"], "wings"),
        (["--ray"], "--ray: it is for actors, and this run has none"),
    ],
)
def test_what_cannot_be_is_one_sentence(more: list[str], message: str, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        train.main(begin(whole, tmp_path / "run", *more))
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "run").exists()


def test_the_folder_may_be_a_link_to_an_empty_one_but_not_the_present_one(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    assert train.main([*begin(whole, tmp_path / "link"), "--steps", "4"]) == 0
    assert (tmp_path / "target" / "run.json").exists()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(RunError, match="is the present folder"):
        train.main(begin(whole, Path(".")))
    assert not any((tmp_path / "here").iterdir())


def test_a_folder_that_is_no_run_is_refused(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="nothing-here"):
        train.main(begin(tmp_path / "nothing-here", tmp_path / "run"))
    with pytest.raises(ConfigError, match="give one of the two"):
        train.main(["--init-from", str(whole), "--resume", str(whole)])

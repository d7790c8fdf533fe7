"""`joule push RUN --out DIR`: the shared form in a folder, without the Hub."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arm_file import ARM

import joule
from joule.commands import evaluate, push
from joule.sharing.provenance import evaluations_until, portable_command, portable_source
from joule_errors import Refused


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_folder_holds_an_agent_that_acts_the_same(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    folder = tmp_path / "point"
    before = sorted(trained_run.rglob("*"))
    assert push.main([str(trained_run), "--out", str(folder), "--license", "mit"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == str(folder)
    assert "render" in said[-2]
    assert sorted(trained_run.rglob("*")) == before, "a push writes nothing into the run"
    assert [path.name for path in tmp_path.iterdir()] == ["point"]
    files = files_of(folder)
    assert not [name for name in files if name.startswith(("replay", "tensorboard", "metrics"))]
    assert set(json.loads(files["provenance.json"])["files"]) < set(files)
    assert "joule pull" not in files["README.md"].decode()

    own: Any = joule.load(trained_run)
    other: Any = joule.load(folder)
    one, two = None, None
    for row in np.random.default_rng(0).uniform(-1, 1, (4, 3)).astype(np.float32):
        (a, one), (b, two) = own.predict(row, one), other.predict(row, two)
        np.testing.assert_array_equal(a, b)


def test_a_place_that_is_taken_is_refused_and_stays(trained_run: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.tex").write_text("mine")
    with pytest.raises(Refused, match="taken"):
        joule.push(trained_run, out=tmp_path / "taken")
    assert files_of(tmp_path) == {"taken/thesis.tex": b"mine"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give a repository such as name/halfcheetah, or --out"),
        ({"repo": "a/b", "out": "c"}, "give a repository such as name/halfcheetah, or --out"),
        ({"out": "c", "private": True}, "--private: is of a repository"),
        ({"out": "c", "revision": "v2"}, "--revision: is of a repository"),
        ({"out": "c", "message": "new"}, "--message: is of a repository"),
    ],
)
def test_a_push_has_one_target(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refused, match=message):
        joule.push(trained_run, **given)
    assert not list(tmp_path.iterdir())


def test_an_agent_in_memory_is_saved_first(trained_run: Path, tmp_path: Path) -> None:
    agent: Any = joule.load(trained_run)
    with pytest.raises(
        Refused, match=r"run: found .*WorldModelAgent.*; give .* such as that of agent\.save\(folder\)"
    ):
        joule.push(agent, out=tmp_path / "shared")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("train.py --data /home/me/secret/eps --steps 10", "joule train --data eps --steps 10"),
        ("joule train --data=swm:/home/me/pusht.h5", "joule train --data swm:pusht.h5"),
        (
            "joule train --data minari:mujoco/hopper/medium-v0",
            "joule train --data minari:mujoco/hopper/medium-v0",
        ),
        ("joule train --actors 2 --ray 10.0.0.5:6379 --seed 1", "joule train --actors 2 --seed 1"),
        ("joule train --ray --out /home/me/runs/a --seed 1", "joule train --seed 1"),
        ("joule train --init-from /home/me/runs/a/", "joule train --init-from a"),
        ("joule train --env /home/me/arm.xml --seed 1", "joule train --env arm.xml --seed 1"),
        ("joule train --env=~/arm.xml", "joule train --env arm.xml"),
    ],
)
def test_a_command_is_shared_without_what_is_of_the_machine(typed: str, kept: str) -> None:
    assert portable_command(typed) == kept


def test_an_address_is_no_path() -> None:
    assert portable_source("joule://reach") == "joule://reach"


def test_an_evaluation_that_a_kill_has_cut_short_is_left_out() -> None:
    whole = "frames,return_mean,return_std\n100,1.5,0.1\n"
    table, rows = evaluations_until(f"{whole}200,2.", 1000)
    assert (table, [row["frames"] for row in rows]) == (whole, ["100"])
    assert len(evaluations_until(f"{whole}200,2.5,0.2", 1000)[1]) == 2, "only the last line end is missing"


class Given:
    """What is given as a path by its method."""

    def __init__(self, path: Any) -> None:
        self.path = path

    def __fspath__(self) -> Any:
        return self.path


@pytest.mark.parametrize("run", [b"runs/x", 3, Given(b"runs/x")])
def test_what_is_no_path_of_a_run_is_told_what_to_give(run: Any, tmp_path: Path) -> None:
    with pytest.raises(
        Refused, match=r"run: found .*; give the path of a run folder, such as that of agent\."
    ):
        joule.push(run, out=tmp_path / "out")


def test_an_object_with_a_path_is_taken_as_the_path(tmp_path: Path) -> None:
    with pytest.raises(Refused) as told:
        joule.push(str(tmp_path / "none"), out=tmp_path / "out")
    with pytest.raises(Refused, match=str(told.value)):
        joule.push(Given(str(tmp_path / "none")), out=tmp_path / "out")


def test_a_robot_of_a_model_file_is_shared_without_its_path_and_shown_where_the_file_lies_now(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    model, moved = tmp_path / "mine" / "arm.xml", tmp_path / "theirs.xml"
    model.write_text(ARM)
    run = tmp_path / "run"
    small: dict[str, Any] = {"preset": "smoke", "max_episode_frames": 20, "video": False}
    joule.train(env=model, task="upright", steps=40, out=run, **small)
    capsys.readouterr()
    assert push.main([str(run), "--out", str(tmp_path / "shared")]) == 0
    said = capsys.readouterr().out
    assert f"the robot's model file, {model}, is not among them" in said
    assert f"render {tmp_path / 'shared'} --env {model}" in said
    files = files_of(tmp_path / "shared")
    assert not [name for name, data in files.items() if bytes(model.parent) in data]
    card = files["README.md"].decode()
    assert "joule render . --env arm.xml\n" in card
    assert "arm.xml, does not come with the agent" in card

    model.rename(moved)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another user"))
    with pytest.raises(Refused, match=r"add --trust-env-kwargs; or name its model file: --env FILE$"):
        joule.evaluate(tmp_path / "shared", episodes=1)
    assert evaluate.main([str(tmp_path / "shared"), "--env", str(moved), "--episodes", "1"]) == 0
    with pytest.raises(Refused, match=r"^env: the agent was trained in joule/Model-v0, and acts there alone"):
        joule.evaluate(run, episodes=1, settings={"env": "Hopper-v5"}, trust_env_kwargs=True)
    capsys.readouterr()
    with pytest.raises(Refused, match=r"put it back, or name it: --env FILE$"):
        evaluate.main([str(run), "--episodes", "1", "--trust-env-kwargs"])
    assert "seed" not in capsys.readouterr().out, "no table is begun that gets no row"

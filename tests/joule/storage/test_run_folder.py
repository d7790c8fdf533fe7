"""A run folder is created completely or not at all, and other files in its place are refused."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from run_files import ENV_SPEC, TABLES, evaluation, make_run, table

from agent.configurator.settings import Config
from joule.storage.changes_table import changes_until
from joule.storage.errors import RunError
from joule.storage.format import FORMAT
from joule.storage.manifest import MANIFEST
from joule.storage.run_folder import Run
from joule.storage.run_paths import located

ROOT = Path(__file__).parents[3]


def test_a_run_opens_as_it_was_created(tmp_path: Path) -> None:
    config = Config(env="dmc:walker-walk", seed=7, perturb=("gravity=0.5@300",), env_kwargs={"a": [1, None]})
    made = Run.create(tmp_path / "run", config, ["train.py", "--env", "a b"], ENV_SPEC)
    found = Run.open(tmp_path / "run")
    assert (found.config, found.id, found.env_spec) == (config, made.id, ENV_SPEC)
    assert (tmp_path / "run/command.txt").read_text() == "train.py --env 'a b'\n"
    assert found.identity(observation_size=17)["observation_size"] == 17
    assert str(tmp_path) not in (tmp_path / "run/versions.json").read_text()
    assert found.checkpoints == tmp_path / "run/checkpoints"


def test_a_checkpoint_that_is_missing_is_refused_with_those_that_are_there(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run").folder
    with pytest.raises(RunError, match="step-7: the run has no such checkpoint; it has none"):
        located(run / "checkpoints/step-7")
    for step in (900, 1000):
        (run / f"checkpoints/step-{step}").mkdir(parents=True)
    with pytest.raises(RunError, match="it has step-900, step-1000"):
        located(run / "checkpoints/step-7")
    assert located(tmp_path / "step-7") == (tmp_path / "step-7", None)


def test_what_a_run_leaves_that_is_killed_before_it_begins_is_said(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run").folder
    (folder / "run.json").unlink()
    for path in [*folder.iterdir()]:
        if path.name not in ("config.json", "versions.json"):
            path.unlink()
    others = tmp_path / "of another program"
    others.mkdir()
    (others / "config.json").write_text("{}")
    with pytest.raises(RunError, match="is not empty; choose another folder"):
        Run.create(others, Config(), [], ENV_SPEC)
    with pytest.raises(RunError, match=r"is not a run folder, run\.json is missing"):
        Run.open(others)
    (folder / ".tmp-abc123.7-run.json").touch()
    with pytest.raises(RunError, match="killed before it begins: remove the folder"):
        Run.create(folder, Config(), [], ENV_SPEC)
    with pytest.raises(RunError, match=r"killed before it began, .* start it anew"):
        Run.open(folder)
    (folder / "mine.txt").touch()
    with pytest.raises(RunError, match="is not empty; choose another folder"):
        Run.create(folder, Config(), [], ENV_SPEC)


@pytest.mark.parametrize(("inside", "path"), [("checkpoints", "step-900"), ("checkpoints/step-900", ".")])
def test_a_checkpoint_is_found_from_within_its_run(
    inside: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run").folder
    (run / "checkpoints/step-900").mkdir(parents=True)
    (run / "checkpoints/step-900" / MANIFEST).write_text("{}")
    monkeypatch.chdir(run / inside)
    found, checkpoint = located(path)
    assert checkpoint is not None
    assert (found, checkpoint.name) == (run, "step-900")


def test_a_link_to_nothing_in_place_of_runs_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").symlink_to(tmp_path / "gone")
    with pytest.raises(RunError, match="a run cannot be written there"):
        Run.create(None, Config(), [], ENV_SPEC)


def test_who_comes_second_to_a_folder_leaves_what_the_first_one_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = Run.create(Path("first"), Config(), [], ENV_SPEC)
    monkeypatch.setattr("joule.storage.run_record.check_free", lambda _: None)
    exists = Path.exists
    with monkeypatch.context() as patch:  # the other process makes it between the look and the mkdir
        patch.setattr(Path, "exists", lambda path: path.name != "first" and exists(path))
        with pytest.raises(RunError, match="a run cannot be written there"):
            Run.create(Path("first"), Config(), [], ENV_SPEC)
    assert Run.open(Path("first")).id == first.id
    taken = [Path("runs/taken"), Path("runs/free")]
    taken[0].mkdir(parents=True)
    monkeypatch.setattr("joule.storage.run_record.default_folder", lambda _: taken.pop(0))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "exists", lambda path: path.name != "taken" and exists(path))
        assert Run.create(None, Config(), [], ENV_SPEC).folder == Path("runs/free")


@pytest.mark.parametrize(
    "env", ["HalfCheetah-v5", "joule/Push-v0", "dmc:walker-walk", "../../x:Y-v0", ":/\\", "é" * 300]
)
def test_the_default_folder_is_safe_for_any_env_id(
    tmp_path: Path, env: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = (Run.create(None, Config(env=env, seed=3), [], {}).folder for _ in range(2))
    assert first != second
    for folder in (first, second):
        assert folder.parent == Path("runs")
        assert "-joule-seed3-2" in folder.name
        assert folder.resolve().parent == tmp_path / "runs"
    shutil.rmtree("runs")
    make_run(Path("runs/named")).close()  # the parent `runs` is made when it is missing


@pytest.mark.parametrize("name", ["with space", "größe-模型", "x" * 250, "deep/er/still"])
def test_unusual_paths_work(tmp_path: Path, name: str) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / name).parent.mkdir(parents=True, exist_ok=True)
    with make_run(tmp_path / "link" / name) as run, run.lock():
        run.log({"loss": 1.0}, 10)
        run.finish({"return": 2.0})
    assert table(tmp_path / "real" / name / "metrics.csv") == [{"frames": "10", "loss": "1.0"}]


def test_a_folder_that_cannot_be_used_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.tex").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name, cause in [
        ("file", "is a file"),
        ("file/run", "cannot be written"),
        ("full", "not empty"),
        ("dangling", "is a file"),
        ("x" * 300, "cannot be written"),
        ("a/b/c", "its parent folder .*/a/b does not exist; make it first"),
    ]:
        with pytest.raises(RunError, match=cause):
            make_run(tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dangling", "file", "full"]
    assert os.listdir(tmp_path / "full") == ["thesis.tex"]
    make_run(tmp_path / "empty").close()


@pytest.mark.parametrize("place", ["checkpoints", "checkpoints/step-5", "replay/a/b", "latest/checkpoints/x"])
def test_a_run_does_not_begin_in_a_folder_that_another_one_keeps(tmp_path: Path, place: str) -> None:
    make_run(tmp_path / "one").close()
    (tmp_path / "one" / "latest").symlink_to(tmp_path / "one")
    (tmp_path / "one" / place).parent.mkdir(parents=True, exist_ok=True)
    with pytest.raises(RunError, match=r"lies in the (checkpoints|replay) of the run .*/one; choose"):
        make_run(tmp_path / "one" / place)
    make_run(tmp_path / "one" / "of_a_user").close()
    (tmp_path / "checkpoints").mkdir()
    make_run(tmp_path / "checkpoints" / "of_a_user").close()


@pytest.mark.parametrize("k", range(4))
def test_a_disk_fault_during_creation_leaves_nothing(
    tmp_path: Path, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    succeeds = iter([True] * k + [False] * 9)

    def fsync(handle: int) -> None:
        if not next(succeeds):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("joule.storage.files.os.fsync", fsync)
    with pytest.raises(RunError, match="No space left"):
        make_run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_refusal_of_another_folder_names_the_cause(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="does not exist"):
        Run.open(tmp_path / "none")
    with pytest.raises(RunError, match=r"not a run folder, run\.json is missing"):
        Run.open(tmp_path)
    with pytest.raises(RunError):
        Run.open(tmp_path / ("x" * 300))
    folder = make_run(tmp_path / "run").folder
    for name in ("run.json", "config.json"):
        good = (folder / name).read_bytes()
        for bad in (
            b"",
            b"[]",
            b"{",
            b"\xff",
            b"[" * 200_000,
            b" " * (2 << 20),
            b'{"format": 99, "id": "x", "env": 3}',
        ):
            (folder / name).write_bytes(bad)
            with pytest.raises(RunError):
                Run.open(folder)
        (folder / name).unlink()
        (tmp_path / "elsewhere").write_bytes(good)
        (folder / name).symlink_to(tmp_path / "elsewhere")
        with pytest.raises(RunError, match="link"):
            Run.open(folder)
        (folder / name).unlink()
        (folder / name).write_bytes(good)
    (folder / "config.json").write_bytes(good.replace(b'"horizon_decisions": 3', b'"horizon_decisions": 0'))
    with pytest.raises(RunError, match=r"planner\.horizon_decisions: 0 is outside"):
        Run.open(folder)


OLDER = (
    "written by an older Joule, whose settings had other names; train again, or use the version that wrote it"
)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"format": 1}, f"run: {OLDER}$"),
        ({"format": 0}, f"run: {OLDER}$"),
        (
            {"format": FORMAT + 1},
            f"written by a newer Joule .format {FORMAT + 1}, this version reads {FORMAT}",
        ),
        ({"format": None}, "has no format number"),
        ({"format": "2"}, "has no format number"),
        ({"format": True}, "has no format number"),
        ({"id": 3}, "has no run id"),
        ({"env_spec": []}, "has no env_spec"),
    ],
)
def test_a_run_of_another_format_is_refused_in_one_sentence(
    tmp_path: Path, change: dict[str, Any], cause: str
) -> None:
    path = make_run(tmp_path / "run").folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(RunError, match=cause) as caught:
        Run.open(tmp_path / "run")
    assert "\n" not in str(caught.value)


def test_a_run_with_the_setting_names_of_format_1_is_refused_in_one_sentence(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run").folder
    record = {"format": 1, "id": "a" * 32, "created": "2025-01-01T00:00:00+00:00", "env_facts": ENV_SPEC}
    settings = {"env": "HalfCheetah-v5", "learner": {"batch": 64}, "planner": {"horizon": 3, "samples": 512}}
    new_record = (folder / "run.json").read_text()
    (folder / "config.json").write_text(json.dumps(settings))
    for text in (json.dumps(record), new_record):  # the second: its config.json was copied from an old run
        (folder / "run.json").write_text(text)
        with pytest.raises(RunError, match=f"run: {OLDER}$"):
            Run.open(folder)


def test_links_inside_a_run_are_not_followed(tmp_path: Path) -> None:
    run, precious = make_run(tmp_path / "run"), tmp_path / "precious"
    precious.write_text("frames\n")
    for name in TABLES:
        (run.folder / name).symlink_to(precious)
    (tmp_path / "elsewhere").mkdir()
    for name in ("checkpoints", "replay", "videos", "tensorboard"):
        (run.folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.warns(RuntimeWarning, match="switched off"):
        run.log({"loss": 1.0}, 1)
    with pytest.warns(RuntimeWarning, match="switched off"):
        run.log_to_board({"loss": 1.0}, 1)
    with pytest.warns(RuntimeWarning, match="switched off"):
        run.evaluated(evaluation(1))
    with pytest.warns(RuntimeWarning, match="switched off"):
        run.forecasts([{"frames": 1}])
    for name in ("checkpoints", "replay", "videos"):
        with pytest.raises(RunError, match="link"):
            getattr(run, name)
    with pytest.raises(RunError, match="link"):
        run.lock()
    assert precious.read_text() == "frames\n"
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("replace", [False, True])
def test_a_folder_that_is_removed_or_replaced_stops_the_run(tmp_path: Path, replace: bool) -> None:
    run = make_run(tmp_path / "run")
    run.log({"loss": 1.0}, 10)
    shutil.move(run.folder, tmp_path / "moved")
    if replace:
        shutil.copytree(tmp_path / "moved", run.folder)
    for act in (
        lambda: run.log({"loss": 1.0}, 20),
        lambda: run.evaluated(evaluation(20)),
        lambda: run.truncate_logs(10),
        lambda: run.finish({}),
    ):
        with pytest.raises(RunError, match="removed or moved"):
            act()


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, joule.storage.run_folder, joule.storage.replay_log; "
        "print({'torch', 'tensorboard', 'mujoco'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_folder_beside_a_run_is_refused_with_the_run(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    run = make_run(tmp_path / "runs/a").folder
    make_run(tmp_path / "runs/b")
    (run / "checkpoints/step-5").mkdir(parents=True)
    for inside in (run / "checkpoints", run / "checkpoints/step-5"):
        with pytest.raises(RunError, match=rf"run.json is missing; it belongs to the run {run}$"):
            Run.open(inside)
    with pytest.raises(RunError, match=rf"run.json is missing; runs lie in it: {run}, {run.parent}/b$"):
        Run.open(run.parent)


def test_changed_settings_are_noted_with_the_frame(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    for frames, batch in ((60, 32), (90, 16)):
        learning = replace(run.config.learning, batch_size=batch)
        before = run.config.learning.batch_size
        said = run.reconfigure(replace(run.config, learning=learning, steps=10 * frames), frames)
        assert said == [f"from frame {frames} on learning.batch_size is {batch}; it was {before}"]
    rows = list(csv.DictReader((run.folder / "changes.csv").open()))
    changed = [(row["frames"], row["after"]) for row in rows if row["setting"] == "learning.batch_size"]
    assert changed == [("60", "32"), ("90", "16")]
    assert len(changes_until(run.folder / "changes.csv", 89)) == 1
    assert changes_until(run.folder / "changes.csv", 90)[1] == said[0]
    assert changes_until(run.folder / "none.csv", 90) == []

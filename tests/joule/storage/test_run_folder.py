"""A run folder is made whole or not at all, locked, logged through faults, and not trusted blindly."""

from __future__ import annotations

import builtins
import csv
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
    EventAccumulator,
)

from agent.configurator.settings import Config
from joule.storage import logs, provenance
from joule.storage.run_folder import EVALUATION_COLUMNS, Run, RunError, differences, version, versions

SPEC_FIELDS = {"env": "HalfCheetah-v5", "observation_size": 17}
ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _own_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def make(folder: Path, **settings: Any) -> Run:
    return Run.create(folder, Config(**settings), ["train.py", "--env", "a b"], SPEC_FIELDS)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


LOGS = ("metrics.csv", "evaluations.csv", "ledger.csv")


def evaluation(frames: int) -> dict[str, Any]:
    return {**dict.fromkeys(EVALUATION_COLUMNS, 0), "frames": frames, "return_mean": 0.1 + frames}


def test_a_run_is_what_it_was_created_as(tmp_path: Path) -> None:
    config = Config(env="dmc:walker-walk", seed=7, perturb=("gravity=0.5@300",), env_kwargs={"a": [1, None]})
    made = Run.create(tmp_path / "run", config, ["train.py", "--env", "a b"], SPEC_FIELDS)
    found = Run.open(tmp_path / "run")
    assert (found.config, found.id, found.env_spec) == (config, made.id, SPEC_FIELDS)
    assert (tmp_path / "run/command.txt").read_text() == "train.py --env 'a b'\n"
    assert found.identity(observation_size=17)["observation_size"] == 17
    assert str(tmp_path) not in (tmp_path / "run/versions.json").read_text()
    assert found.checkpoints == tmp_path / "run/checkpoints"


@pytest.mark.parametrize(
    "env", ["HalfCheetah-v5", "joule/Push-v0", "dmc:walker-walk", "../../x:Y-v0", ":/\\", "é" * 300]
)
def test_the_default_folder_is_safe_for_any_env(
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
    make(Path("runs/named")).close()  # as the README has it, on a machine where nothing has run yet


@pytest.mark.parametrize("name", ["with space", "größe-模型", "x" * 250, "deep/er/still"])
def test_odd_paths_work(tmp_path: Path, name: str) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / name).parent.mkdir(parents=True, exist_ok=True)
    with make(tmp_path / "link" / name) as run, run.lock():
        run.log({"loss": 1.0}, 10)
        run.finish({"return": 2.0})
    assert table(tmp_path / "real" / name / "metrics.csv") == [{"frames": "10", "loss": "1.0"}]


def test_a_folder_that_cannot_be_used_is_refused_untouched(tmp_path: Path) -> None:
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
            make(tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dangling", "file", "full"]
    assert os.listdir(tmp_path / "full") == ["thesis.tex"]
    make(tmp_path / "empty").close()
    with pytest.raises(RunError, match="not empty"):
        make(tmp_path / "empty")


@pytest.mark.parametrize("k", range(4))
def test_a_disk_that_fails_during_creation_leaves_nothing(
    tmp_path: Path, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter([True] * k + [False] * 9)

    def fsync(handle: int) -> None:
        if not next(left):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("joule.storage.files.os.fsync", fsync)
    with pytest.raises(RunError, match="No space left"):
        make(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_is_not_a_run_is_refused_with_its_cause(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="does not exist"):
        Run.open(tmp_path / "none")
    with pytest.raises(RunError, match=r"not a run folder, run\.json is missing"):
        Run.open(tmp_path)
    with pytest.raises(RunError):
        Run.open(tmp_path / ("x" * 300))
    folder = make(tmp_path / "run").folder
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
    (folder / "config.json").write_bytes(good.replace(b'"horizon": 3', b'"horizon": 0'))
    with pytest.raises(RunError, match=r"planner\.horizon: 0 is outside"):
        Run.open(folder)


def test_links_inside_a_run_are_not_followed(tmp_path: Path) -> None:
    run, precious = make(tmp_path / "run"), tmp_path / "precious"
    precious.write_text("frames\n")
    for name in LOGS:
        (run.folder / name).symlink_to(precious)
    (tmp_path / "elsewhere").mkdir()
    for name in ("checkpoints", "replay", "videos", "tensorboard"):
        (run.folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.warns(RuntimeWarning, match="switched off"):
        run.log({"loss": 1.0}, 1)
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


def test_a_module_is_trusted_only_from_its_maker_or_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make(tmp_path / "run", env="my_pkg:Arm-v0").folder
    Run.open(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "env": "evil:Arm-v0"}))  # comes back changed
    with pytest.raises(RunError, match="--trust-module evil"):
        Run.open(folder)
    Run.open(folder, trust_modules=["evil"])
    with pytest.raises(RunError):
        Run.open(folder, trust_modules=["my_pkg"])
    for module in ("a --trust-module b", "\x1b[2J", "\ud800", "", "..evil"):
        (folder / "config.json").write_text(json.dumps({**config, "env": f"{module}:Arm-v0"}))
        with pytest.raises(RunError, match="names no module") as caught:
            Run.open(folder, trust_modules=[module])
        assert str(caught.value).isprintable()
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another user"))
    with pytest.raises(RunError, match="--trust-module my_pkg"):
        Run.open(folder)


def test_a_user_without_a_home_still_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(provenance.Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    Run.open(make(tmp_path / "plain").folder)
    with pytest.warns(RuntimeWarning, match="--trust-module my_pkg"):
        folder = make(tmp_path / "own", env="my_pkg:Arm-v0").folder
    with pytest.raises(RunError, match="--trust-module my_pkg"):
        Run.open(folder)


HOLDER = """
import os, sys, time
from joule.storage.run_folder import Run
run = Run.open(sys.argv[1]).lock()
if os.fork() == 0:
    time.sleep(60)  # a worker that outlives its killed parent
print(os.getpid(), flush=True)
time.sleep(60)
"""


def test_a_second_run_is_refused_and_a_dead_ones_claim_is_recovered(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run.folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert holder.stdout is not None
    try:
        assert int(holder.stdout.readline()) == holder.pid
        with pytest.raises(RunError, match=f"in use by process {holder.pid}"):
            run.lock()
        (run.folder / ".tmp-12345-metrics.csv").touch()
        (run.folder / ".tmp-12345-ledger.csv").touch()
        (run.folder / "checkpoints/.tmp-12345-500").mkdir(parents=True)
        holder.kill()
        holder.wait()
        with run.lock(), pytest.raises(RunError, match=f"in use by process {os.getpid()}"):
            Run.open(run.folder).lock()
        assert not list(run.folder.rglob(".tmp-*"))
        Run.open(run.folder).lock().close()
    finally:
        os.killpg(holder.pid, signal.SIGKILL)


def test_metrics_grow_columns_and_keep_every_digit(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    run.log({"loss": 1 / 3}, 10)
    run.log({"loss": float("nan"), "late, name": 1e-300}, 20)
    run.log({"other": 5}, 30)
    assert table(run.folder / "metrics.csv") == [
        {"frames": "10", "loss": repr(1 / 3), "late, name": "", "other": ""},
        {"frames": "20", "loss": "nan", "late, name": "1e-300", "other": ""},
        {"frames": "30", "loss": "", "late, name": "", "other": "5"},
    ]
    run.evaluated(evaluation(30))
    assert list(table(run.folder / "evaluations.csv")[0]) == list(EVALUATION_COLUMNS)
    with pytest.raises(RunError, match="frames"):
        run.evaluated({name: 0 for name in EVALUATION_COLUMNS if name != "frames"})


def measure(run: Run, first: int, last: int) -> None:
    for frames in range(first, last, 10):
        run.log({"loss": frames / 7, **({"late": 1.0} if frames >= 50 else {})}, frames)
        if frames % 20 == 0:
            run.evaluated(evaluation(frames))
            run.forecasts([{"frames": frames, "seed": 1, "decision": k, "cost": k / 3} for k in range(3)])


def test_a_killed_and_resumed_run_logs_what_an_uninterrupted_one_does(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole")
    measure(whole, 10, 100)
    killed = make(tmp_path / "killed")
    measure(killed, 10, 80)
    killed.close()
    for name in LOGS:
        with (killed.folder / name).open("a") as file:
            file.write("80,0.3")  # the kill came within a write
    with Run.open(killed.folder) as resumed, resumed.lock():
        resumed.truncate_logs(40)
        measure(resumed, 50, 100)
        assert resumed.counters == {"log_failures": 0, "log_rows_lost": 0}
    for name in LOGS:
        assert (killed.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    board = EventAccumulator(str(killed.folder / "tensorboard"))
    board.Reload()
    assert [event.step for event in board.Scalars("loss")] == list(range(10, 100, 10))


def test_unreadable_rows_are_dropped_and_counted(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    measure(run, 10, 50)
    path = run.folder / "metrics.csv"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"\0\0\xff\xfe\n", b"x,y\n", *lines[2:]]))
    run.truncate_logs(30)
    assert [row["frames"] for row in table(path)] == ["10", "20", "30"]
    assert run.counters["log_rows_lost"] == 2
    path.write_text("not,a,metrics,file\n1,2,3,4\n")
    with pytest.raises(RunError, match="columns"):
        Run.open(run.folder).truncate_logs(30)


def test_a_full_disk_switches_a_log_off_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make(tmp_path / "run")
    run.log({"loss": 1.0}, 10)
    before = (run.folder / "metrics.csv").read_bytes()
    write = os.write
    monkeypatch.setattr(logs.os, "write", lambda handle, data: write(handle, data[: len(data) // 2]))
    with pytest.warns(RuntimeWarning, match=r"metrics\.csv is switched off"):
        run.log({"loss": 2.0}, 20)
    monkeypatch.undo()
    run.log({"loss": 3.0}, 30)
    assert (run.folder / "metrics.csv").read_bytes() == before  # no half row
    assert run.counters == {"log_failures": 1, "log_rows_lost": 2}
    run.finish({"frames": 30, "counters": {"diverged_steps": 4}})
    summary = json.loads((run.folder / "summary.json").read_text())
    assert summary == {"frames": 30, "counters": {"diverged_steps": 4, **run.counters}}


def test_without_tensorboard_the_table_remains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("tensorboard"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *rest, **more)

    run = make(tmp_path / "run")
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.warns(RuntimeWarning, match="tensorboard is switched off"):
        run.log({"loss": 1.0}, 10)
    assert len(table(run.folder / "metrics.csv")) == 1


@pytest.mark.parametrize("replace", [False, True])
def test_a_folder_that_vanishes_stops_the_run(tmp_path: Path, replace: bool) -> None:
    run = make(tmp_path / "run")
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


def test_versions_say_what_may_differ() -> None:
    saved = {"threads": 1, "versions": {**versions(), "torch": "0.1"}}
    assert differences(saved, {"threads": 1, "versions": versions()}) == [
        f"torch 0.1 -> {versions()['torch']}"
    ]
    assert not differences(saved, saved)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if commit.returncode == 0:
        assert commit.stdout.startswith(version())


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, joule.storage.run_folder, joule.storage.replay_log; "
        "print({'torch', 'tensorboard', 'mujoco'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"

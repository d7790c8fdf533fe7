"""An agent that learned in Python is saved as a run, which every command opens and resumes."""

from __future__ import annotations

import csv
import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import joule
from agent.configurator.dotted_names import replace
from agent.configurator.settings import Config
from agent.configurator.validation import validate
from agent.errors import StopRun
from joule.agents import new_agent
from joule.commands import evaluate, train
from joule.storage import loading
from joule.storage.errors import RunError
from joule.storage.replay_log import ReplayLog
from joule.training_envs import make_envs

pytestmark = pytest.mark.usefixtures("unchecked")

OVERWRITTEN = {"learning.replay_capacity_transitions": 30}
"""A replay buffer that has overwritten its first 34 rows after 61 frames."""


@pytest.fixture(autouse=True)
def _no_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joule.report.curves.learning_curve", lambda *_, **__: None)


@pytest.fixture
def made(small: dict[str, Any]) -> Callable[..., Any]:
    """`made(kind, changes)`: an untrained agent, as a user makes one in Python."""
    short = {
        "steps": 90,
        "eval_every_frames": 40,
        "explore.warmup_decisions": 35,
        "learning.pretrain_updates": 8,
        "learning.batch_size": 16,
    }

    def make(kind: str, changes: dict[str, Any] | None = None) -> Any:
        half = {"learning.utd": 0.5, "learning.initial_utd": 0.5} if kind == "joule" else {}
        config = validate(replace(Config(), {**small, **short, **half, "agent": kind, **(changes or {})}))
        return new_agent(config, make_envs(config))

    return make


def assert_same_replay(one: Any, other: Any) -> None:
    """The replay rows of two agents are equal."""
    assert [stream.first for stream in one.replay] == [stream.first for stream in other.replay]
    for stream, other_stream in zip(one.replay, other.replay, strict=True):
        rows, other_rows = (each.since(each.first) for each in (stream, other_stream))
        assert [n for n in rows if not np.array_equal(rows[n], other_rows[n])] == []


def assert_same(one: Any, other: Any) -> None:
    """Two agents are equal bit for bit, replay included."""
    (arrays, meta), (other_arrays, other_meta) = one.state_dict(), other.state_dict()
    assert arrays.keys() == other_arrays.keys()
    assert [n for n in arrays if not np.array_equal(arrays[n], other_arrays[n], equal_nan=True)] == []
    assert json.dumps(meta) == json.dumps(other_meta)
    assert_same_replay(one, other)


@pytest.mark.parametrize(
    ("kind", "changes", "first"),
    [
        ("joule", {}, [0]),
        pytest.param("joule", OVERWRITTEN, [34], marks=pytest.mark.slow),
        ("sac", {}, [0]),
        ("ppo", {}, []),
        ("random", {}, []),
    ],
)
def test_a_resumed_agent_equals_one_that_learned_on_in_python(
    made: Callable[..., Any], kind: str, changes: dict[str, Any], first: list[int], tmp_path: Path
) -> None:
    agent = made(kind, changes).learn(61)  # in mid-episode
    assert [stream.first for stream in agent.replay] == first
    agent.save(tmp_path / "at 61")
    loaded = joule.load(tmp_path / "at 61")
    assert (loaded.frames, loaded.config) == (61, agent.config)
    assert loaded.clock.seconds() == agent.clock.seconds()
    assert loaded.clock.seconds()["cpu"] > 0
    agent.learn(29)
    agent.save(tmp_path / "at 90")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["at 61", "at 90"]
    assert train.main(["--resume", str(tmp_path / "at 61")]) == 0
    assert_same(joule.load(tmp_path / "at 61"), joule.load(tmp_path / "at 90"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["joule", "sac", "random"])
def test_a_loaded_agent_learns_the_same_every_time(
    made: Callable[..., Any], kind: str, tmp_path: Path
) -> None:
    made(kind).learn(61).save(tmp_path / "run")
    one, other = joule.load(tmp_path / "run"), joule.load(tmp_path / "run")
    one.learn(20)
    torch.manual_seed(5)
    other.learn(7).learn(13)
    assert_same(one, other)
    joule.load(tmp_path / "run").save(tmp_path / "copy")  # without an environment
    assert train.main(["--resume", str(tmp_path / "copy"), "--steps", "90"]) == 0
    one.learn(9)
    one.save(tmp_path / "at 90")
    assert_same(joule.load(tmp_path / "copy"), joule.load(tmp_path / "at 90"))


@pytest.mark.slow
def test_every_stream_of_several_environments_is_saved_and_resumed(
    made: Callable[..., Any], tmp_path: Path
) -> None:
    agent = made("joule", {"num_envs": 2}).learn(62)
    assert [(stream.first, stream.total) for stream in agent.replay] == [(0, 32), (0, 32)]
    agent.save(tmp_path / "at 62")
    assert sorted(p.name for p in (tmp_path / "at 62/replay").iterdir()) == [
        "segment-00000000.rows", "stream-1",
    ]  # fmt: skip
    agent.learn(28)
    agent.save(tmp_path / "at 90")
    assert train.main(["--resume", str(tmp_path / "at 62")]) == 0
    assert_same(joule.load(tmp_path / "at 62"), joule.load(tmp_path / "at 90"))


@pytest.mark.slow
def test_a_saved_agent_is_evaluated_by_commands_and_when_it_is_resumed(
    made: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    made("joule").learn(95).save(folder)  # more than its budget
    assert evaluate.main([str(folder), "--episodes", "1"]) == 0
    assert train.main(["--resume", str(folder)]) == 0
    with (folder / "evaluations.csv").open(newline="") as file:
        assert [row["frames"] for row in csv.DictReader(file)] == ["95"]
    assert json.loads((folder / "summary.json").read_text())["frames"] == 95


@pytest.mark.slow
def test_an_overwritten_replay_continues_in_a_larger_buffer(made: Callable[..., Any], tmp_path: Path) -> None:
    made("joule", OVERWRITTEN).learn(61).save(tmp_path / "small")
    larger: Any = joule.load(tmp_path / "small", settings={"learning.replay_capacity_transitions": 1_000})
    assert larger.replay[0].first == 34
    larger.learn(60)
    larger.save(tmp_path / "large")
    again: Any = joule.load(tmp_path / "large")
    assert (again.replay[0].first, again.replay[0].total) == (34, larger.replay[0].total)
    assert_same_replay(larger, again)


def test_a_replay_beyond_the_budget_is_saved_completely(made: Callable[..., Any], tmp_path: Path) -> None:
    agent = made("joule", {"steps": 20, "explore.warmup_decisions": 500}).learn(300)
    agent.save(tmp_path / "old")
    loaded: Any = joule.load(tmp_path / "old")
    assert loaded.modules.replay_buffer.held == 300
    assert (loaded.replay[0].first, loaded.replay[0].total) == (0, 311)
    assert_same_replay(loaded, agent)


def test_a_replay_row_that_is_not_finite_is_not_saved(made: Callable[..., Any], tmp_path: Path) -> None:
    agent = made("joule").learn(20)
    agent.modules.replay_buffer.readout[3, 0] = np.nan
    with pytest.raises(StopRun, match="not finite, so not saved: replay column readout"):
        agent.save(tmp_path / "bad")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_untrained_agent_is_saved_and_trained(made: Callable[..., Any], tmp_path: Path) -> None:
    agent = made("joule")
    agent.save(tmp_path / "new")
    agent.learn(90)
    agent.save(tmp_path / "at 90")
    assert train.main(["--resume", str(tmp_path / "new")]) == 0
    assert_same(joule.load(tmp_path / "new"), joule.load(tmp_path / "at 90"))


def test_a_path_that_is_not_free_is_refused_and_left_alone(made: Callable[..., Any], tmp_path: Path) -> None:
    agent = made("random")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name, cause in (
        ("file", "file: exists already; save to a path that is free"),
        ("empty", "exists already"),
        ("dangling", "exists already"),
        ("a/b", "a does not exist"),
        ("file/run", "could not be written|cannot be written"),
    ):
        with pytest.raises(RunError, match=cause) as caught:
            agent.save(tmp_path / name)
        assert "\n" not in str(caught.value)
    agent.env_spec = SimpleNamespace(env="Hopper-v5")
    with pytest.raises(RunError, match="the agent acts in Hopper-v5 and its settings name joule-tests"):
        agent.save(tmp_path / "other")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dangling", "empty", "file"]


@pytest.mark.parametrize("path", ["taken", "no/such/parent", "taken/run", None, "a" * 300])
def test_an_agent_that_has_learned_is_saved_elsewhere_where_its_path_is_refused(
    made: Callable[..., Any], path: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("taken").write_text("mine")
    with pytest.raises(ValueError, match=r"; the agent is saved in runs/\S+ instead$") as caught:
        made("random").learn(5).save(path)
    (saved,) = Path("runs").iterdir()
    assert f"saved in {saved} instead" in str(caught.value)
    assert joule.load(saved).frames == 5
    assert sorted(os.listdir()) == ["runs", "taken"]


def test_a_saved_run_is_complete_or_absent(
    made: Callable[..., Any],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))  # where it is saved next, which fails too
    agent = made("joule").learn(40)
    flush, calls_left = os.fsync, [0]

    def fsync(handle: int) -> None:
        calls_left[0] -= 1
        if calls_left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(handle)

    monkeypatch.setattr("joule.storage.files.os.fsync", fsync)
    for calls in range(100):
        calls_left[0] = calls
        with pytest.raises(ValueError, match="No space left") as caught:
            agent.save(tmp_path / "run")
        assert ".tmp-" not in str(caught.value), "a name that the user has not given"
        if os.listdir(tmp_path):  # only the last call comes after the folder has its name
            break
    assert calls > 15
    assert os.listdir(tmp_path) == ["run"]
    assert joule.load(tmp_path / "run").frames == 40
    with torch.no_grad():
        agent.modules.networks.readout[1].weight[0, 0] = torch.inf
    monkeypatch.undo()
    with pytest.raises(StopRun, match=r"not finite, so not saved: weights/readout"):
        agent.save(tmp_path / "broken")
    assert os.listdir(tmp_path) == ["run"]


def test_a_save_removes_what_a_killed_one_left(made: Callable[..., Any], tmp_path: Path) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    (tmp_path / f".tmp-{int(dead.stdout)}-0-agent" / "checkpoints").mkdir(parents=True)
    (tmp_path / f".tmp-{os.getppid()}-3-agent").mkdir()  # of a process that runs
    made("random").save(tmp_path / "run")
    assert sorted(os.listdir(tmp_path)) == [f".tmp-{os.getppid()}-3-agent", "run"]


@pytest.mark.slow
def test_a_replay_log_is_verified_once(
    made: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made("joule").learn(61).save(tmp_path / "run")
    opened, open_log = [], ReplayLog.open

    def counted(*given: Any, **named: Any) -> ReplayLog:
        opened.append(given)
        return open_log(*given, **named)

    monkeypatch.setattr(ReplayLog, "open", counted)
    joule.load(tmp_path / "run")
    joule.load(tmp_path / "run/checkpoints/step-61")
    assert len(opened) == 2
    assert train.main(["--resume", str(tmp_path / "run")]) == 0
    assert len(opened) == 3


def test_the_module_of_the_environment_is_imported_before_the_agent_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may add the encoder that the agent has."""
    (tmp_path / "imported_first.py").write_text(
        'import gymnasium\nfrom tiny_env import Point\ngymnasium.register("First-v0", Point, max_episode_steps=5)\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    options = ["--env", "imported_first:First-v0", "--agent", "zero", "--steps", "5", "--eval-episodes", "1"]
    assert train.main([*options, "--no-video", "--out", str(tmp_path / "run")]) == 0
    del sys.modules["imported_first"]
    made = loading.build_agent
    with monkeypatch.context() as patch:
        patch.setattr(loading, "build_agent", lambda *of: sys.modules["imported_first"] and made(*of))
        assert joule.load(tmp_path / "run").frames == 5
    (tmp_path / "imported_first.py").unlink()
    del sys.modules["imported_first"]
    assert joule.load(tmp_path / "run").frames == 5, "it acts without it"

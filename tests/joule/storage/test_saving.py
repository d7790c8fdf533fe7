"""The verb `save`: an agent that learned in Python becomes a run that every door opens and goes on with."""

from __future__ import annotations

import csv
import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_env
import torch

import envs
import joule
from agent.configurator.settings import Config
from agent.configurator.validation import replace, validate
from agent.errors import StopRun
from agent.seeds import reset_seed
from joule.agents import new_agent
from joule.commands import evaluate, train
from joule.storage.replay_log import ReplayLog
from joule.storage.run_folder import RunError

pytestmark = pytest.mark.usefixtures("unchecked")

WRAPPED = {"learning.replay-capacity-transitions": 30}


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joule.report.curves.learning_curve", lambda *_, **__: None)


@pytest.fixture
def made(small: dict[str, Any]) -> Callable[..., Any]:
    """`made(kind, **changes)`: an untrained agent, as a user makes one in Python."""
    brief = {
        "steps": 90,
        "eval_every_frames": 40,
        "explore.warmup-decisions": 35,
        "learning.pretrain-updates": 8,
        "learning.batch_size": 16,
    }

    def make(kind: str, changes: dict[str, Any] | None = None) -> Any:
        config = validate(replace(Config(), {**small, **brief, "agent": kind, **(changes or {})}))
        return new_agent(config, envs.make(tiny_env.ID))

    return make


def assert_same(one: Any, other: Any) -> None:
    """The same agents to the last bit, replay included."""
    (arrays, meta), (others, other_meta) = one.state_dict(), other.state_dict()
    assert arrays.keys() == others.keys()
    assert [n for n in arrays if not np.array_equal(arrays[n], others[n], equal_nan=True)] == []
    assert json.dumps(meta) == json.dumps(other_meta)
    assert one.replay.first == other.replay.first
    rows, other_rows = (a.replay.since(a.replay.first) for a in (one, other))
    assert [n for n in rows if not np.array_equal(rows[n], other_rows[n])] == []


@pytest.mark.parametrize(
    ("kind", "changes", "first"),
    [("joule", {}, 0), ("joule", WRAPPED, 34), ("sac", {}, 0), ("ppo", {}, 0), ("random", {}, 0)],
)
def test_a_saved_agent_is_resumed_as_if_it_had_gone_on_in_python(
    made: Callable[..., Any], kind: str, changes: dict[str, Any], first: int, tmp_path: Path
) -> None:
    agent = made(kind, changes).learn(61)  # in mid-episode
    assert agent.replay.first == first
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


@pytest.mark.parametrize("kind", ["joule", "sac", "random"])
def test_what_a_loaded_agent_learns_can_be_repeated_saved_and_resumed(
    made: Callable[..., Any], kind: str, tmp_path: Path
) -> None:
    made(kind).learn(61).save(tmp_path / "run")
    one, other = joule.load(tmp_path / "run"), joule.load(tmp_path / "run")
    one.learn(20)
    torch.manual_seed(5)
    other.learn(7).learn(13)
    assert_same(one, other)
    joule.load(tmp_path / "run").save(tmp_path / "copy")  # has never seen a body
    assert train.main(["--resume", str(tmp_path / "copy"), "--steps", "90"]) == 0
    one.learn(9)
    one.save(tmp_path / "at 90")
    assert_same(joule.load(tmp_path / "copy"), joule.load(tmp_path / "at 90"))


def test_a_saved_agent_is_evaluated_by_the_doors_and_owes_its_run_a_score(
    made: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    made("joule").learn(95).save(folder)  # more than its budget
    assert evaluate.main([str(folder), "--episodes", "1"]) == 0
    assert train.main(["--resume", str(folder)]) == 0
    with (folder / "evaluations.csv").open(newline="") as file:
        assert [row["frames"] for row in csv.DictReader(file)] == ["95"]
    assert json.loads((folder / "summary.json").read_text())["frames"] == 95


def test_a_wrapped_replay_goes_on_in_a_larger_ring(made: Callable[..., Any], tmp_path: Path) -> None:
    made("joule", WRAPPED).learn(61).save(tmp_path / "small")
    larger = joule.load(tmp_path / "small", overrides={"learning.replay-capacity-transitions": 1_000})
    assert larger.replay.first == 34
    larger.learn(60)
    larger.save(tmp_path / "large")
    again: Any = joule.load(tmp_path / "large")
    assert (again.replay.first, again.replay.total) == (34, larger.replay.total)
    rows, others = (a.replay.since(34) for a in (larger, again))
    assert [n for n in rows if not np.array_equal(rows[n], others[n])] == []


def test_who_lived_longer_than_its_budget_remembers_all_of_it(
    made: Callable[..., Any], tmp_path: Path
) -> None:
    agent = made("joule", {"steps": 20, "explore.warmup-decisions": 500}).learn(300)
    agent.save(tmp_path / "old")
    loaded: Any = joule.load(tmp_path / "old")
    assert (loaded.modules.replay_buffer.held, loaded.replay.first, loaded.replay.total) == (300, 0, 311)
    rows, others = loaded.replay.since(0), agent.replay.since(0)
    assert [n for n in rows if not np.array_equal(rows[n], others[n])] == []


def test_what_is_remembered_must_be_finite(made: Callable[..., Any], tmp_path: Path) -> None:
    agent = made("joule").learn(20)
    agent.modules.replay_buffer.readout[3] = np.nan
    with pytest.raises(StopRun, match="not finite, so not saved: what is remembered of readout"):
        agent.save(tmp_path / "bad")
    assert list(tmp_path.iterdir()) == []


def test_an_agent_that_has_not_lived_is_saved_and_begins(made: Callable[..., Any], tmp_path: Path) -> None:
    agent = made("joule")
    agent.save(tmp_path / "new")
    agent.learn(90)
    agent.save(tmp_path / "at 90")
    assert train.main(["--resume", str(tmp_path / "new")]) == 0
    assert_same(joule.load(tmp_path / "new"), joule.load(tmp_path / "at 90"))


def test_a_path_that_cannot_be_saved_to_is_refused_untouched(
    made: Callable[..., Any], tmp_path: Path
) -> None:
    agent = made("random").learn(5)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name, cause in (
        ("file", "file: is there already; save to a path that is free"),
        ("empty", "is there already"),
        ("dangling", "is there already"),
        ("a/b", "a does not exist"),
        ("file/run", "could not be written|cannot be written"),
    ):
        with pytest.raises(RunError, match=cause) as caught:
            agent.save(tmp_path / name)
        assert "\n" not in str(caught.value)
    agent.env_spec = type("Facts", (), {**vars(agent.env_spec), "env": "Hopper-v5"})
    with pytest.raises(RunError, match="lives in Hopper-v5 and its config names"):
        agent.save(tmp_path / "other")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dangling", "empty", "file"]


def test_a_save_is_whole_or_absent(
    made: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = made("joule").learn(40)
    sync, left = os.fsync, [0]

    def fsync(handle: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    monkeypatch.setattr("joule.storage.files.os.fsync", fsync)
    for calls in range(100):
        left[0] = calls
        with pytest.raises(ValueError, match="No space left"):
            agent.save(tmp_path / "run")
        if os.listdir(tmp_path):  # the last call is made when the folder has its name
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


def test_what_a_killed_save_left_is_removed_by_the_next(made: Callable[..., Any], tmp_path: Path) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    (tmp_path / f".tmp-{int(dead.stdout)}-agent" / "checkpoints").mkdir(parents=True)
    (tmp_path / f".tmp-{os.getppid()}-agent").mkdir()  # of a save that is still at work
    made("random").save(tmp_path / "run")
    assert sorted(os.listdir(tmp_path)) == [f".tmp-{os.getppid()}-agent", "run"]


def test_the_replay_is_verified_once(
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


def test_seeds_of_a_later_episode_are_neither_a_runs_nor_an_evaluations() -> None:
    assert reset_seed(7, 0) == 7
    assert reset_seed(10_003, 0) >= 2**30
    seeds = {reset_seed(seed, frames) for seed in range(30) for frames in range(1, 30)}
    assert len(seeds) == 30 * 29
    assert min(seeds) >= 2**30
    assert max(seeds) < 2**31

"""Every stream of a replay buffer has a log of its own, and all are verified and restored together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.configurator.dotted_names import replace
from agent.configurator.settings import Config
from agent.configurator.validation import validate
from agent.errors import ConfigError, StopRun
from agent.memory.replay_buffer import ReplayBuffer
from agent.memory.replay_rows import StreamRows
from joule.storage import checkpoint
from joule.storage.checkpoint import CheckpointError
from joule.storage.replay_log import ReplayLogError
from joule.storage.run_replay import ReplayLogs, not_finite

pytestmark = pytest.mark.usefixtures("no_flush")

COLUMNS: dict[str, Any] = {
    **dict.fromkeys(("obs", "action", "cost", "terminated", "readout"), ((1,), "float32")),
    "last": ((), "bool"),
}


class Stream:
    """The rows of one stream, numbered from 0; a value names the stream and the row."""

    capacity = 8

    def __init__(self, number: int, total: int = 0) -> None:
        self.number, self.first, self.total = number, max(0, total - self.capacity), total
        self.value = number + np.arange(total) / 1000

    def columns(self) -> dict[str, Any]:
        return {"value": ((), "float64")}

    def since(self, first: int) -> dict[str, np.ndarray]:
        assert first >= self.first
        return {"value": self.value[first:]}

    def collect(self, count: int) -> None:
        """Adds rows."""
        self.__init__(self.number, self.total + count)  # type: ignore[misc]

    def restore(self, rows: dict[str, np.ndarray], total: int) -> None:
        self.first, self.total = total - len(rows["value"]), total
        self.value = np.concatenate([np.full(self.first, np.nan), rows["value"]])


class Buffered:
    """An agent of which only the replay buffer matters."""

    def __init__(self, *totals: int) -> None:
        self.replay = [Stream(k, total) for k, total in enumerate(totals)]

    def state_dict(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return {}, {}

    def check_state(self, arrays: Any, meta: Any) -> None:
        raise NotImplementedError

    def load_state_dict(self, arrays: Any, meta: Any) -> None:
        return


@pytest.mark.parametrize("streams", [0, 1, 3])
def test_every_stream_is_restored_from_its_log(tmp_path: Path, streams: int) -> None:
    agent = Buffered(*range(streams))
    logs = ReplayLogs(tmp_path / "replay", agent)
    for _ in range(3):
        for stream in agent.replay:
            stream.collect(4 + stream.number)
        logs.append()
    files = logs.commit()
    assert sorted(files) == sorted(["replay", "replay/stream-1", "replay/stream-2"][:streams])
    fresh = Buffered(*[0] * streams)
    opened = ReplayLogs.open(tmp_path / "replay", fresh, files)
    opened.restore()
    opened.check_counts()
    for stream, restored in zip(agent.replay, fresh.replay, strict=True):
        assert (restored.first, restored.total) == (stream.first, stream.total)
        np.testing.assert_array_equal(restored.value[restored.first :], stream.value[stream.first :])
    for stream in fresh.replay:
        stream.total += 1
        with pytest.raises(ValueError, match="its state counts"):
            opened.check_counts()


def test_one_stream_is_logged_in_the_folder_itself(tmp_path: Path) -> None:
    logs = ReplayLogs(tmp_path, Buffered(3, 5))
    logs.append()
    logs.commit()
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.rows")) == [
        "segment-00000000.rows", "stream-1/segment-00000000.rows",
    ]  # fmt: skip


def test_rows_are_due_before_the_buffer_overwrites_them(tmp_path: Path) -> None:
    agent = Buffered(0, 0)
    logs = ReplayLogs(tmp_path, agent)
    agent.replay[1].collect(4)
    assert not logs.due
    agent.replay[1].collect(1)
    assert logs.due
    logs.append()
    assert not logs.due


@pytest.mark.parametrize("decisions", [7, 32])
def test_no_row_is_lost_in_the_smallest_buffer_that_settings_allow(tmp_path: Path, decisions: int) -> None:
    """Where every episode ends after one decision, which fills two rows."""
    nothing = np.zeros(1, np.float32)

    def logged(rows: int) -> int:
        """Rows in the log after 20 chunks, with a replay buffer of so many rows."""
        buffer = ReplayBuffer(rows, COLUMNS)
        agent = Buffered()
        agent.replay = [StreamRows(buffer, 0, rows)]  # type: ignore[list-item]
        logs = ReplayLogs(tmp_path / str(rows), agent)
        for _ in range(20):
            for _ in range(decisions):
                buffer.streams[0].begin(nothing, nothing)
                buffer.streams[0].add(nothing, 0.0, True, nothing, nothing)
            if logs.due:
                logs.append()
        logs.append()
        return sum(segment["rows"] for segment in logs.commit()["replay"]["segments"])

    smallest = 4 * decisions + 1
    settings = {"actors": 1, "actor_chunk_decisions": decisions, "learning.batch_size": 8}
    validate(replace(Config(), {**settings, "learning.replay_capacity_transitions": smallest}))
    assert logged(smallest) == 2 * 20 * decisions - 1
    with pytest.raises(ConfigError, match=f"give {smallest} or more"):
        validate(replace(Config(), {**settings, "learning.replay_capacity_transitions": smallest - 1}))
    with pytest.raises(ValueError, match="were overwritten"):
        logged(smallest - 1)


def test_a_row_that_is_not_finite_stops_the_append_of_every_stream(tmp_path: Path) -> None:
    agent = Buffered(2, 2)
    logs = ReplayLogs(tmp_path, agent)
    agent.replay[1].value[1] = np.nan
    with pytest.raises(StopRun, match="not finite, so not saved: replay column value"):
        logs.append()
    assert [commit["segments"] for commit in logs.commit().values()] == [[], []]


def test_other_logs_than_the_agents_are_refused(tmp_path: Path) -> None:
    logs = ReplayLogs(tmp_path / "replay", Buffered(3, 3))
    logs.append()
    files = logs.commit()
    for agent, expected in ((Buffered(), "no log"), (Buffered(0), "replay"), (Buffered(0, 0, 0), "stream-2")):
        with pytest.raises(ReplayLogError, match=f"names replay, replay/stream-1, expected .*{expected}"):
            ReplayLogs.open(tmp_path / "replay", agent, files)
    with pytest.raises(ReplayLogError, match="not one of a replay log"):
        ReplayLogs.open(tmp_path / "replay", Buffered(0, 0), {**files, "replay": 3})
    (tmp_path / "replay/stream-1").rename(tmp_path / "elsewhere")
    (tmp_path / "replay/stream-1").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ReplayLogError, match="stream-1: is a link"):
        ReplayLogs.open(tmp_path / "replay", Buffered(0, 0), files)


def test_pruned_logs_still_restore_every_kept_checkpoint(tmp_path: Path) -> None:
    agent = Buffered(0, 0)
    logs = ReplayLogs(tmp_path / "replay", agent)
    for log in logs._logs:
        log._segment_rows = 4
    kept: list[tuple[dict[str, Any], int]] = []
    for step in range(1, 12):
        for stream in agent.replay:
            stream.collect(4)
        logs.append()
        files = logs.commit()
        checkpoint.save(tmp_path / "checkpoints", step, {}, {}, identity={}, files=files)
        kept = [*kept[-1:], (files, agent.replay[0].total)]
        logs.prune(tmp_path / "checkpoints")
    assert len(list((tmp_path / "replay").rglob("*.rows"))) <= 2 * 4
    for files, total in kept:
        fresh = Buffered(0, 0)
        ReplayLogs.open(tmp_path / "replay", fresh, files).restore()
        assert [stream.total for stream in fresh.replay] == [total, total]
        assert [stream.first for stream in fresh.replay] == [total - 8, total - 8]


def test_prune_stops_at_a_checkpoint_that_cannot_be_read_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = ReplayLogs(tmp_path / "replay", Buffered(3))
    logs.append()
    checkpoint.save(tmp_path / "checkpoints", 1, {}, {}, identity={}, files=logs.commit())

    def fail(path: Path, limit: int) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("joule.storage.manifest.read_plain", fail)
    with pytest.raises(CheckpointError, match="Input/output error"):
        logs.prune(tmp_path / "checkpoints")
    assert len(list((tmp_path / "replay").iterdir())) == 1


def test_not_finite_names_float_arrays_alone() -> None:
    arrays = {
        "a": np.array([1.0, np.nan]),
        "b": np.ones(2),
        "c": np.array([-np.inf], np.float32),
        "d": np.array([1]),
    }
    assert not_finite(arrays) == ["a", "c"]


def test_a_stream_of_no_rows_takes_the_place_of_those_of_an_agent_with_experience() -> None:
    nothing = np.zeros(1, np.float32)
    buffer = ReplayBuffer(8, COLUMNS)
    stream = buffer.streams[0]
    stream.begin(nothing, nothing)
    stream.add(nothing, 1.0, False, nothing, nothing)
    rows = StreamRows(buffer, 0, 8)
    rows.restore({name: column[:0] for name, column in rows.since(0).items()}, 0)
    assert (rows.total, stream.rows, stream.held, stream.head) == (0, 0, 0, -1)

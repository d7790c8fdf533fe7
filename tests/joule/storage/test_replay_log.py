"""The replay log returns exactly the rows of every kept commit, and refuses rows that were changed."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faulty_storage import FaultyDisk, Killed, UnflushedDisk
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from joule.storage.files import Bytes, Disk
from joule.storage.replay_log import ReplayLog, ReplayLogError

COLUMNS = {"row": ((), "int64"), "obs": ((3,), "float32"), "image": ((2, 2), "uint8"), "last": ((), "bool"),
           "readout": ((0,), "float32")}  # fmt: skip
SIZE = 8 + 12 + 4 + 1
SEGMENT = 5

pytestmark = pytest.mark.usefixtures("no_flush")


def rows(first: int, last: int, history: int = 0) -> dict[str, np.ndarray]:
    """Rows whose columns name the row and the history that it belongs to."""
    number = np.arange(first, last)
    return {
        "row": number,
        "obs": np.stack([number, number * 0.1, number * 0 + history], axis=1).astype(np.float32),
        "image": np.broadcast_to((number % 251).astype(np.uint8)[:, None, None], (last - first, 2, 2)),
        "last": number % 7 == 0,
        "readout": np.empty((last - first, 0), np.float32),
    }


def same(one: dict[str, np.ndarray], two: dict[str, np.ndarray]) -> bool:
    return set(one) == set(two) and all(
        one[name].dtype == two[name].dtype and np.array_equal(one[name], two[name]) for name in one
    )


def new(folder: Path, **more: Any) -> ReplayLog:
    return ReplayLog(folder, COLUMNS, segment_rows=SEGMENT, **more)


def reopen(folder: Path, committed: Any, **more: Any) -> ReplayLog:
    return ReplayLog.open(folder, COLUMNS, committed, segment_rows=SEGMENT, **more)


class Histories(RuleBasedStateMachine):
    """Appends, commits, prunes and reopens at any kept commit, compared with a plain list of rows."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.log = new(self.folder)
        self.held: list[int] = []  # row number -> the history that wrote the row
        self.kept: list[tuple[dict[str, Any], list[int]]] = []
        self.history = 0

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def expected(self, held: list[int], first: int, last: int) -> dict[str, np.ndarray]:
        plain = rows(first, last)
        plain["obs"][:, 2] = held[first:last]
        return plain

    @rule(count=st.integers(0, 12))
    def append(self, count: int) -> None:
        self.log.append(rows(len(self.held), len(self.held) + count, self.history))
        self.held += [self.history] * count

    @rule()
    def commit(self) -> None:
        self.kept = [*self.kept[-1:], (self.log.commit(), list(self.held))]

    @rule(keep=st.integers(0, 20))
    def prune(self, keep: int) -> None:
        self.log.prune(keep, [committed for committed, _ in self.kept])
        assert self.log.rows - self.log.first >= min(keep, len(self.held) - self.log.first)

    @precondition(lambda self: self.kept)
    @rule(which=st.integers(0, 1))
    def resume(self, which: int) -> None:
        committed, held = self.kept[which % len(self.kept)]
        self.log, self.held = reopen(self.folder, committed), list(held)
        self.history += 1

    @invariant()
    def holds_its_rows(self) -> None:
        log = self.log
        assert log.rows == len(self.held)
        assert same(log.read(log.first, log.rows), self.expected(self.held, log.first, log.rows))
        middle = (log.first + log.rows) // 2
        assert same(log.read_tail(log.rows - middle), self.expected(self.held, middle, log.rows))

    @invariant()
    def every_kept_commit_opens(self) -> None:
        for committed, held in self.kept:
            log = reopen(self.folder, committed)
            assert log.rows == len(held)
            assert same(log.read(log.first, log.rows), self.expected(held, log.first, log.rows))


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=40, stateful_step_count=15, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.mark.parametrize("fault", ["ENOSPC", "EIO", "kill"])
def test_a_fault_at_any_call_loses_no_commit_and_can_be_retried(tmp_path: Path, fault: str) -> None:
    for k in range(100):
        folder, disk = tmp_path / str(k), FaultyDisk(-1, fault)
        log = new(folder, storage=disk)
        log.append(rows(0, 8))
        commits = [(log.commit(), 8)]

        def save(log: ReplayLog = log, commits: list[Any] = commits) -> None:
            """The calls of a trainer at a checkpoint that is not the run's first."""
            if log.rows == 8:
                log.append(rows(8, 23))
            commits.append((log.commit(), 23))
            log.prune(5, [committed for committed, _ in commits])
            commits.append((log.commit(), 23))
            del commits[:-1]
            log.prune(5, [commits[0][0]])

        disk.calls_left = k
        try:
            save()
        except ReplayLogError:
            save()
        except Killed:
            pass
        for committed, count in commits:
            found = reopen(folder, committed)
            assert found.rows == count
            assert same(found.read_tail(5), rows(count - 5, count))
        if not disk.failed:
            assert len(list(folder.iterdir())) == 2
            return
    raise AssertionError("every commit failed")


def test_a_power_cut_loses_no_commit(tmp_path: Path) -> None:
    for k in range(100):
        folder, disk = tmp_path / str(k), UnflushedDisk()
        log = new(folder, storage=disk)
        log.append(rows(0, 8))
        commits = [(log.commit(), 8)]
        disk.calls_left = k
        try:
            log.append(rows(8, 23))
            commits.append((log.commit(), 23))
            log.prune(20, [commits[0][0]])
        except Killed:
            pass
        disk.cut_power()
        for committed, count in commits:
            assert same(reopen(folder, committed).read(0, count), rows(0, count))
        if not disk.failed:
            return
    raise AssertionError("every commit failed")


def test_a_commit_writes_only_new_rows(tmp_path: Path) -> None:
    class Counting(Disk):
        bytes = 0

        def append(self, path: Path, data: Bytes, at: int) -> None:
            self.bytes += len(data)
            super().append(path, data, at)

    disk = Counting()
    log = new(tmp_path, storage=disk)
    log.append(rows(0, 1_000))
    log.commit()
    assert disk.bytes == 1_000 * SIZE
    log.append(rows(1_000, 1_003))
    log.commit()
    log.commit()
    assert disk.bytes == 1_003 * SIZE


def test_an_append_overwrites_the_bytes_of_a_failed_one(tmp_path: Path) -> None:
    disk, path = Disk(), tmp_path / "file"
    disk.append(path, b"whole, then cut", at=0)
    disk.append(path, b"new", at=7)
    assert path.read_bytes() == b"whole, new"


def test_resuming_at_an_older_commit_keeps_the_newer_one(tmp_path: Path) -> None:
    log = new(tmp_path)
    log.append(rows(0, 7))
    older = log.commit()
    log.append(rows(7, 9))
    newer = log.commit()
    other = reopen(tmp_path, older)
    other.append(rows(7, 12, history=1))
    resumed = other.commit()
    assert same(reopen(tmp_path, newer).read(0, 9), rows(0, 9))
    assert same(reopen(tmp_path, resumed).read(7, 12), rows(7, 12, history=1))


def test_prune_removes_segment_files(tmp_path: Path) -> None:
    log = new(tmp_path)
    for start in range(0, 200, 10):
        log.append(rows(start, start + 10))
        committed = log.commit()
        log.prune(20, [committed])
    assert len(list(tmp_path.iterdir())) <= 20 // SEGMENT + 3
    assert same(log.read_tail(20), rows(180, 200))
    with pytest.raises(ReplayLogError, match="are held"):
        log.read(0, 10)


def test_damaged_segments_are_refused(tmp_path: Path) -> None:
    log = new(tmp_path)
    log.append(rows(0, 12))
    committed, rng = log.commit(), random.Random(1)
    for entry in committed["segments"]:
        path = tmp_path / entry["name"]
        good = path.read_bytes()
        for _ in range(50):
            bad = bytearray(good)
            bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
            path.write_bytes(bad)
            with pytest.raises(ReplayLogError, match="damaged"):
                reopen(tmp_path, committed)
        path.write_bytes(good[:-1])
        with pytest.raises(ReplayLogError, match="were committed"):
            reopen(tmp_path, committed)
        path.unlink()
        with pytest.raises(ReplayLogError, match=entry["name"]):
            reopen(tmp_path, committed)
        (tmp_path / "elsewhere").write_bytes(good)
        path.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(ReplayLogError, match="link"):
            reopen(tmp_path, committed)
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(ReplayLogError, match="plain file"):
            reopen(tmp_path, committed)
        path.unlink()
        path.write_bytes(good)
    one, two = (tmp_path / entry["name"] for entry in committed["segments"][:2])
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    with pytest.raises(ReplayLogError, match="damaged"):
        reopen(tmp_path, committed)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../segment-00000000.rows"}, {"name": "/etc/passwd"}, {"name": 3}, {"rows": -1},
        {"rows": 1 << 60}, {"rows": 2.0}, {"rows": True}, {"sha256": None}, {"rows": 10**9},
    ],
)  # fmt: skip
def test_a_forged_commit_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    log = new(tmp_path)
    log.append(rows(0, 3))
    committed = log.commit()
    with pytest.raises(ReplayLogError):
        reopen(tmp_path, {**committed, "segments": [{**committed["segments"][0], **change}]})
    with pytest.raises(ReplayLogError):
        reopen(tmp_path, {**committed, "segments": committed["segments"] * 2})
    wrong: tuple[Any, ...] = (
        None,
        [],
        {},
        {**committed, "segments": 3},
        {**committed, "first": -1},
        {**committed, "first": "a"},
    )
    for other in wrong:
        with pytest.raises(ReplayLogError):
            reopen(tmp_path, other)


def test_a_sparse_segment_is_refused_before_it_is_read(tmp_path: Path) -> None:
    log = new(tmp_path)
    log.append(rows(0, 3))
    committed = log.commit()
    entry = committed["segments"][0]
    os.truncate(tmp_path / entry["name"], 1 << 40)
    with pytest.raises(ReplayLogError, match="names a segment"):
        reopen(tmp_path, {**committed, "segments": [{**entry, "rows": 10_001}]})


def test_the_refusal_of_other_columns_names_both(tmp_path: Path) -> None:
    log = new(tmp_path)
    log.append(rows(0, 3))
    committed = log.commit()
    with pytest.raises(ReplayLogError, match=r"obs.*\[3\].*expected.*obs.*\[17\]"):
        ReplayLog.open(tmp_path, {**COLUMNS, "obs": ((17,), "float32")}, committed)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"obs": np.zeros((2, 3))}, "obs is float64"),
        ({"obs": np.zeros((2, 4), np.float32)}, "expected float32"),
        ({"obs": np.zeros((3, 3), np.float32)}, "number of rows"),
        ({"obs": np.float32(1)}, "number of rows"),
        ({"more": np.zeros(2)}, "columns"),
        ({"row": np.array([1, None])}, "row is object"),
    ],
)
def test_rows_that_do_not_fit_are_refused_together(
    tmp_path: Path, change: dict[str, Any], match: str
) -> None:
    log = new(tmp_path)
    with pytest.raises(ReplayLogError, match=match):
        log.append({**rows(0, 2), **change})
    assert log.rows == 0


@pytest.mark.parametrize("columns", [{}, {"a": ((), object)}, {"a": ((), complex)}, {"a": ((0,), "f4")}])
def test_columns_that_cannot_be_stored_are_refused(tmp_path: Path, columns: Any) -> None:
    with pytest.raises(ReplayLogError):
        ReplayLog(tmp_path, columns)

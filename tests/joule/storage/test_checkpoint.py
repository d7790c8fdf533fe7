"""A checkpoint loads as it was saved, and every fault leaves the old checkpoint or the new one."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_files import IDENTITY, json_values, newest_content, put
from faulty_storage import FaultyDisk, Killed, UnflushedDisk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from joule.storage.checkpoint import META, Checkpoint, CheckpointError, kept_files, load, newest, save, sweep

pytestmark = pytest.mark.usefixtures("no_flush")

DTYPES = [
    "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "f2", "f4", "f8", ">f4",
]  # fmt: skip

any_array = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(
        np.dtype(dtype), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    )
)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8), any_array, max_size=4
    ),
    st.dictionaries(st.text(max_size=5), json_values, max_size=4),
)
def test_a_checkpoint_loads_as_it_was_saved(arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
    arrays = {**arrays, "strided": np.arange(12.0).reshape(3, 4).T}
    with tempfile.TemporaryDirectory() as folder:
        found = load(save(Path(folder), 7, arrays, meta, identity=IDENTITY), expect=IDENTITY)
    assert (found.step, found.meta, found.identity) == (7, meta, IDENTITY)
    assert set(found.arrays) == set(arrays)
    for name, array in arrays.items():
        loaded = found.arrays[name]
        assert loaded.shape == array.shape
        assert loaded.dtype == array.dtype.newbyteorder("=")
        assert loaded.tobytes() == array.astype(loaded.dtype).tobytes()  # NaN and -0.0 too
        assert loaded.flags.writeable


@pytest.mark.parametrize(
    ("arrays", "meta"),
    [
        ({"a": np.array([object()])}, {}),
        ({"a": np.zeros(2, complex)}, {}),
        ({"a": np.zeros(2, np.longdouble)}, {}),
        ({"a": [1.0]}, {}),
        ({}, {"a": {1: 2}}),
        ({}, {"a": np.float32(1)}),
        ({}, {"a": {1, 2}}),
    ],
)
def test_values_that_would_not_load_the_same_are_not_saved(tmp_path: Path, arrays: Any, meta: Any) -> None:
    with pytest.raises(CheckpointError):
        save(tmp_path, 1, arrays, meta, identity=IDENTITY)
    assert not list(tmp_path.iterdir())


def test_save_keeps_the_newest_and_drops_an_abandoned_continuation(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        put(tmp_path, step)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-20", "step-30"]
    put(tmp_path, 25)  # the run was resumed at 20
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-20", "step-25"]
    assert sorted(f["at"] for f in kept_files(tmp_path)) == [20, 25]
    put(tmp_path, 25, keep=1)
    assert [p.name for p in tmp_path.iterdir()] == ["step-25"]


@pytest.mark.parametrize("fault", ["ENOSPC", "EIO", "kill"])
@pytest.mark.parametrize("new_step", [20, 30])
def test_a_fault_at_any_call_leaves_the_old_checkpoint_or_the_new(
    tmp_path: Path, fault: str, new_step: int
) -> None:
    old, new = (20, 20.0), (new_step, 99.0)
    for k in range(200):
        folder, disk = tmp_path / str(k), FaultyDisk(k, fault)
        put(folder, 10)
        put(folder, 20)
        arrays = {"w/0": np.full((3, 4), 99.0)}
        try:
            save(folder, new_step, arrays, {}, identity=IDENTITY, storage=disk)
        except (CheckpointError, Killed):
            assert disk.failed
            assert newest_content(folder) in (old, new)
            if fault != "kill" and k < 8:  # the failed call wrote; later ones remove old checkpoints
                assert not list(folder.glob(f".tmp-*-{new_step}"))
        else:
            assert not disk.failed
            assert newest_content(folder) == new
            return
        # The next save, by another process, succeeds and leaves nothing behind.
        before = newest_content(folder)
        sweep(folder)
        assert newest_content(folder) == before
        put(folder, 40)
        assert newest_content(folder) == (40, 40.0)
        assert len(list(folder.iterdir())) == 2
    raise AssertionError("every save failed")


@pytest.mark.parametrize("new_step", [20, 30])
def test_a_power_cut_loses_only_a_save_that_had_not_returned(tmp_path: Path, new_step: int) -> None:
    for k in range(200):
        folder = tmp_path / str(k)
        put(folder, 10)
        put(folder, 20)
        disk = UnflushedDisk(k)
        try:
            save(folder, new_step, {"w/0": np.full((3, 4), 99.0)}, {}, identity=IDENTITY, storage=disk)
        except Killed:
            disk.cut_power()
            assert newest_content(folder) in ((20, 20.0), (new_step, 99.0))
        else:
            disk.cut_power()
            assert newest_content(folder) == (new_step, 99.0)
            return
    raise AssertionError("every save failed")


def test_newest_skips_a_damaged_checkpoint_and_says_why(tmp_path: Path) -> None:
    assert newest(tmp_path / "none") is None
    put(tmp_path, 10)
    bad = put(tmp_path, 20)
    (bad / META).write_text("{}")
    found = newest(tmp_path)
    assert found is not None
    assert found.step == 10
    assert len(found.skipped) == 1
    assert META in found.skipped[0]
    (tmp_path / "step-30").symlink_to(tmp_path / "step-10")
    (tmp_path / "step-40").symlink_to(tmp_path / "step-10")
    again = newest(tmp_path)
    assert again is not None
    assert again.path.name == "step-10"

    def refuse(_: object) -> None:
        raise ValueError("its replay is damaged")

    with pytest.raises(CheckpointError, match="no checkpoint loads") as refused:
        newest(tmp_path, verify=refuse)
    assert all(f"step-{step}" in str(refused.value) for step in (30, 40)), "each is told"


def test_arrays_beyond_the_memory_budget_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path, 1)
    size = (path / "arrays.safetensors").stat().st_size
    assert load(path, largest=size).step == 1
    read: list[str] = []
    monkeypatch.setattr("joule.storage.checkpoint.read_member", lambda _, name, __: read.append(name))
    with pytest.raises(CheckpointError, match=r"holds .* MB, and the memory budget leaves"):
        load(path, largest=size - 1)
    with pytest.raises(CheckpointError, match=r"no checkpoint loads: .* the memory budget leaves"):
        newest(tmp_path, largest=size - 1)
    assert read == []


def test_newest_follows_no_link_but_a_running_process(tmp_path: Path) -> None:
    put(tmp_path, 10).rename(tmp_path / "elsewhere")
    (tmp_path / "step-10").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match="is a link"):
        newest(tmp_path)

    def save_meanwhile(found: Checkpoint) -> None:
        if found.step == 20:
            put(tmp_path, 30)
            raise CheckpointError("pruned while it was read")

    put(tmp_path, 20)
    found = newest(tmp_path, verify=save_meanwhile)
    assert found is not None
    assert found.step == 30


def test_a_renamed_checkpoint_is_not_taken_for_a_later_one(tmp_path: Path) -> None:
    shutil.copytree(put(tmp_path, 10), tmp_path / "step-50")
    found = newest(tmp_path)
    assert found is not None
    assert found.path.name == "step-10"


def test_save_removes_stale_temporaries_and_leaves_other_files(tmp_path: Path) -> None:
    put(tmp_path, 10)
    shutil.copytree(tmp_path / "step-10", tmp_path / ".tmp-123-20")
    (tmp_path / ".tmp-of-another-program").mkdir()
    (tmp_path / "notes.txt").touch()
    assert newest_content(tmp_path) == (10, 10.0)
    put(tmp_path, 30)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        ".tmp-of-another-program", "notes.txt", "step-10", "step-30",
    ]  # fmt: skip


SAVER = """
import sys, numpy as np
from pathlib import Path
from joule.storage.checkpoint import newest, save
folder = Path(sys.argv[1])
found = newest(folder)
step = found.step if found else 0
while True:
    step += 1
    for repeat in range(1 + step % 2):
        save(folder, step, {"w": np.full(20_000, step)}, {"step": step}, identity={"run": "x"})
    print(step, flush=True)
"""


@pytest.mark.parametrize("kills", [6, pytest.param(200, marks=pytest.mark.slow)])
def test_a_real_kill_loses_no_save_that_had_returned(tmp_path: Path, kills: int) -> None:
    rng, reached = random.Random(kills), 0
    for _ in range(kills):
        child = subprocess.Popen(
            [sys.executable, "-c", SAVER, str(tmp_path)], stdout=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[3], env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert child.stdout is not None
        first = child.stdout.readline()
        try:
            child.wait(rng.uniform(0.0, 0.05))
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
        lines = [first, *child.communicate()[0].splitlines(keepends=True)]
        saved = [int(line) for line in lines if line.endswith("\n")]
        found = newest(tmp_path)
        assert child.returncode == -signal.SIGKILL
        assert found is not None
        assert found.step >= saved[-1] > reached
        assert (found.arrays["w"] == found.step).all()
        assert not found.skipped
        reached = found.step

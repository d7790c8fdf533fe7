"""What was saved is what loads; every fault leaves the old state or the new; nothing bad loads."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faulty_storage import FaultyDisk, ForgetfulDisk, Killed
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from joule.storage import arrays as array_file
from joule.storage.checkpoint import (
    ARRAYS,
    DIGEST,
    MANIFEST,
    META,
    Checkpoint,
    CheckpointError,
    kept_files,
    load,
    newest,
    save,
    sweep,
)

ID = {"run": "a" * 32, "env": "HalfCheetah-v5", "agent": "joule"}
DTYPES = [
    "bool",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "f2",
    "f4",
    "f8",
    ">f4",
]


@pytest.fixture(scope="module", autouse=True)
def _fast() -> Iterator[None]:
    """Flushing to a real disk is slow, and no test here can see it; its order is `ForgetfulDisk`'s."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("joule.storage.files.os.fsync", lambda handle: None)
        yield


def content(step: int) -> dict[str, np.ndarray]:
    return {"w/0": np.full((3, 4), step, np.float32), "count": np.array(step, np.int64)}


def put(folder: Path, step: int, **more: Any) -> Path:
    return save(
        folder, step, content(step), {"step": step}, identity=ID, files={"replay": {"at": step}}, **more
    )


def reseal(path: Path) -> None:
    """Makes a changed checkpoint consistent again, as a stranger who knows the format would."""
    manifest = json.loads((path / MANIFEST).read_text())
    for name in (ARRAYS, META):
        data = (path / name).read_bytes()
        manifest["members"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    seal(path, json.dumps(manifest).encode())


def seal(path: Path, manifest: bytes) -> None:
    (path / MANIFEST).write_bytes(manifest)
    (path / DIGEST).write_text(f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST}\n")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**130), 2**130)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
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
def test_what_was_saved_is_what_loads(arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
    arrays = {**arrays, "strided": np.arange(12.0).reshape(3, 4).T}
    with tempfile.TemporaryDirectory() as folder:
        found = load(save(Path(folder), 7, arrays, meta, identity=ID), expect=ID)
    assert (found.step, found.meta, found.identity) == (7, meta, ID)
    assert set(found.arrays) == set(arrays)
    for name, array in arrays.items():
        back = found.arrays[name]
        assert back.shape == array.shape
        assert back.dtype == array.dtype.newbyteorder("=")
        assert back.tobytes() == array.astype(back.dtype).tobytes()  # NaN and -0.0 too
        assert back.flags.writeable


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
def test_what_would_not_load_the_same_is_not_saved(tmp_path: Path, arrays: Any, meta: Any) -> None:
    with pytest.raises(CheckpointError):
        save(tmp_path, 1, arrays, meta, identity=ID)
    assert not list(tmp_path.iterdir())


def test_keeps_the_newest_and_drops_an_abandoned_future(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        put(tmp_path, step)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-20", "step-30"]
    put(tmp_path, 25)  # the run was resumed at 20
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-20", "step-25"]
    assert sorted(f["at"] for f in kept_files(tmp_path)) == [20, 25]
    put(tmp_path, 25, keep=1)
    assert [p.name for p in tmp_path.iterdir()] == ["step-25"]


def state(folder: Path) -> tuple[int, float] | None:
    found = newest(folder)
    return None if found is None else (found.step, float(found.arrays["w/0"][0, 0]))


@pytest.mark.parametrize("fault", ["ENOSPC", "EIO", "kill"])
@pytest.mark.parametrize("new_step", [20, 30])
def test_a_fault_at_any_call_leaves_the_old_state_or_the_new(
    tmp_path: Path, fault: str, new_step: int
) -> None:
    old, new = (20, 20.0), (new_step, 99.0)
    for k in range(200):
        folder, disk = tmp_path / str(k), FaultyDisk(k, fault)
        put(folder, 10)
        put(folder, 20)
        arrays = {"w/0": np.full((3, 4), 99.0)}
        try:
            save(folder, new_step, arrays, {}, identity=ID, storage=disk)
        except (CheckpointError, Killed):
            assert disk.struck
            assert state(folder) in (old, new)
            if fault != "kill" and k < 8:  # the call that failed was one of writing, not of tidying up
                assert not list(folder.glob(f".tmp-*-{new_step}"))
        else:
            assert not disk.struck
            assert state(folder) == new
            return
        # And the next save, by the next process, finds nothing in its way and leaves nothing behind.
        before = state(folder)
        sweep(folder)
        assert state(folder) == before
        put(folder, 40)
        assert state(folder) == (40, 40.0)
        assert len(list(folder.iterdir())) == 2
    raise AssertionError("no save passed untouched")


@pytest.mark.parametrize("new_step", [20, 30])
def test_a_power_cut_forgets_only_what_had_not_returned(tmp_path: Path, new_step: int) -> None:
    for k in range(200):
        folder = tmp_path / str(k)
        put(folder, 10)
        put(folder, 20)
        disk = ForgetfulDisk(k)
        try:
            save(folder, new_step, {"w/0": np.full((3, 4), 99.0)}, {}, identity=ID, storage=disk)
        except Killed:
            disk.cut()
            assert state(folder) in ((20, 20.0), (new_step, 99.0))
        else:
            disk.cut()
            assert state(folder) == (new_step, 99.0)
            return
    raise AssertionError("no save passed untouched")


def test_every_flipped_bit_and_every_truncation_is_refused(tmp_path: Path) -> None:
    path, rng = put(tmp_path, 10), random.Random(1)
    for name in (ARRAYS, META, MANIFEST, DIGEST):
        good = (path / name).read_bytes()
        for _ in range(100):
            bad = bytearray(good)
            bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
            (path / name).write_bytes(bad)
            with pytest.raises(CheckpointError):
                load(path)
        for size in {0, len(good) - 1, *(rng.randrange(len(good)) for _ in range(30))}:
            (path / name).write_bytes(good[:size])
            with pytest.raises(CheckpointError):
                load(path)
        (path / name).write_bytes(good + b"\0")
        with pytest.raises(CheckpointError):
            load(path)
        (path / name).write_bytes(good)
    assert load(path).step == 10


def test_files_that_do_not_belong_are_refused(tmp_path: Path) -> None:
    one, two = put(tmp_path / "one", 10), put(tmp_path / "two", 20)
    for name in (ARRAYS, META, MANIFEST, DIGEST):
        kept = (one / name).read_bytes()
        (one / name).unlink()
        with pytest.raises(CheckpointError, match=name.replace(".", r"\.")):
            load(one)
        for make in (
            lambda: shutil.copy(two / name, one / name),  # noqa: B023 - called at once
            lambda: (one / name).symlink_to(two / name),  # noqa: B023
            lambda: os.mkfifo(one / name),  # noqa: B023
            lambda: (one / name).mkdir(),  # noqa: B023
        ):
            make()
            with pytest.raises(CheckpointError):
                load(one)
            (one / name).rmdir() if (one / name).is_dir() else (one / name).unlink()
        outside = tmp_path / "outside"  # the right content, but behind a link
        outside.write_bytes(kept)
        (one / name).symlink_to(outside)
        with pytest.raises(CheckpointError, match="link"):
            load(one)
        (one / name).unlink()
        (one / name).write_bytes(kept)
    (one / "extra.pkl").write_bytes(b"cos\nsystem\n(S'touch /tmp/owned'\ntR.")
    with pytest.raises(CheckpointError, match=r"extra\.pkl"):
        load(one)


def test_what_is_not_a_checkpoint_is_refused_with_its_cause(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        load(tmp_path / "none")
    for data in (b"", b"hello", b"<html></html>", os.urandom(999)):
        (tmp_path / "file.ckpt").write_bytes(data)
        with pytest.raises(CheckpointError, match="not a checkpoint folder"):
            load(tmp_path / "file.ckpt")
    with pytest.raises(CheckpointError, match=r"MANIFEST\.json is missing"):
        load(tmp_path)
    with pytest.raises(CheckpointError):
        load(tmp_path / ("x" * 5000))


def test_other_identity_and_newer_format_are_named(tmp_path: Path) -> None:
    path = put(tmp_path, 10)
    with pytest.raises(CheckpointError, match="'HalfCheetah-v5', expected 'Ant-v5'"):
        load(path, expect={"env": "Ant-v5"})
    with pytest.raises(CheckpointError, match="observation_size is not recorded, expected 17"):
        load(path, expect={"observation_size": 17})
    manifest = json.loads((path / MANIFEST).read_text())
    manifest["format"] = 99
    seal(path, json.dumps(manifest).encode())
    with pytest.raises(CheckpointError, match="newer Joule"):
        load(path)


def test_newest_falls_back_and_says_why(tmp_path: Path) -> None:
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

    with pytest.raises(CheckpointError, match="no checkpoint loads"):
        newest(tmp_path, verify=refuse)


def test_newest_follows_no_link_and_a_live_run(tmp_path: Path) -> None:
    put(tmp_path, 10).rename(tmp_path / "elsewhere")
    (tmp_path / "step-10").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match="is a link"):
        newest(tmp_path)

    def saved_meanwhile(found: Checkpoint) -> None:
        if found.step == 20:
            put(tmp_path, 30)
            raise CheckpointError("pruned while it was read")

    put(tmp_path, 20)
    found = newest(tmp_path, verify=saved_meanwhile)
    assert found is not None
    assert found.step == 30


def test_a_renamed_checkpoint_does_not_pass_for_a_later_one(tmp_path: Path) -> None:
    shutil.copytree(put(tmp_path, 10), tmp_path / "step-50")
    found = newest(tmp_path)
    assert found is not None
    assert found.path.name == "step-10"


def test_stale_temporaries_go_and_strangers_files_stay(tmp_path: Path) -> None:
    put(tmp_path, 10)
    shutil.copytree(tmp_path / "step-10", tmp_path / ".tmp-123-20")
    (tmp_path / ".tmp-of-another-program").mkdir()
    (tmp_path / "notes.txt").touch()
    assert state(tmp_path) == (10, 10.0)
    put(tmp_path, 30)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        ".tmp-of-another-program", "notes.txt", "step-10", "step-30",
    ]  # fmt: skip


def header(entries: Any, data: bytes = b"") -> bytes:
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text + data


hostile_entry = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["F32", "BOOL", "F8_E4M3", "C64", 3, None, ["F32"]]),
        "shape": st.lists(st.integers(-2, 2**64) | st.integers(0, 4), max_size=4)
        | st.none()
        | st.text(max_size=2),
        "data_offsets": st.lists(st.integers(-8, 2**64) | st.integers(0, 16), max_size=3) | st.none(),
    },
)


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=64)
    | st.builds(
        lambda length, rest: length.to_bytes(8, "little") + rest,
        st.integers(0, 2**64 - 1),
        st.binary(max_size=40),
    )
    | st.builds(
        header,
        st.dictionaries(st.text(max_size=12), hostile_entry, max_size=3) | json_values,
        st.binary(max_size=16),
    )
)
def test_no_bytes_make_the_array_reader_fail_otherwise(data: bytes) -> None:
    try:
        arrays = array_file.unpack(data)
    except ValueError:
        return
    assert sum(array.nbytes for array in arrays.values()) <= len(data)


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "header claims"),
        ((1 << 62).to_bytes(8, "little") + b"{}", "header claims"),
        (b"\x02" + bytes(7) + b'{"', "not a sound"),
        (
            header({n: {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]} for n in "ab"}, bytes(2)),
            "overlap",
        ),
        (header({"a": {"dtype": "U8", "shape": [2], "data_offsets": [1, 3]}}, bytes(3)), "gaps"),
        (header({"a": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}}, bytes(3)), "the file holds 3"),
        (header({"a": {"dtype": "F64", "shape": [2], "data_offsets": [0, 2]}}, bytes(2)), "does not fit"),
        (header({"a": {"dtype": "U8", "shape": [True], "data_offsets": [0, 1]}}, bytes(1)), "whole number"),
        (b"\x10" + bytes(7) + b'{"a":{},"a":{}} ', "appears twice"),
    ],
)
def test_an_unsound_header_is_named(data: bytes, cause: str) -> None:
    with pytest.raises(ValueError, match=cause):
        array_file.unpack(data)


def mutate(value: Any, path: list[Any], new: Any) -> Any:
    """`value` with the entry reached by following `path` (indices modulo the keys present) replaced."""
    if not path or not isinstance(value, dict) or not value:
        return new
    key = sorted(value)[path[0] % len(value)]
    return {**value, key: mutate(value[key], path[1:], new)}


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=3), json_values, st.sampled_from([MANIFEST, META]))
def test_no_resealed_json_makes_the_reader_fail_otherwise(where: list[int], new: Any, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = put(Path(folder), 10)
        changed = json.dumps(mutate(json.loads((path / name).read_text()), where, new)).encode()
        if name == MANIFEST:
            seal(path, changed)
        else:
            (path / name).write_bytes(changed)
            reseal(path)
        try:
            load(path, expect=ID)
            newest(Path(folder))
            kept_files(Path(folder))
        except CheckpointError:
            pass


@pytest.mark.parametrize(
    "manifest",
    [b"[" * 100_000, b'{"format": ' + b"9" * 5000 + b"}", b"\xff\xfe", b"null", b"{}", b'{"format": NaN}'],
)
def test_malformed_manifests_are_refused(tmp_path: Path, manifest: bytes) -> None:
    path = put(tmp_path, 10)
    seal(path, manifest)
    with pytest.raises(CheckpointError):
        load(path)


def test_claims_of_100_gigabytes_take_no_memory(tmp_path: Path) -> None:
    path = put(tmp_path, 10)
    huge = 100 << 30
    entry = {"w": {"dtype": "F32", "shape": [huge // 4], "data_offsets": [0, huge]}}
    (path / ARRAYS).write_bytes(header(entry))
    reseal(path)
    manifest = json.loads((path / MANIFEST).read_text())
    tracemalloc.start()
    with pytest.raises(CheckpointError, match="sound"):
        load(path)
    for name in (ARRAYS, META):  # a sparse file that really has the size it claims
        with (path / name).open("r+b") as file:
            file.truncate(huge)
        manifest["members"][name]["size"] = huge
    seal(path, json.dumps(manifest).encode())
    with pytest.raises(CheckpointError, match="at most"):
        load(path)
    (path / MANIFEST).open("r+b").truncate(huge)
    with pytest.raises(CheckpointError, match="at most"):
        load(path)
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


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
def test_a_real_kill_loses_nothing_that_was_saved(tmp_path: Path, kills: int) -> None:
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

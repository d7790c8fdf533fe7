"""Damaged and forged checkpoints are refused, and take no more memory than their files."""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from checkpoint_files import IDENTITY, array_header, json_values, put, reseal, seal
from hypothesis import given, settings
from hypothesis import strategies as st

from joule.storage.checkpoint import (
    ARRAYS,
    DIGEST,
    FORMAT,
    MANIFEST,
    META,
    CheckpointError,
    kept_files,
    load,
    newest,
)

pytestmark = pytest.mark.usefixtures("no_flush")


def test_a_flipped_bit_and_a_truncation_are_refused(tmp_path: Path) -> None:
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


def test_missing_foreign_and_linked_files_are_refused(tmp_path: Path) -> None:
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
        outside = tmp_path / "outside"  # the right content behind a link
        outside.write_bytes(kept)
        (one / name).symlink_to(outside)
        with pytest.raises(CheckpointError, match="link"):
            load(one)
        (one / name).unlink()
        (one / name).write_bytes(kept)
    (one / "extra.pkl").write_bytes(b"cos\nsystem\n(S'touch /tmp/owned'\ntR.")
    with pytest.raises(CheckpointError, match=r"extra\.pkl"):
        load(one)


def test_the_refusal_of_another_file_names_the_cause(tmp_path: Path) -> None:
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


def test_the_refusal_of_another_identity_names_both(tmp_path: Path) -> None:
    path = put(tmp_path, 10)
    with pytest.raises(CheckpointError, match="'HalfCheetah-v5', expected 'Ant-v5'"):
        load(path, expect={"env": "Ant-v5"})
    with pytest.raises(CheckpointError, match="observation_size is not recorded, expected 17"):
        load(path, expect={"observation_size": 17})


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (FORMAT + 1, "written by a newer Joule"),
        (
            1,
            "written by an older Joule, whose settings had other names; train again, or use the version that",
        ),
        (None, "has no format number"),
        (True, "has no format number"),
    ],
)
def test_another_format_is_refused_in_one_sentence(tmp_path: Path, number: Any, cause: str) -> None:
    path = put(tmp_path, 10)
    manifest = json.loads((path / MANIFEST).read_text())
    seal(path, json.dumps({**manifest, "format": number}).encode())
    with pytest.raises(CheckpointError, match=cause) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(CheckpointError, match=cause):
        newest(tmp_path)


def replaced(value: Any, where: list[Any], new: Any) -> Any:
    """`value` with the entry at `where` (indices modulo the keys present) replaced."""
    if not where or not isinstance(value, dict) or not value:
        return new
    key = sorted(value)[where[0] % len(value)]
    return {**value, key: replaced(value[key], where[1:], new)}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a small checkpoint."""
    path = put(tmp_path_factory.mktemp("sound"), 10)
    return {member.name: member.read_bytes() for member in path.iterdir()}


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=3), json_values, st.sampled_from([MANIFEST, META]))
def test_forged_json_is_read_or_refused_with_checkpoint_error(
    sound: dict[str, bytes], where: list[int], new: Any, name: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "step-10")
        path.mkdir()
        for member, data in sound.items():
            (path / member).write_bytes(data)
        changed = json.dumps(replaced(json.loads((path / name).read_text()), where, new)).encode()
        if name == MANIFEST:
            seal(path, changed)
        else:
            (path / name).write_bytes(changed)
            reseal(path)
        try:
            load(path, expect=IDENTITY)
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


def test_sizes_of_100_gigabytes_take_no_memory(tmp_path: Path) -> None:
    path = put(tmp_path, 10)
    huge = 100 << 30
    entry = {"w": {"dtype": "F32", "shape": [huge // 4], "data_offsets": [0, huge]}}
    (path / ARRAYS).write_bytes(array_header(entry))
    reseal(path)
    manifest = json.loads((path / MANIFEST).read_text())
    tracemalloc.start()
    with pytest.raises(CheckpointError, match="not a valid safetensors file"):
        load(path)
    for name in (ARRAYS, META):  # a sparse file that has the size it claims
        with (path / name).open("r+b") as file:
            file.truncate(huge)
        manifest["members"][name]["size"] = huge
    seal(path, json.dumps(manifest).encode())
    with pytest.raises(CheckpointError, match="at most"):
        load(path)
    manifest["members"][ARRAYS]["size"] = 10**400  # no float holds it
    seal(path, json.dumps(manifest).encode())
    with pytest.raises(CheckpointError, match="does not describe a checkpoint"):
        load(path, largest=1e9)
    (path / MANIFEST).open("r+b").truncate(huge)
    with pytest.raises(CheckpointError, match="at most"):
        load(path)
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()

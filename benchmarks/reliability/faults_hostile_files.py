"""Faults 53 and 54: hostile files with valid hashes."""

from __future__ import annotations

import json
import os
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.reliability.damaged_runs import (
    FinishedRun,
    checkpoint_refused,
    refused_by_readers,
    replay_segment,
    reseal,
)
from benchmarks.reliability.fault_table import Outcome, all_of, fault
from benchmarks.reliability.run_fingerprint import newest_checkpoint
from benchmarks.reliability.sandbox import Sandbox

MEMORY_LIMIT = {resource.RLIMIT_AS: 8 << 30}
LARGEST_CHILD_MIB = 2000
HUGE = 100_000_000_000
"""A size in bytes that must never be allocated."""


@fault(53, "pickle payload in ckpt/replay/dataset/npy", "never executed, REJECT")
def pickle_payload(sandbox: Sandbox) -> Outcome:
    run, mark = FinishedRun(sandbox), sandbox.place / "executed"
    # The pickle of os.system("touch ..."): a reader that unpickles it leaves the mark.
    payload = f"cos\nsystem\n(S'touch {mark}'\ntR.".encode()
    checks = {}
    for name in ("arrays.safetensors", "meta.json"):
        folder = run.copy()
        (newest_checkpoint(folder) / name).write_bytes(payload)
        reseal(newest_checkpoint(folder))
        checks[name] = checkpoint_refused(sandbox, folder, name)
    folder = run.copy()
    replay_segment(folder).write_bytes(payload * 500)
    checks["replay"] = checkpoint_refused(sandbox, folder, "replay")
    for name in ("run.json", "config.json"):
        folder = run.copy()
        (folder / name).write_bytes(payload)
        checks[name] = refused_by_readers(sandbox, folder, name)
    folder = run.copy()
    (folder / "evaluations.csv").write_bytes(payload)
    compared = sandbox.run_command("compare", [str(folder)])
    checks["evaluations.csv"] = compared.code == 2 and compared.no_traceback
    return all_of(checks | {"nothing was executed": not mark.exists()})


@fault(54, "`../`, absolute, symlink member; zip bomb; header claims 100 GB", "REJECT, RSS bounded")
def hostile_members(sandbox: Sandbox) -> Outcome:
    run, checks = FinishedRun(sandbox), {}
    outside = sandbox.place / "outside"
    outside.write_text("secret")

    def attempt(name: str, change: Callable[[Path], object], word: str, **more: Any) -> None:
        folder = run.copy()
        change(newest_checkpoint(folder))
        checks[name] = checkpoint_refused(sandbox, folder, word, **more)

    def link(checkpoint: Path) -> None:
        (checkpoint / "meta.json").unlink()
        (checkpoint / "meta.json").symlink_to(outside)

    attempt("../ in the replay", rename_segment("../../outside"), "segment")
    attempt("absolute in the replay", rename_segment(str(outside)), "segment")
    attempt("../ as a member", add_member, "MANIFEST")
    attempt("a link as a member", link, "link")
    attempt("a zip bomb", zip_bomb, "arrays.safetensors", limits=MEMORY_LIMIT)
    attempt("a header of 100 GB", huge_header, "arrays.safetensors", limits=MEMORY_LIMIT)
    attempt("a size of 100 GB", huge_size, "meta.json")
    attempt("a sparse file of 100 GB", sparse_file, "meta.json", limits=MEMORY_LIMIT)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    found = all_of(checks)
    text = f"{found.text}; {peak:.0f} MiB at most in any child"
    return Outcome(found.ok and peak < LARGEST_CHILD_MIB, text)


def rename_segment(name: str) -> Callable[[Path], None]:
    """The manifest names another file as the first segment of the replay."""
    return lambda checkpoint: reseal(
        checkpoint, lambda manifest: manifest["files"]["replay"]["segments"][0].update(name=name)
    )


def add_member(checkpoint: Path) -> None:
    """The manifest names a member outside the checkpoint."""
    member = {"../x": {"size": 1, "sha256": ""}}
    reseal(checkpoint, lambda manifest: manifest["members"].update(member))


def zip_bomb(checkpoint: Path) -> None:
    """The arrays are a small archive of a large file."""
    with zipfile.ZipFile(checkpoint / "arrays.safetensors", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x", b"\0" * 200_000_000)
    reseal(checkpoint)


def huge_header(checkpoint: Path) -> None:
    """The header of the arrays claims 100 GB."""
    entry = {"dtype": "F32", "shape": [HUGE // 4], "data_offsets": [0, HUGE]}
    header = json.dumps({"x": entry}).encode()
    content = len(header).to_bytes(8, "little") + header + b"\0" * 64
    (checkpoint / "arrays.safetensors").write_bytes(content)
    reseal(checkpoint)


def huge_size(checkpoint: Path) -> None:
    """The manifest claims 100 GB for meta.json."""
    reseal(checkpoint, lambda manifest: manifest["members"]["meta.json"].update(size=HUGE))


def sparse_file(checkpoint: Path) -> None:
    """meta.json is a sparse file of 100 GB."""
    os.truncate(checkpoint / "meta.json", HUGE)

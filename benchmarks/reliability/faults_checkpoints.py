"""Faults 46 to 52, 57 and 59: damaged checkpoints, checkpoints of another run, and invalid replay rows."""

from __future__ import annotations

import functools
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reliability.damaged_runs import (
    CHECKPOINT_FILES,
    FinishedRun,
    Manifest,
    change_json,
    checkpoint_refused,
    flip_bit,
    read_manifest,
    refused_by_readers,
    replay_segment,
    reseal,
)
from benchmarks.reliability.fault_table import Outcome, all_of, fault
from benchmarks.reliability.run_fingerprint import fingerprint, newest_checkpoint
from benchmarks.reliability.sandbox import Sandbox


@fault(46, "truncated checkpoint", "auto: previous valid; explicit: REJECT")
def truncated_checkpoint(sandbox: Sandbox) -> Outcome:
    run = FinishedRun(sandbox)
    folder = run.copy()
    arrays = newest_checkpoint(folder) / "arrays.safetensors"
    arrays.write_bytes(arrays.read_bytes()[:-100])
    refused = checkpoint_refused(sandbox, folder, "damaged")
    again = sandbox.resume(folder)
    same = again.survived() and fingerprint(folder) == fingerprint(run.folder)
    text = f"named: refused {refused}; resumed from the one before, said so, same hashes: {same}"
    return Outcome(refused and same and again.mentions("damaged"), text)


@fault(47, "1 bit flipped", "REJECT")
def flipped_bit(sandbox: Sandbox) -> Outcome:
    run, checks = FinishedRun(sandbox), {}
    for name in CHECKPOINT_FILES:
        folder = run.copy()
        flip_bit(newest_checkpoint(folder) / name)
        checks[name] = checkpoint_refused(sandbox, folder, "step-120")
    folder = run.copy()
    flip_bit(replay_segment(folder), 1 / 3)
    refused = checkpoint_refused(sandbox, folder, "damaged")
    return all_of(checks | {"replay": refused and sandbox.resume(folder).code == 2})


@fault(48, "0-byte / text / HTML named .ckpt, a dir, missing", "REJECT naming cause")
def not_a_checkpoint(sandbox: Sandbox) -> Outcome:
    place = sandbox.new_path("x").parent
    place.mkdir(parents=True)
    (place / "empty.ckpt").write_bytes(b"")
    (place / "text.ckpt").write_text("hello")
    (place / "page.ckpt").write_text("<!doctype html><html></html>")
    (place / "folder").mkdir()
    checks = {}
    for name in ("empty.ckpt", "text.ckpt", "page.ckpt", "folder", "missing"):
        path = str(place / name)
        commands = {"train": ["--resume", path], "evaluate": [path], "render": [path], "compare": [path]}
        results = [sandbox.run_command(command, words) for command, words in commands.items()]
        checks[name] = all(r.code == 2 and r.no_traceback and r.mentions(name) for r in results)
    return all_of(checks)


@fault(49, "newer format / older format", 'REJECT "written by >=X" / migrate')
def other_formats(sandbox: Sandbox) -> Outcome:
    from joule.storage.format import FORMAT

    run, checks = FinishedRun(sandbox), {}
    for number, words in ((FORMAT + 1, "newer"), (FORMAT - 1, "older")):
        folder = run.copy()
        reseal(newest_checkpoint(folder), functools.partial(dict.update, format=number))
        checks[f"checkpoint of format {number}"] = checkpoint_refused(sandbox, folder, words)
        folder = run.copy()
        change_json(folder / "run.json", format=number)
        checks[f"run of format {number}"] = refused_by_readers(sandbox, folder, words)
    return all_of(checks)


def _identify(manifest: Manifest, name: str, value: Any) -> None:
    manifest["identity"][name] = value


@fault(50, "checkpoint of other env or dims", "REJECT naming both")
def other_identity(sandbox: Sandbox) -> Outcome:
    run, checks = FinishedRun(sandbox), {}
    changes = {"env": "Hopper-v5", "observation_size": 11, "action_size": 3, "run": "f" * 32}
    for name, value in changes.items():
        folder = run.copy()
        own = read_manifest(folder)["identity"][name]
        reseal(newest_checkpoint(folder), functools.partial(_identify, name=name, value=value))
        checks[name] = checkpoint_refused(sandbox, folder, str(value), str(own))
    return all_of(checks)


@fault(51, "checkpoint of other algorithm", "REJECT")
def other_agent(sandbox: Sandbox) -> Outcome:
    run = FinishedRun(sandbox, **{"learning.utd": 1.0})  # SAC refuses a fraction of an update by itself
    in_manifest, in_config, in_both = run.copy(), run.copy(), run.copy()
    say_sac = functools.partial(_identify, name="agent", value="sac")
    reseal(newest_checkpoint(in_manifest), say_sac)
    change_json(in_config / "config.json", agent="sac")
    change_json(in_both / "config.json", agent="sac")
    for checkpoint in (in_both / "checkpoints").iterdir():
        reseal(checkpoint, say_sac)
    return all_of(
        {
            "manifest says sac": checkpoint_refused(sandbox, in_manifest, "sac", "joule"),
            "config says sac": checkpoint_refused(sandbox, in_config, "sac", "joule"),
            "both say sac": checkpoint_refused(sandbox, in_both, "holds rows"),
        }
    )


@fault(52, "file missing, extra, or swapped from another run", "REJECT (manifest, run-id)")
def other_files(sandbox: Sandbox) -> Outcome:
    run, checks = FinishedRun(sandbox), {}
    other = sandbox.train("--seed", "2").folder
    for name in CHECKPOINT_FILES:
        folder = run.copy()
        (newest_checkpoint(folder) / name).unlink()
        checks[f"{name} missing"] = checkpoint_refused(sandbox, folder, "step-120")
        folder = run.copy()
        shutil.copy(newest_checkpoint(other) / name, newest_checkpoint(folder) / name)
        checks[f"{name} swapped"] = checkpoint_refused(sandbox, folder, "step-120")
    folder = run.copy()
    (newest_checkpoint(folder) / "extra.py").write_text("print(1)")
    checks["extra file"] = checkpoint_refused(sandbox, folder, "extra.py")
    folder = run.copy()
    shutil.rmtree(newest_checkpoint(folder))
    shutil.copytree(newest_checkpoint(other), folder / "checkpoints" / "step-120")
    checks["checkpoint of another run"] = checkpoint_refused(sandbox, folder, "its run is")
    folder = run.copy()
    shutil.rmtree(folder / "replay")
    shutil.copytree(other / "replay", folder / "replay")
    checks["replay of another run"] = checkpoint_refused(sandbox, folder, "damaged")
    return all_of(checks)


@fault(57, "stale `.tmp-*` after kill", "removed, never loaded")
def stale_temporary_files(sandbox: Sandbox) -> Outcome:
    folder = FinishedRun(sandbox).copy()
    shutil.copytree(newest_checkpoint(folder), folder / "checkpoints" / ".tmp-123-500")
    (folder / ".tmp-123-summary.json").write_text("{")
    again = sandbox.resume(folder, "--steps", "160")
    left = [str(path.relative_to(folder)) for path in folder.rglob(".tmp-*")]
    ok = again.survived() and again.summary()["frames"] == 160 and not left
    return Outcome(ok, f"{again.describe()} at 160 frames; left: {left or 'none'}")


def write_replay(folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Changes the rows of a run's replay log, and makes the newest checkpoint's manifest valid again."""
    path = replay_segment(folder)
    commit = read_manifest(folder)["files"]["replay"]
    record = np.dtype([(name, dtype, tuple(shape)) for name, dtype, shape in commit["record"]])
    rows = change(np.fromfile(path, record).copy())
    path.write_bytes(rows.tobytes())
    claim = {"rows": len(rows), "sha256": hashlib.sha256(rows.tobytes()).hexdigest()}
    reseal(newest_checkpoint(folder), lambda m: m["files"]["replay"]["segments"][0].update(claim))


@fault(59, "dataset: missing/ragged episode, NaN rows, wrong dtype", "REJECT naming episode")
def invalid_replay_rows(sandbox: Sandbox) -> Outcome:
    """The rows of a run's replay are changed, and its hashes are valid. Recorded episodes have tests of their own."""
    run, checks = FinishedRun(sandbox), {}

    def with_nan(rows: np.ndarray) -> np.ndarray:
        rows["obs"][len(rows) // 2] = np.nan
        return rows

    changes: dict[str, tuple[Callable[[np.ndarray], np.ndarray], tuple[str, ...]]] = {
        "NaN rows": (with_nan, ("not finite", "obs")),
        "missing rows": (lambda rows: rows[: len(rows) // 2], ("replay",)),
    }
    for name, (change, words) in changes.items():
        folder = run.copy()
        write_replay(folder, change)
        result = sandbox.run_command("evaluate", [str(newest_checkpoint(folder))])
        refused = result.code == 2 and result.no_traceback and result.mentions(*words)
        checks[f"{name} ({result.last_line[-90:]})"] = refused
    folder = run.copy()
    reseal(newest_checkpoint(folder), lambda m: m["files"]["replay"]["record"][0].__setitem__(1, "<f8"))
    checks["wrong dtype"] = checkpoint_refused(sandbox, folder, "replay", "<f8")
    found = all_of(checks)
    return Outcome(found.ok, f"in the replay of a run: {found.text}")

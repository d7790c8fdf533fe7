"""Checkpoints: folders that are whole or absent, whose every byte is checked, and that run nothing.

A checkpoint `step-<n>` holds `arrays.safetensors` (weights, optimiser moments, ring pointers ...),
`meta.json` (random generators, counters), `MANIFEST.json` (size and SHA-256 of both, who wrote it, the
committed length and hashes of the replay log) and `MANIFEST.sha256`, in the form `sha256sum -c` reads.
It is written under `.tmp-<pid>-<n>`, flushed, and renamed, so that a kill at any moment leaves the old
state or the new one. Nothing here unpickles, and every size is bounded before memory is taken.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from joule.storage import arrays as array_file
from joule.storage.files import DISK, Storage, read_plain, why
from joule_errors import Refused

FORMAT = 1
"""The layout written by this version; a larger number in a file is refused."""

MANIFEST, DIGEST, ARRAYS, META = "MANIFEST.json", "MANIFEST.sha256", "arrays.safetensors", "meta.json"
# Bytes a file may have. JSON takes tens of times its size in memory, hence the tighter bounds.
_LIMITS = {ARRAYS: 4 << 30, META: 8 << 20, MANIFEST: 8 << 20}
_STEP = re.compile(r"step-(0|[1-9][0-9]{0,15})")
_ASIDE = re.compile(r"\.old-(0|[1-9][0-9]{0,15})")
_STALE = re.compile(r"\.tmp-[0-9]+-((step|old)-)?[0-9]+(-retired)?")


class CheckpointError(Refused):
    """A checkpoint that cannot be written or must not be read; the message is one sentence."""


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint in memory."""

    path: Path
    step: int
    """Environment frames at which it was taken."""
    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]
    identity: dict[str, Any]
    """Run id, env, agent, dimensions, library versions, threads: whatever `save` was told."""
    files: dict[str, Any]
    """The replay log's committed segments, for `ReplayLog.open`."""
    skipped: tuple[str, ...] = ()
    """Why `newest` passed over newer checkpoints, one sentence each."""


def save(
    folder: Path,
    step: int,
    arrays: Mapping[str, np.ndarray],
    meta: Mapping[str, Any],
    *,
    identity: Mapping[str, Any],
    files: Mapping[str, Any] | None = None,
    keep: int = 2,
    storage: Storage = DISK,
) -> Path:
    """Writes `folder/step-<step>`, then removes all but the newest `keep` checkpoints; returns its path.

    A save says where the run is now: checkpoints of a later step belong to a future that was abandoned
    (an older one was resumed) and are removed. Only the holder of the run's lock may save. Raises
    CheckpointError when a value cannot be stored or the disk refuses; what was there before still loads.
    """
    folder = Path(folder)
    if not isinstance(step, int) or isinstance(step, bool) or not 0 <= step < 10**16 or keep < 1:
        raise CheckpointError(
            f"checkpoint: step {step!r} and keep {keep!r} must be whole numbers from 0 and 1"
        )
    try:
        packed = array_file.pack(arrays)
    except ValueError as error:
        raise CheckpointError(f"checkpoint: {error}") from error
    members = {ARRAYS: packed, META: _json(dict(meta), "meta")}
    manifest = _json(
        {
            "format": FORMAT,
            "step": step,
            "identity": dict(identity),
            "members": {name: {"size": len(d), "sha256": _sha256(d)} for name, d in members.items()},
            "files": dict(files or {}),
        },
        "identity or files",
    )
    members[MANIFEST] = manifest
    for name, data in members.items():
        if len(data) > _LIMITS[name]:
            raise CheckpointError(f"checkpoint: {name} would hold {len(data)} bytes, at most {_LIMITS[name]}")
    members[DIGEST] = _digest_line(manifest)
    final, temporary = folder / f"step-{step}", folder / f".tmp-{os.getpid()}-{step}"
    try:
        storage.make(folder)
        _sweep(folder, storage)
        try:
            storage.make(temporary)
            for name, data in members.items():
                storage.write(temporary / name, data)
            storage.sync(temporary)
            if final.is_dir():
                # A folder cannot be renamed over another; `newest` reads `.old-` if we die between the two.
                storage.rename(final, folder / f".old-{step}")
            storage.rename(temporary, final)
        except OSError:
            _discard(temporary, storage)  # gives the space back to a full disk
            raise
        storage.sync(folder)
        steps = sorted(n for n in _steps(storage.names(folder)) if n <= step)
        for name in storage.names(folder):
            found = _STEP.fullmatch(name) or _ASIDE.fullmatch(name)
            if found and (name.startswith(".") or int(found[1]) not in steps[-keep:]):
                _retire(folder / name, storage)
    except OSError as error:
        raise CheckpointError(f"checkpoint {final} could not be written: {why(error)}") from error
    return final


def load(path: Path, *, expect: Mapping[str, Any] | None = None) -> Checkpoint:
    """Reads and verifies one checkpoint; `expect` names entries its identity must equal.

    Raises CheckpointError naming the cause: missing, not a checkpoint, newer format, other identity
    (both named), damaged, links, or files that do not belong.
    """
    path = Path(path)
    try:
        manifest = _read_manifest(path)
        _check_identity(path, manifest["identity"], expect or {})
        present = set()
        with os.scandir(path) as entries:
            for entry in entries:
                present.add(entry.name)
                if len(present) > 64:
                    break
        wanted = {MANIFEST, DIGEST, ARRAYS, META}
        if present != wanted:
            odd = ", ".join(sorted(present - wanted)[:3])
            gone = ", ".join(sorted(wanted - present))
            raise CheckpointError(f"{path}: " + (f"unexpected file {odd!r}" if odd else f"{gone} is missing"))
        data = {name: _read_member(path, name, manifest["members"][name]) for name in (META, ARRAYS)}
        meta = _parse(data[META], path / META)
    except OSError as error:
        raise CheckpointError(f"{path}: {why(error)}") from error
    try:
        arrays = array_file.unpack(data[ARRAYS])
    except ValueError as error:
        raise CheckpointError(f"{path / ARRAYS}: {error}") from error
    return Checkpoint(path, manifest["step"], arrays, meta, manifest["identity"], manifest["files"])


def newest(
    folder: Path,
    *,
    expect: Mapping[str, Any] | None = None,
    verify: Callable[[Checkpoint], object] | None = None,
) -> Checkpoint | None:
    """The newest checkpoint that loads, or None when there is none at all; writes nothing.

    `verify` may refuse one by raising ValueError (the replay log it needs is damaged). Raises
    CheckpointError, with the newest one's cause, when there are checkpoints and none loads.
    """
    folder, names = Path(folder), _names(folder)
    while True:
        skipped: list[str] = []
        for step in sorted(_steps(names), reverse=True):
            for path in (folder / f"step-{step}", folder / f".old-{step}"):
                if path.name not in names:
                    continue
                try:
                    if path.is_symlink():
                        raise CheckpointError(f"{path}: is a link")
                    found = load(path, expect=expect)
                    if found.step != step:
                        raise CheckpointError(f"{path}: holds step {found.step}")
                    if verify is not None:
                        verify(found)
                except ValueError as error:
                    skipped.append(str(error))
                else:
                    return replace(found, skipped=tuple(skipped))
        before, names = names, _names(folder)
        if names == before:  # else a live run saved and pruned while we read
            break
    if skipped:
        raise CheckpointError(f"no checkpoint loads: {skipped[0]}")
    return None


def kept_files(folder: Path, name: str = "replay") -> list[dict[str, Any]]:
    """The entry `name` of `files` of every checkpoint whose manifest reads: what must not be pruned.

    Raises CheckpointError when a manifest may be sound but cannot be read now.
    """
    folder, kept = Path(folder), []
    for entry in _names(folder):
        if _STEP.fullmatch(entry) or _ASIDE.fullmatch(entry):
            try:
                files = _read_manifest(folder / entry)["files"]
            except CheckpointError:
                continue  # it cannot be loaded, so it needs no replay
            except OSError as error:
                if error.errno in (None, errno.ENOENT):
                    continue  # nor can this one; any other fault may pass, and its replay must stay
                raise CheckpointError(f"{folder / entry}: {why(error)}") from error
            if name in files:
                kept.append(files[name])
    return kept


def sweep(folder: Path) -> None:
    """Removes what a killed save left, and puts back a checkpoint it had set aside.

    Only for the holder of the run's lock; `save` begins with it. Raises CheckpointError.
    """
    try:
        if folder.is_dir():
            _sweep(folder, DISK)
    except OSError as error:
        raise CheckpointError(f"{folder}: {why(error)}") from error


def _sweep(folder: Path, storage: Storage) -> None:
    names = storage.names(folder)
    for name in names:
        aside = _ASIDE.fullmatch(name)
        if aside and f"step-{aside[1]}" not in names:
            storage.rename(folder / name, folder / f"step-{aside[1]}")
        elif aside or _STALE.fullmatch(name):
            _retire(folder / name, storage)


def _names(folder: Path) -> list[str]:
    try:
        return DISK.names(folder) if Path(folder).is_dir() else []
    except OSError as error:
        raise CheckpointError(f"{folder}: {why(error)}") from error


def _retire(path: Path, storage: Storage) -> None:
    """Removes a folder under a name that is never loaded, since removal takes more than one step."""
    if not path.name.startswith(".tmp-"):
        doomed = path.with_name(f".tmp-{os.getpid()}-{path.name.lstrip('.')}-retired")
        storage.rename(path, doomed)
        path = doomed
    storage.remove(path)


def _discard(folder: Path, storage: Storage) -> None:
    try:
        storage.remove(folder)
    except OSError:
        return  # the error that brought us here is the one to report; the next save sweeps


def _steps(names: Iterable[str]) -> set[int]:
    found = (_STEP.fullmatch(name) or _ASIDE.fullmatch(name) for name in names)
    return {int(match[1]) for match in found if match}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _digest_line(manifest: bytes) -> bytes:
    return f"{_sha256(manifest)}  {MANIFEST}\n".encode()


def _json(value: dict[str, Any], what: str) -> bytes:
    _check_keys(value, what)
    try:
        return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"checkpoint: {what} cannot be written as JSON: {error}") from error


def _check_keys(value: Any, what: str) -> None:
    """JSON would silently turn the key 1 into "1", and the run would not be the same."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            if not isinstance(key, str):
                raise CheckpointError(f"checkpoint: {what} has the key {key!r}, which is not text")
            _check_keys(entry, what)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            _check_keys(entry, what)


def _parse(data: bytes, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: is not JSON") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: is not a JSON object")
    return value


def _read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a checkpoint folder, its own digest and the types of its fields checked."""
    if not path.is_dir():
        raise CheckpointError(
            f"{path}: " + ("is not a checkpoint folder" if path.exists() else "does not exist")
        )
    if not (path / MANIFEST).exists():
        raise CheckpointError(f"{path}: is not a checkpoint, {MANIFEST} is missing")
    data = read_plain(path / MANIFEST, _LIMITS[MANIFEST])
    if read_plain(path / DIGEST, 4096) != _digest_line(data):
        raise CheckpointError(f"{path}: is damaged, {MANIFEST} does not match {DIGEST}")
    manifest = _parse(data, path / MANIFEST)
    version = manifest.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise CheckpointError(f"{path}: written by a newer Joule (format {version}, this one reads {FORMAT})")
    members = manifest.get("members")
    sound = (
        version == FORMAT
        and _is_size(manifest.get("step"))
        and isinstance(manifest.get("identity"), dict)
        and isinstance(manifest.get("files"), dict)
        and isinstance(members, dict)
        and set(members) == {ARRAYS, META}
        and all(
            isinstance(m, dict) and _is_size(m.get("size")) and isinstance(m.get("sha256"), str)
            for m in members.values()
        )
    )
    if not sound:
        raise CheckpointError(f"{path}: {MANIFEST} does not describe a checkpoint of format {FORMAT}")
    return manifest


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _check_identity(path: Path, identity: Mapping[str, Any], expect: Mapping[str, Any]) -> None:
    for name, wanted in expect.items():
        if name not in identity or identity[name] != wanted:
            found = repr(identity[name]) if name in identity else "not recorded"
            raise CheckpointError(f"{path}: its {name} is {found}, expected {wanted!r}")


def _read_member(path: Path, name: str, claim: Mapping[str, Any]) -> bytes:
    data = read_plain(path / name, min(claim["size"], _LIMITS[name]))
    if len(data) != claim["size"] or _sha256(data) != claim["sha256"]:
        raise CheckpointError(f"{path}: is damaged, {name} does not match {MANIFEST}")
    return data

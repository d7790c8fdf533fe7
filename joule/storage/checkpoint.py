"""Checkpoints: folders that are complete or absent, of which every byte is verified when they are read.

A checkpoint `step-<n>` holds `arrays.safetensors` (weights, optimiser moments, positions in the replay
buffer), `meta.json` (random generators, counters), and the manifest (see `manifest`). It is written under
`.tmp-<pid>-<n>`, flushed, and renamed, so that a kill at any moment leaves the old checkpoint or the new one.
Nothing here unpickles, and every size is bounded before memory is allocated.
"""

from __future__ import annotations

import errno
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from joule.storage import arrays as array_file
from joule.storage.errors import CheckpointError
from joule.storage.files import DISK, Storage, why
from joule.storage.format import FORMAT
from joule.storage.manifest import (
    ARRAYS,
    DIGEST,
    MANIFEST,
    META,
    decode_json,
    encode_members,
    read_manifest,
    read_member,
)
from joule_schema.errors import shown

__all__ = [
    "ARRAYS", "DIGEST", "FORMAT", "MANIFEST", "META", "Checkpoint", "CheckpointError", "kept_files", "load",
    "newest", "save", "sweep",
]  # fmt: skip

_STEP = re.compile(r"step-(0|[1-9][0-9]{0,15})")
_ASIDE = re.compile(r"\.old-(0|[1-9][0-9]{0,15})")
_STALE = re.compile(r"\.tmp-[0-9]+-((step|old)-)?[0-9]+(-retired)?")


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint in memory."""

    path: Path
    step: int
    """Environment frames at which it was taken."""
    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]
    identity: dict[str, Any]
    """What the checkpoint belongs to: run id, env, agent, dimensions, library versions, threads."""
    files: dict[str, Any]
    """The commits of the replay logs by name, for `ReplayLogs.open`."""
    skipped: tuple[str, ...] = ()
    """Why `newest` skipped newer checkpoints, one sentence each."""


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
    """Writes `folder/step-<step>`, then removes all but the newest `keep` checkpoints.

    Checkpoints of a later step are removed too: they belong to a continuation that was abandoned when an
    older checkpoint was resumed. Only the holder of the run's lock may save.

    Args:
        folder: where the checkpoints of the run are.
        step: environment frames at which the checkpoint is taken.
        arrays: Boolean, integer or float arrays by name.
        meta: JSON values.
        identity: what the checkpoint belongs to; see `Checkpoint`.
        files: commits of files outside the checkpoint, by name.
        keep: how many checkpoints stay.
        storage: the file system.

    Returns:
        The path of the checkpoint.

    Raises:
        CheckpointError: a value cannot be stored, or the disk refuses. The earlier checkpoint still loads.
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
    members = encode_members(step, packed, meta, identity, files or {})
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
                # A folder cannot be renamed over another one. `newest` reads `.old-` after a kill between
                # the two renames.
                storage.rename(final, folder / f".old-{step}")
            storage.rename(temporary, final)
        except OSError:
            _discard(temporary, storage)  # frees the space on a full disk
            raise
        storage.sync(folder)
        steps = sorted(n for n in _steps(storage.names(folder)) if n <= step)
        for name in storage.names(folder):
            match = _STEP.fullmatch(name) or _ASIDE.fullmatch(name)
            if match and (name.startswith(".") or int(match[1]) not in steps[-keep:]):
                _retire(folder / name, storage)
    except OSError as error:
        raise CheckpointError(f"checkpoint {final} could not be written: {why(error)}") from error
    return final


def load(path: Path, *, expect: Mapping[str, Any] | None = None, largest: float = math.inf) -> Checkpoint:
    """Reads and verifies one checkpoint.

    Args:
        path: the checkpoint's folder.
        expect: entries that its identity must equal.
        largest: bytes of arrays at most; no more than `manifest` allows in any case.

    Raises:
        CheckpointError: the folder is missing, is not a checkpoint, is damaged, holds a link or another
            file, has another format, or has another identity (the message names both).
    """
    path = Path(path)
    try:
        manifest = read_manifest(path)
        _check_identity(path, manifest["identity"], expect or {})
        _check_entries(path)
        _check_size(path, manifest["members"][ARRAYS]["size"], largest)
        data = {name: read_member(path, name, manifest) for name in (META, ARRAYS)}
        meta = decode_json(data[META], path / META)
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
    largest: float = math.inf,
) -> Checkpoint | None:
    """The newest checkpoint that loads, or None when there is no checkpoint. Writes nothing.

    Args:
        folder: where the checkpoints of the run are.
        expect: entries that the identity must equal.
        verify: refuses a checkpoint by raising ValueError, for example when its replay log is damaged.
        largest: as for `load`.

    Raises:
        CheckpointError: there are checkpoints and none loads. The message says why, for each.
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
                    found = load(path, expect=expect, largest=largest)
                    if found.step != step:
                        raise CheckpointError(f"{path}: holds step {found.step}")
                    if verify is not None:
                        verify(found)
                except ValueError as error:
                    skipped.append(str(error))
                else:
                    return replace(found, skipped=tuple(skipped))
        before, names = names, _names(folder)
        if names == before:  # otherwise a running process saved and pruned during the reads
            break
    if skipped:
        raise CheckpointError(f"no checkpoint loads: {'; '.join(dict.fromkeys(skipped))}")
    return None


def newest_step(folder: Path) -> int:
    """The step of the newest checkpoint by its name, whether it loads or not; 0 without one.

    Raises:
        CheckpointError: the folder cannot be read.
    """
    return max(_steps(_names(folder)), default=0)


def kept_files(folder: Path, name: str = "replay") -> list[Any]:
    """The entry `name` of `files` of every checkpoint whose manifest reads: these must not be pruned.

    Raises:
        CheckpointError: a manifest cannot be read now, but may be valid.
    """
    folder, kept = Path(folder), []
    for entry in _names(folder):
        if _STEP.fullmatch(entry) or _ASIDE.fullmatch(entry):
            try:
                files = read_manifest(folder / entry)["files"]
            except CheckpointError:
                continue  # it cannot be loaded, so it needs no replay
            except OSError as error:
                if error.errno in (None, errno.ENOENT):
                    continue  # it cannot be loaded either; another fault may be temporary
                raise CheckpointError(f"{folder / entry}: {why(error)}") from error
            if name in files:
                kept.append(files[name])
    return kept


def sweep(folder: Path) -> None:
    """Removes what a killed save left, and restores a checkpoint that it had set aside.

    Only for the holder of the run's lock. `save` does this first.

    Raises:
        CheckpointError: the disk refuses.
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
    """Removes a folder under a name that is never loaded, because a removal takes several steps."""
    if not path.name.startswith(".tmp-"):
        retired = path.with_name(f".tmp-{os.getpid()}-{path.name.lstrip('.')}-retired")
        storage.rename(path, retired)
        path = retired
    storage.remove(path)


def _discard(folder: Path, storage: Storage) -> None:
    try:
        storage.remove(folder)
    except OSError:
        return  # the caller reports the first error; the next save sweeps


def _steps(names: Iterable[str]) -> set[int]:
    matches = (_STEP.fullmatch(name) or _ASIDE.fullmatch(name) for name in names)
    return {int(match[1]) for match in matches if match}


def _check_entries(path: Path) -> None:
    """Raises CheckpointError where the folder does not hold exactly the files of a checkpoint."""
    present = set()
    with os.scandir(path) as entries:
        for entry in entries:
            present.add(entry.name)
            if len(present) > 64:
                break
    expected = {MANIFEST, DIGEST, ARRAYS, META}
    if present != expected:
        extra = ", ".join(sorted(present - expected)[:3])
        missing = ", ".join(sorted(expected - present))
        raise CheckpointError(
            f"{path}: " + (f"unexpected file {extra!r}" if extra else f"{missing} is missing")
        )


def _check_size(path: Path, size: int, largest: float) -> None:
    if size > largest:
        raise CheckpointError(
            f"{path}: {ARRAYS} holds {size / 1e6:,.1f} MB, and the memory budget leaves "
            f"{largest / 1e6:,.1f} MB for it; allow more by --memory-budget-gb"
        )


def _check_identity(path: Path, identity: Mapping[str, Any], expect: Mapping[str, Any]) -> None:
    for name, expected in expect.items():
        if name not in identity or identity[name] != expected:
            found = shown(identity[name]) if name in identity else "not recorded"
            raise CheckpointError(f"{path}: its {name} is {found}, expected {expected!r}")

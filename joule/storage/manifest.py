"""The manifest of a checkpoint: what its files hold, with their sizes and SHA-256, and how it is verified.

`MANIFEST.json` holds the format, the step, the identity, size and SHA-256 of the two other files, and the
commit of the replay log. `MANIFEST.sha256` holds the digest of the manifest, in the form that
`sha256sum -c` reads.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from joule.storage.errors import CheckpointError
from joule.storage.format import FORMAT, format_refusal
from joule.storage.reader import read_plain
from joule_schema import json_text

MANIFEST, DIGEST, ARRAYS, META = "MANIFEST.json", "MANIFEST.sha256", "arrays.safetensors", "meta.json"
# Largest size of each file in bytes. Parsed JSON takes tens of times its size in memory, hence the tighter
# bounds.
LIMITS = {ARRAYS: 4 << 30, META: 8 << 20, MANIFEST: 8 << 20, DIGEST: 4096}


def encode_members(
    step: int, arrays: bytes, meta: Mapping[str, Any], identity: Mapping[str, Any], files: Mapping[str, Any]
) -> dict[str, bytes]:
    """The content of every file of a checkpoint by name, in the order in which they are written.

    Args:
        step: environment frames at which the checkpoint is taken.
        arrays: the encoded arrays; see `arrays.pack`.
        meta: JSON values for `meta.json`.
        identity: what the checkpoint belongs to; see `checkpoint.Checkpoint`.
        files: commits of files outside the checkpoint, by name.

    Raises:
        CheckpointError: a value cannot be written as JSON without loss, or a file would be too large.
    """
    members = {ARRAYS: arrays, META: encode_json(dict(meta), "meta")}
    manifest = {
        "format": FORMAT,
        "step": step,
        "identity": dict(identity),
        "members": {name: {"size": len(data), "sha256": _sha256(data)} for name, data in members.items()},
        "files": dict(files),
    }
    members[MANIFEST] = encode_json(manifest, "identity or files")
    for name, data in members.items():
        if len(data) > LIMITS[name]:
            raise CheckpointError(f"checkpoint: {name} would hold {len(data)} bytes, at most {LIMITS[name]}")
    members[DIGEST] = _digest_line(members[MANIFEST])
    return members


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of the checkpoint folder `path`, verified against its digest.

    Raises:
        CheckpointError: `path` is not a checkpoint folder, is of another format, or its manifest is damaged.
        OSError: the manifest cannot be read.
    """
    if not path.is_dir():
        raise CheckpointError(
            f"{path}: " + ("is not a checkpoint folder" if path.exists() else "does not exist")
        )
    if not (path / MANIFEST).exists():
        raise CheckpointError(f"{path}: is not a checkpoint, {MANIFEST} is missing")
    data = read_plain(path / MANIFEST, LIMITS[MANIFEST])
    if read_plain(path / DIGEST, LIMITS[DIGEST]) != _digest_line(data):
        raise CheckpointError(f"{path}: is damaged, {MANIFEST} does not match {DIGEST}")
    manifest = decode_json(data, path / MANIFEST)
    if refusal := format_refusal(manifest.get("format")):
        raise CheckpointError(f"{path}: {refusal}")
    members = manifest.get("members")
    valid = (
        _is_size(manifest.get("step"))
        and isinstance(manifest.get("identity"), dict)
        and isinstance(manifest.get("files"), dict)
        and isinstance(members, dict)
        and set(members) == {ARRAYS, META}
        and all(
            isinstance(m, dict) and _is_size(m.get("size")) and isinstance(m.get("sha256"), str)
            for m in members.values()
        )
    )
    if not valid:
        raise CheckpointError(f"{path}: {MANIFEST} does not describe a checkpoint of format {FORMAT}")
    return manifest


def read_member(path: Path, name: str, manifest: Mapping[str, Any]) -> bytes:
    """The bytes of one file of the checkpoint folder `path`, verified against its manifest.

    Raises:
        CheckpointError: the file is not the one that was saved.
        OSError: the file cannot be read.
    """
    entry = manifest["members"][name]
    data = read_plain(path / name, min(entry["size"], LIMITS[name]))
    if len(data) != entry["size"] or _sha256(data) != entry["sha256"]:
        raise CheckpointError(f"{path}: is damaged, {name} does not match {MANIFEST}")
    return data


def encode_json(value: dict[str, Any], what: str) -> bytes:
    """JSON with sorted keys. `what` names the value in an error.

    Raises:
        CheckpointError: the value cannot be written as JSON without loss.
    """
    _check_keys(value, what)
    try:
        return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"checkpoint: {what} cannot be written as JSON: {error}") from error


def decode_json(data: bytes, path: Path) -> dict[str, Any]:
    """The JSON object in `data`, which was read from `path`.

    Raises:
        CheckpointError: the data is not a JSON object.
    """
    try:
        value = json_text.loads(data)
    except ValueError as error:
        raise CheckpointError(f"{path}: is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: is not a JSON object")
    return value


def _check_keys(value: Any, what: str) -> None:
    """Raises CheckpointError for a key that is not text: JSON would store the key 1 as "1"."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            if not isinstance(key, str):
                raise CheckpointError(f"checkpoint: {what} has the key {key!r}, which is not text")
            _check_keys(entry, what)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            _check_keys(entry, what)


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _digest_line(manifest: bytes) -> bytes:
    return f"{_sha256(manifest)}  {MANIFEST}\n".encode()

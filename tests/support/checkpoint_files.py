"""Checkpoints made for tests, and files that a person who knows the format could forge."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from joule.storage.checkpoint import ARRAYS, DIGEST, MANIFEST, META, newest, save

IDENTITY = {"run": "a" * 32, "env": "HalfCheetah-v5", "agent": "joule"}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**130), 2**130)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def put(folder: Path, step: int, **more: Any) -> Path:
    """Saves a small checkpoint whose content names its step; returns its path."""
    arrays: dict[str, np.ndarray] = {
        "w/0": np.full((3, 4), step, np.float32),
        "count": np.array(step, np.int64),
    }
    files = {"replay": {"at": step}}
    return save(folder, step, arrays, {"step": step}, identity=IDENTITY, files=files, **more)


def newest_content(folder: Path) -> tuple[int, float] | None:
    """Step and weight of the newest checkpoint; None when there is none."""
    found = newest(folder)
    return None if found is None else (found.step, float(found.arrays["w/0"][0, 0]))


def seal(path: Path, manifest: bytes) -> None:
    """Writes a manifest and the digest that fits it."""
    (path / MANIFEST).write_bytes(manifest)
    (path / DIGEST).write_text(f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST}\n")


def reseal(path: Path) -> None:
    """Makes the manifest and its digest fit the changed files of a checkpoint."""
    manifest = json.loads((path / MANIFEST).read_text())
    for name in (ARRAYS, META):
        data = (path / name).read_bytes()
        manifest["members"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    seal(path, json.dumps(manifest).encode())


def array_header(entries: Any, data: bytes = b"") -> bytes:
    """A safetensors file with any header."""
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text + data

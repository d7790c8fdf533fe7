"""Copies of a finished run for damaging, and checkpoints with valid hashes after a change."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.reliability.run_fingerprint import newest_checkpoint
from benchmarks.reliability.sandbox import Sandbox
from joule.storage import arrays as array_file

Manifest = dict[str, Any]
CHECKPOINT_FILES = ("arrays.safetensors", "meta.json", "MANIFEST.json", "MANIFEST.sha256")


class FinishedRun:
    """One finished run, which is copied for every attempt to damage it."""

    def __init__(self, sandbox: Sandbox, **changes: Any) -> None:
        self.sandbox = sandbox
        result = sandbox.train(changes=changes)
        assert result.code == 0, result.describe()
        self.folder = result.folder

    def copy(self) -> Path:
        """A new copy of the run folder."""
        folder = self.sandbox.new_path()
        shutil.copytree(self.folder, folder)
        return folder


def checkpoint_refused(sandbox: Sandbox, folder: Path, *words: str, **run: Any) -> bool:
    """Whether evaluate and render refuse the newest checkpoint by name, with exit code 2 and these words.

    Args:
        sandbox: runs the commands.
        folder: the run folder.
        words: words of the message.
        run: keyword arguments of `Sandbox.run_command`.
    """
    return refused_by_readers(sandbox, newest_checkpoint(folder), *words, **run)


def refused_by_readers(sandbox: Sandbox, path: Path, *words: str, **run: Any) -> bool:
    """Whether evaluate and render refuse a path with exit code 2 and these words."""
    results = [sandbox.run_command(name, [str(path)], **run) for name in ("evaluate", "render")]
    return all(r.code == 2 and r.no_traceback and r.mentions(*words) for r in results)


def flip_bit(path: Path, share: float = 0.5) -> None:
    """Flips one bit of a file, at this share of its length."""
    data = bytearray(path.read_bytes())
    data[int(len(data) * share)] ^= 4
    path.write_bytes(data)


def change_json(path: Path, **values: Any) -> None:
    """Replaces values of a JSON object in a file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a run's newest checkpoint."""
    manifest: Manifest = json.loads((newest_checkpoint(folder) / "MANIFEST.json").read_text())
    return manifest


def replay_segment(folder: Path) -> Path:
    """A file of the run's replay log."""
    return next((folder / "replay").iterdir())


def reseal(checkpoint: Path, change: Callable[[Manifest], object] = lambda manifest: None) -> None:
    """Makes the manifest of a changed checkpoint valid again, as somebody could who knows the format.

    Args:
        checkpoint: folder of the checkpoint.
        change: changes the manifest before its digest is made.
    """
    manifest = json.loads((checkpoint / "MANIFEST.json").read_text())
    for name, member in manifest["members"].items():
        data = (checkpoint / name).read_bytes()
        member.update(size=len(data), sha256=hashlib.sha256(data).hexdigest())
    change(manifest)
    data = json.dumps(manifest, indent=1, sort_keys=True).encode()
    (checkpoint / "MANIFEST.json").write_bytes(data)
    (checkpoint / "MANIFEST.sha256").write_text(f"{hashlib.sha256(data).hexdigest()}  MANIFEST.json\n")


def change_meta(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Changes the state in the newest checkpoint of a run, and seals it again; older checkpoints are removed.

    Returns:
        The run folder.
    """
    newest = only_newest(folder)
    meta = json.loads((newest / "meta.json").read_text())
    change(meta)
    (newest / "meta.json").write_text(json.dumps(meta))
    reseal(newest)
    return folder


def change_arrays(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """As `change_meta`, for the arrays in the checkpoint."""
    newest = only_newest(folder)
    path = newest / "arrays.safetensors"
    arrays = array_file.unpack(path.read_bytes())
    change(arrays)
    path.write_bytes(array_file.pack(arrays))
    reseal(newest)
    return folder


def only_newest(folder: Path) -> Path:
    """The newest checkpoint of a run, whose others are removed, so that a resume cannot go back to them."""
    newest = newest_checkpoint(folder)
    for path in newest.parent.iterdir():
        if path != newest:
            shutil.rmtree(path)
    return newest


def resume_refused(sandbox: Sandbox, folder: Path, *words: str) -> bool:
    """Whether a resume refuses the newest checkpoint with exit code 2, one line with these words, and no traceback."""
    result = sandbox.resume(folder, "--steps", "160")
    lines = [line for line in result.err.splitlines() if line.strip()]
    return result.code == 2 and result.no_traceback and len(lines) == 1 and result.mentions(*words)

"""What is equal in two run folders whose runs are equal."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
from pathlib import Path


def checkpoint_frames(folder: Path) -> list[int]:
    """The frames of a run's checkpoints, oldest first; empty where there are none."""
    names = os.listdir(folder / "checkpoints") if (folder / "checkpoints").is_dir() else []
    return sorted(int(name[5:]) for name in names if re.fullmatch("step-[0-9]+", name))


def newest_checkpoint(folder: Path) -> Path:
    """The folder of a run's newest checkpoint, by its name."""
    return folder / "checkpoints" / f"step-{checkpoint_frames(folder)[-1]}"


def fingerprint(folder: Path) -> dict[str, str]:
    """Hashes of a run's newest checkpoint and logs, and the number of its replay rows.

    Measured times are left out. Two runs are the same run when their fingerprints are equal.
    """
    newest = newest_checkpoint(folder)
    meta = json.loads((newest / "meta.json").read_text())
    meta.pop("clocks")
    manifest = json.loads((newest / "MANIFEST.json").read_text())
    segments = manifest["files"].get("replay", {}).get("segments", [])
    contents = {
        "arrays": (newest / "arrays.safetensors").read_bytes(),
        "meta": json.dumps(meta, sort_keys=True).encode(),
    }
    for name in ("metrics", "evaluations"):
        with (folder / f"{name}.csv").open(newline="") as file:
            rows = [
                {key: value for key, value in row.items() if value and not key.endswith("_seconds")}
                for row in csv.DictReader(file)
            ]
        contents[name] = json.dumps([dict(sorted(row.items())) for row in rows]).encode()
    hashes = {name: hashlib.sha256(data).hexdigest()[:16] for name, data in contents.items()}
    return hashes | {"rows": str(sum(segment["rows"] for segment in segments))}

"""Tests whether a change of the code changes what is learned, bit for bit.

    python benchmarks/reliability/unchanged.py --before REV

It trains 3,000 frames in four environments with default settings and seed 1, in a checkout of REV and in this one,
and compares every array of the last checkpoint and every column of the metrics. Arrays and columns are compared by
content, not by name, so that a renamed one counts as the same. The exit code is 1 where REV has an array or a column
that this checkout does not have.

`--record FILE` writes the fingerprints of this checkout to a file that a later call reads with `--before FILE`.
"""

from __future__ import annotations

import argparse
import collections
import csv
import hashlib
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from safetensors.numpy import load_file

from benchmarks.refusals import exit_code
from joule_errors import Refused

ROOT = Path(__file__).resolve().parents[2]
ENVS = ("HalfCheetah-v5", "Hopper-v5", "dmc:walker-walk", "joule/Push-v0")
FRAMES = 3_000
VARIES = {"cpu_seconds", "wall_seconds", "version"}
"""Columns that differ between two runs of the same code."""


def fingerprint(checkout: Path, env: str) -> dict[str, list[str]]:
    """Trains one environment with the code of a checkout.

    Returns:
        The sorted hashes of the arrays of the last checkpoint, and of the columns of the logs.
    """
    with tempfile.TemporaryDirectory() as place:
        run = Path(place) / "run"
        options = ["--env", env, "--steps", str(FRAMES), "--seed", "1", "--eval-episodes", "2", "--no-video"]
        subprocess.run(
            [sys.executable, "train.py", *options, "--out", str(run)],
            cwd=checkout, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        newest = max(run.glob("checkpoints/step-*"), key=lambda path: int(path.name.split("-")[1]))
        arrays = [array for file in newest.glob("*.safetensors") for array in load_file(file).values()]
        columns = []
        for name in ("metrics.csv", "evaluations.csv"):
            with (run / name).open(newline="") as file:
                rows = list(csv.DictReader(file))
            columns += ["|".join(row[key] for row in rows) for key in rows[0] if key not in VARIES]
        return {
            "arrays": sorted(_hash(f"{a.dtype}{a.size}".encode() + a.tobytes()) for a in arrays),
            "columns": sorted(_hash(column.encode()) for column in columns),
        }


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def fingerprints(checkout: Path, workers: int) -> dict[str, dict[str, list[str]]]:
    """The fingerprint of each environment, `workers` at a time."""
    with ThreadPoolExecutor(workers) as pool:
        return dict(zip(ENVS, pool.map(lambda env: fingerprint(checkout, env), ENVS), strict=True))


def recorded(before: str, workers: int) -> dict[str, dict[str, list[str]]]:
    """Fingerprints from a file, or of a revision, which is checked out in a temporary folder."""
    if Path(before).is_file():
        found: dict[str, dict[str, list[str]]] = json.loads(Path(before).read_text())
        return found
    with tempfile.TemporaryDirectory() as place:
        other = Path(place) / "before"
        subprocess.run(["git", "worktree", "add", "--detach", str(other), before], cwd=ROOT, check=True)
        try:
            return fingerprints(other, workers)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(other)], cwd=ROOT, check=True)


def check(before: str) -> None:
    """Refuses what is neither a file nor a revision, before anything is trained."""
    known = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{before}^{{commit}}"]
    if not Path(before).is_file() and subprocess.run(known, cwd=ROOT, stdout=subprocess.DEVNULL).returncode:
        raise Refused(f"--before: {before} is neither a file nor a revision of this repository")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", metavar="REV", help="a revision, or a file that --record wrote")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write the fingerprints of this checkout")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="runs at a time (default: 2)")
    options = parser.parse_args(arguments)
    if options.before:
        check(options.before)
    now = fingerprints(ROOT, options.workers)
    if options.record:
        options.record.write_text(json.dumps(now, indent=1) + "\n")
    if not options.before:
        return 0
    same = True
    for env, before in recorded(options.before, options.workers).items():
        for kind, hashes in before.items():
            missing = collections.Counter(hashes) - collections.Counter(now[env][kind])
            same &= not missing
            print(f"{env}: {len(hashes) - missing.total()} of {len(hashes)} {kind} are the same")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(exit_code(main))

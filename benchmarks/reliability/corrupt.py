"""Damages checkpoints and replay logs, and counts how often the damage is detected.

    python benchmarks/reliability/corrupt.py           -> benchmarks/results/corrupt.csv

Bits are flipped, files are cut short, and files are swapped between two runs, at random places of the newest
checkpoint of a small run and of the replay log that it commits. Every damage must be refused when it is loaded.
For comparison, the table states how often safetensors itself refuses the same flipped or shortened file.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import raw_rows
from benchmarks.reliability.run_fingerprint import newest_checkpoint
from benchmarks.reliability.sandbox import ROOT, Sandbox, preload
from joule.storage import checkpoint
from joule.storage.replay_log import ReplayLog

RESULT = ROOT / "benchmarks" / "results" / "corrupt.csv"
COLUMNS = ("damage", "tried", "refused", "library_refused", "loaded")
ARRAYS = "arrays.safetensors"

Attempt = Callable[[], tuple[str, bool, bool]]
"""Damages a file once: what was damaged, whether Joule refuses it, and whether safetensors does."""


def files_of(run: Path) -> list[Path]:
    """The files that a resume reads: those of the newest checkpoint, and the committed replay."""
    return sorted([*newest_checkpoint(run).iterdir(), *(run / "replay").iterdir()])


class Target:
    """A run on the disk whose files are damaged, loaded and repaired."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.newest = newest_checkpoint(run)
        record = checkpoint.load(self.newest).files["replay"]["record"]
        self.columns = {name: (tuple(shape), dtype) for name, dtype, shape in record}
        self.content = {path: path.read_bytes() for path in files_of(run)}

    def refuses(self) -> bool:
        """Whether loading the checkpoint and its replay is refused."""
        try:
            saved = checkpoint.load(self.newest)
            ReplayLog.open(self.run / "replay", self.columns, saved.files["replay"])
        except ValueError:
            return True
        return False

    def refuses_damage(self, path: Path, data: bytes) -> bool:
        """Whether loading is refused while a file has this content."""
        path.write_bytes(data)
        try:
            return self.refuses()
        finally:
            path.write_bytes(self.content[path])


def library_refuses(name: str, data: bytes) -> bool:
    """Whether safetensors itself refuses this content of the arrays; False for another file."""
    import safetensors.numpy

    if name != ARRAYS:
        return False
    try:
        safetensors.numpy.load(data)
    except Exception:  # noqa: BLE001  any exception is a refusal
        return True
    return False


def row_of(damage: str, count: int, attempt: Attempt) -> dict[str, object]:
    """A row of the result: the outcomes of `count` attempts."""
    loaded: list[str] = []
    refused = library = 0
    for _ in range(count):
        what, ours, theirs = attempt()
        refused, library = refused + ours, library + theirs
        if not ours:
            loaded.append(what)
    print(f"{damage}: {refused} of {count} refused", flush=True)
    return dict(zip(COLUMNS, (damage, count, refused, library, "; ".join(loaded)), strict=True))


def attempts(target: Target, other: dict[str, Path], rng: random.Random) -> dict[str, Attempt]:
    """Damage -> its attempt. `other` has the files of another run by name."""
    paths = list(target.content)
    arrays = target.newest / ARRAYS

    def draw() -> Path:
        return rng.choice([*paths, arrays, arrays])

    def flip() -> tuple[str, bool, bool]:
        path = draw()
        data = bytearray(target.content[path])
        bit = rng.randrange(8 * len(data))
        data[bit // 8] ^= 1 << bit % 8
        refused = target.refuses_damage(path, bytes(data))
        return f"{path.name} bit {bit}", refused, library_refuses(path.name, bytes(data))

    def cut() -> tuple[str, bool, bool]:
        path = draw()
        data = target.content[path][: rng.randrange(len(target.content[path]))]
        refused = target.refuses_damage(path, data)
        return f"{path.name} at {len(data)}", refused, library_refuses(path.name, data)

    def swap() -> tuple[str, bool, bool]:
        path = rng.choice(paths)
        name = rng.choice([n for n in other if n == path.name or rng.random() < 0.3])
        return f"{path.name} by {name}", target.refuses_damage(path, other[name].read_bytes()), False

    return {"one bit flipped": flip, "cut short": cut, "swapped with another run's": swap}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--flips", type=int, default=1000, metavar="N", help="default: %(default)s")
    parser.add_argument("--truncations", type=int, default=200, metavar="N", help="default: %(default)s")
    parser.add_argument("--swaps", type=int, default=20, metavar="N", help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=RESULT, help="the table (default: the committed one)")
    given = parser.parse_args()
    preload()
    sandbox = Sandbox()
    try:
        first, second = sandbox.train(), sandbox.train("--seed", "2")
        target, other = Target(first.folder), {path.name: path for path in files_of(second.folder)}
        assert not target.refuses()
        counts = (given.flips, given.truncations, given.swaps)
        damages = attempts(target, other, random.Random(1)).items()
        rows = [row_of(name, count, once) for (name, once), count in zip(damages, counts, strict=True)]
    finally:
        sandbox.close()
    raw_rows.write(given.out, COLUMNS, rows)
    return int(any(row["tried"] != row["refused"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())

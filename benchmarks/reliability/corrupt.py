"""Damages checkpoints and replays, and counts how much of it is noticed.

    python benchmarks/corrupt.py           -> benchmarks/results/corrupt.csv

Bits are flipped, files cut short and files swapped between two runs, at random places of the newest
checkpoint of a small run and of the replay that it commits. What was damaged must be refused when it is
loaded. Beside it, as the bar to pass: how often the library's own reader notices the same flip.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import tables
from benchmarks.reliability.arena import Arena, steps_of, warm_up
from joule.storage import checkpoint
from joule.storage.replay_log import ReplayLog

RESULT = Path(__file__).parents[1] / "results" / "corrupt.csv"
COLUMNS = ("damage", "tried", "refused", "library_refused", "loaded")


def members(run: Path) -> list[Path]:
    """The files a resume reads: those of the newest checkpoint, and the committed replay."""
    newest = run / "checkpoints" / f"step-{steps_of(run)[-1]}"
    return sorted([*newest.iterdir(), *(run / "replay").iterdir()])


class Victim:
    """A run on the disk that is damaged, loaded and put right again."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.newest = run / "checkpoints" / f"step-{steps_of(run)[-1]}"
        saved = checkpoint.load(self.newest)
        record = saved.files["replay"]["record"]
        self.columns = {name: (tuple(shape), dtype) for name, dtype, shape in record}
        self.committed = sum(s["rows"] for s in saved.files["replay"]["segments"])
        self.content = {path: path.read_bytes() for path in members(run)}

    def refuses(self) -> bool:
        """Whether loading the checkpoint and its replay is refused, as doors would refuse it."""
        try:
            saved = checkpoint.load(self.newest)
            ReplayLog.open(self.run / "replay", self.columns, saved.files["replay"])
        except ValueError:
            return True
        return False

    def damaged(self, path: Path, data: bytes) -> bool:
        path.write_bytes(data)
        try:
            return self.refuses()
        finally:
            path.write_bytes(self.content[path])


def library_notices(name: str, data: bytes) -> bool:
    """Whether safetensors itself would refuse these arrays."""
    import safetensors.numpy

    if name != "arrays.safetensors":
        return False
    try:
        safetensors.numpy.load(data)
    except Exception:  # noqa: BLE001  whatever it is, it was noticed
        return True
    return False


def attempt(count: int, once: Callable[[], tuple[str, bool, bool]], damage: str) -> dict[str, object]:
    """A line of the result. `once` damages something; it says what, and whether we and the library refuse."""
    loaded: list[str] = []
    refused = library = 0
    for _ in range(count):
        what, ours, theirs = once()
        refused, library = refused + ours, library + theirs
        if not ours:
            loaded.append(what)
    print(f"{damage}: {refused} of {count} refused", flush=True)
    return dict(zip(COLUMNS, (damage, count, refused, library, "; ".join(loaded)), strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--flips", type=int, default=1000, metavar="N")
    parser.add_argument("--truncations", type=int, default=200, metavar="N")
    parser.add_argument("--swaps", type=int, default=20, metavar="N")
    given, rng, arena = parser.parse_args(), random.Random(1), Arena()
    warm_up()
    first, second = arena.train(), arena.train("--seed", "2")
    victim, other = Victim(first.folder), {path.name: path for path in members(second.folder)}
    assert not victim.refuses()
    paths = list(victim.content)
    arrays = victim.newest / "arrays.safetensors"

    def place() -> Path:
        return rng.choice([*paths, arrays, arrays])

    def flip() -> tuple[str, bool, bool]:
        path = place()
        data = bytearray(victim.content[path])
        bit = rng.randrange(8 * len(data))
        data[bit // 8] ^= 1 << bit % 8
        return (
            f"{path.name} bit {bit}",
            victim.damaged(path, bytes(data)),
            library_notices(path.name, bytes(data)),
        )

    def cut() -> tuple[str, bool, bool]:
        path = place()
        data = victim.content[path][: rng.randrange(len(victim.content[path]))]
        return f"{path.name} at {len(data)}", victim.damaged(path, data), library_notices(path.name, data)

    def swap() -> tuple[str, bool, bool]:
        path = rng.choice(paths)
        name = rng.choice([n for n in other if n == path.name or rng.random() < 0.3])
        return f"{path.name} by {name}", victim.damaged(path, other[name].read_bytes()), False

    lines = [
        attempt(given.flips, flip, "one bit flipped"),
        attempt(given.truncations, cut, "cut short"),
        attempt(given.swaps, swap, "swapped with another run's"),
    ]
    arena.close()
    tables.write(RESULT, COLUMNS, lines)
    return int(any(line["tried"] != line["refused"] for line in lines))


if __name__ == "__main__":
    sys.exit(main())

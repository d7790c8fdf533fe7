"""Feeds forged checkpoints and run folders to the loader, and counts what it makes of them.

    python benchmarks/fuzz.py              -> benchmarks/results/fuzz.json

A small run is made once. Then, 100,000 times, one of its files that describe something is changed: the header
of the arrays, the manifest and its digest, the state in meta.json, and the run's own run.json and config.json.
Bytes are flipped, cut, doubled or invented; entries are replaced by hostile values, removed, renamed or swapped.
Nine of ten checkpoints are sealed again with the right hashes, as by a stranger who knows the format: what is
left to refuse them is the reader itself, and the agent that is put back from what was read.

Each attempt must end in a load or in a refusal by one of Joule's own errors, in bounded time and memory. A load
is no fault where it was sealed again: a forged number may be a sound one. Without a new seal it would be.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import hashlib
import json
import os
import random
import resource
import shlex
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.reliability.arena import Arena, steps_of, warm_up

import joule
from agent.errors import ConfigError
from joule.storage import checkpoint
from joule.storage.checkpoint import ARRAYS, DIGEST, MANIFEST, META, CheckpointError
from joule.storage.replay_log import ReplayLogError
from joule.storage.run_folder import Run, RunError
from joule.storage.saving import named_checkpoint, restore_checkpoint

RESULT = Path(__file__).parents[1] / "results" / "fuzz.json"
BATCH = 2_000  # attempts in a process of their own: one that dies takes no others with it
REFUSALS = (CheckpointError, ReplayLogError, RunError, ConfigError)
KINDS = {ARRAYS: 0.4, MANIFEST: 0.25, META: 0.2, DIGEST: 0.05, "run.json": 0.05, "config.json": 0.05}

NUMBERS = (0, 1, -1, 2, 255, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, 10**30, -(2**63))
MODEL = {
    "model.latent-dim": 8,
    "model.hidden_dim": 8,
    "model.head-width": 8,
    "cost.bins": 5,
    "learning.batch_size": 8,
}
"""A smaller agent than others are tried with: its numbers are not what is forged."""
HOSTILE: tuple[Any, ...] = (
    *NUMBERS, 0.5, 1e308, float("nan"), float("inf"), float("-inf"), None, True, False,
    "", "x", "x" * 4000, "../../etc/passwd", "/dev/zero", "\0", "\ud800", "segment-00000000.rows", "os:system",
    [], [[]], [0] * 500, {}, {"": {}}, {"name": "segment-00000000.rows", "rows": 1, "sha256": ""},
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every entry of a JSON value."""
    yield path
    entries: Any = ()
    if isinstance(value, dict):
        entries = value.items()
    elif isinstance(value, list) and len(value) <= 64:
        entries = enumerate(value)
    for key, entry in entries:
        yield from places(entry, (*path, key))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def edited(value: Any, path: tuple[Any, ...], change: Any) -> Any:
    """A copy of a JSON value whose entry at `path` went through `change`, the rest shared."""
    if not path:
        return change(value)
    copy = value.copy()
    copy[path[0]] = edited(value[path[0]], path[1:], change)
    return copy


class Forger:
    """Changes files, by bytes or by entries."""

    def __init__(self, content: dict[str, bytes], seed: int) -> None:
        self.rng = random.Random(seed)
        self.content = content
        length = int.from_bytes(content[ARRAYS][:8], "little")
        self.data = content[ARRAYS][8 + length :]
        self.values = {
            name: json.loads(content[name]) for name in (MANIFEST, META, "run.json", "config.json")
        }
        self.values[ARRAYS] = json.loads(content[ARRAYS][8 : 8 + length])
        self.paths = {name: list(places(value)) for name, value in self.values.items()}

    def forged(self, name: str) -> bytes:
        rng = self.rng
        if name in self.values and rng.random() < 0.6:
            text = self._by_entries(name)
            return len(text).to_bytes(8, "little") + text + self.data if name == ARRAYS else text
        data = self.content[name]
        if name == ARRAYS:
            if rng.random() < 0.2:
                return (rng.choice(NUMBERS) % 2**64).to_bytes(8, "little") + data[8:]
            head = len(data) - len(self.data)
            return self._by_bytes(data[:head]) + data[head:]
        return self._by_bytes(data)

    def _by_entries(self, name: str) -> bytes:
        rng, value = self.rng, self.values[name]
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            path, other = rng.choice(self.paths[name]), rng.choice(self.paths[name])
            # An earlier change may have taken the place away.
            with contextlib.suppress(KeyError, IndexError, TypeError, AttributeError):
                value = edited(value, path, lambda old, v=value, o=other: self._instead(old, v, o))
        text = json.dumps(value)
        if rng.random() < 0.02:
            deep = rng.choice((900, 5_000, 100_000))
            text = text.replace(":", f": {'[' * deep}", 1) if rng.random() < 0.5 else "[" * deep + "]" * deep
        return text.encode(errors="surrogatepass")

    def _instead(self, old: Any, value: Any, other: tuple[Any, ...]) -> Any:
        """What comes in the place of an entry."""
        rng = self.rng
        match rng.randrange(6):
            case 0 if isinstance(old, dict) and old:
                gone = rng.choice(list(old))
                return {key: entry for key, entry in old.items() if key != gone}
            case 1 if isinstance(old, dict) and old:
                renamed = rng.choice(list(old))
                return {(key + "_" if key == renamed else key): entry for key, entry in old.items()}
            case 2 if isinstance(old, (int, float)) and not isinstance(old, bool):
                return old + rng.choice((1, -1, 8, 1024, 0.5))
            case 3 if isinstance(old, list):
                return rng.choice((old[:-1], old + old[-1:], old[::-1]))
            case 4:
                return at(value, other)
        return rng.choice(HOSTILE)

    def _by_bytes(self, data: bytes) -> bytes:
        rng, changed = self.rng, bytearray(data)
        where, size = rng.randrange(len(data)), rng.randrange(1, 33)
        match rng.randrange(6):
            case 0:
                for _ in range(rng.randrange(1, 9)):
                    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
            case 1:
                del changed[where:]
            case 2:
                del changed[where : where + size]
            case 3:
                changed[where:where] = changed[where : where + size * 8]
            case 4:
                changed[where : where + size] = rng.randbytes(size)
            case 5:
                changed = bytearray(rng.randbytes(rng.randrange(200)))
        return bytes(changed)


class Victim:
    """A run on the disk, the agent that was loaded from it, and the loader to be tried."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.newest = folder / "checkpoints" / f"step-{steps_of(folder)[-1]}"
        self.run = Run.open(folder, trust_modules=["tiny_env"])
        self.agent = joule.load(folder, trust_modules=["tiny_env"])
        self.paths = {name: self.newest / name for name in (ARRAYS, MANIFEST, META, DIGEST)}
        self.paths |= {name: folder / name for name in ("run.json", "config.json")}
        self.content = {name: path.read_bytes() for name, path in self.paths.items()}

    def attempt(self, name: str, data: bytes, sealed: bool) -> str:
        """loaded, refused, or what went wrong. The files are put right again."""
        changed = {name: data}
        if sealed and name in (ARRAYS, META):
            manifest = json.loads(self.content[MANIFEST])
            manifest["members"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            changed[MANIFEST] = json.dumps(manifest).encode()
        if sealed and name != DIGEST and MANIFEST in changed:
            changed[DIGEST] = f"{hashlib.sha256(changed[MANIFEST]).hexdigest()}  {MANIFEST}\n".encode()
        for key, content in changed.items():
            self.paths[key].write_bytes(content)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._load(name)
        except REFUSALS:
            return "refused"
        except Exception as error:  # noqa: BLE001  whatever it is, it is a fault, and is told
            last = traceback.extract_tb(error.__traceback__)[-1]
            return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {str(error)[:100]}"
        finally:
            for key in changed:
                self.paths[key].write_bytes(self.content[key])
        return "loaded"

    def _load(self, name: str) -> None:
        if name in ("run.json", "config.json"):
            Run.open(self.folder, trust_modules=["tiny_env"]).close()
            return
        checkpoint.kept_files(self.newest.parent)
        restore_checkpoint(self.agent, *named_checkpoint(self.agent, self.run, self.newest))


def batch(victim: Victim, count: int, seed: int) -> dict[str, Any]:
    """Attempts in this process: how many of each kind ended how, and what they took."""
    forger, rng = Forger(victim.content, seed), random.Random(seed)
    ended: collections.Counter[str] = collections.Counter()
    faults: list[str] = []
    before, longest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0.0
    for _ in range(count):
        name = rng.choices(list(KINDS), list(KINDS.values()))[0]
        sealed = rng.random() < 0.9
        data = forger.forged(name)
        began = time.process_time()
        outcome = victim.attempt(name, data, sealed)
        longest = max(longest, time.process_time() - began)
        # Where no hash is made right again, any change must be noticed. JSON files of the run have no hash.
        unnoticed = (
            outcome == "loaded" and name not in ("run.json", "config.json") and data != victim.content[name]
        )
        if unnoticed and (not sealed or name == DIGEST):
            outcome = "loaded though its hash is wrong"
        known = outcome in ("loaded", "refused")
        ended[f"{name} {outcome if known else 'fault'}"] += 1
        if not known:
            faults.append(f"{name}: {outcome}")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"ended": ended, "faults": faults, "kib": grown, "seconds": longest}


def in_a_process(victim: Victim, count: int, seed: int) -> dict[str, Any]:
    """A batch in a forked child; a child that dies is a fault by itself."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        signal.alarm(600)  # a reader that never comes back is a fault too
        try:
            with os.fdopen(write, "w") as pipe:
                json.dump(batch(victim, count, seed), pipe)
        except BaseException:  # noqa: BLE001  the parent must hear of it, and nothing else may run here
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        told = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if not told or status:
        told = json.dumps({"ended": {}, "faults": [f"batch {seed} died: {status}"], "kib": 0, "seconds": 0})
    found: dict[str, Any] = json.loads(told)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--attempts", type=int, default=100_000, metavar="N")
    attempts = parser.parse_args().attempts
    warm_up()
    if os.access("/dev/shm", os.W_OK):
        tempfile.tempdir = (
            "/dev/shm"  # in memory: a hundred thousand small writes are not the disk's business
        )
    arena = Arena()
    try:
        victim = Victim(arena.train(changes=MODEL).folder)
        whole = {name: victim.attempt(name, data, sealed=False) for name, data in victim.content.items()}
        assert set(whole.values()) == {"loaded"}, whole
        ended: collections.Counter[str] = collections.Counter()
        faults: collections.Counter[str] = collections.Counter()
        most_kib, longest, done = 0, 0.0, 0
        while done < attempts:
            count = min(BATCH, attempts - done)
            found = in_a_process(victim, count, seed=done)
            done += count
            ended.update(found["ended"])
            faults.update(found["faults"])
            most_kib, longest = max(most_kib, found["kib"]), max(longest, found["seconds"])
            print(f"\r{done} attempts, {sum(faults.values())} faults", end="", flush=True)
        print()
    finally:
        arena.close()
    told = {
        "command": shlex.join(["python", "benchmarks/fuzz.py", *sys.argv[1:]]),
        "attempts": done,
        **{word: sum(n for key, n in ended.items() if key.endswith(word)) for word in ("refused", "loaded")},
        "faults": sum(faults.values()),
        "by_file": {
            name: {word: ended[f"{name} {word}"] for word in ("refused", "loaded")} for name in KINDS
        },
        "longest_cpu_seconds": round(longest, 3),
        "most_memory_mib": round(most_kib / 1024, 1),
        "what_went_wrong": dict(faults.most_common(30)),
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(told, indent=2) + "\n")
    print(json.dumps(told, indent=2))
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())

"""Feeds forged checkpoints and run folders to the loader, and counts the outcomes.

    python benchmarks/reliability/fuzz.py              -> benchmarks/results/fuzz.json

A small run is made once. Then, 100,000 times, one of the files that describe it is changed: the header of the
arrays, the manifest and its digest, the state in meta.json, and run.json and config.json of the run. Bytes are
flipped, cut, repeated or replaced; JSON entries are replaced by hostile values, removed, renamed or swapped.
Nine of ten forged checkpoints get valid hashes, as from an attacker who knows the format. Then only the reader
and the agent that is restored can refuse them.

Each attempt must end in a load or in a refusal by one of Joule's own errors, within bounded time and memory.
A load is correct where the hashes are valid, because a forged number may be a valid one. Without valid hashes
it is a fault.
"""

from __future__ import annotations

import argparse
import collections
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
from pathlib import Path
from typing import Any

import joule
from agent.errors import ConfigError
from benchmarks.reliability.forger import Forger
from benchmarks.reliability.run_fingerprint import newest_checkpoint
from benchmarks.reliability.sandbox import ROOT, TINY_ENV, Sandbox, preload
from joule.storage import checkpoint
from joule.storage.agent_checkpoint import named_checkpoint, restore_checkpoint
from joule.storage.checkpoint import ARRAYS, DIGEST, MANIFEST, META
from joule.storage.errors import CheckpointError, ReplayLogError, RunError
from joule.storage.run_folder import Run

RESULT = ROOT / "benchmarks" / "results" / "fuzz.json"
BATCH = 2_000
"""Attempts in one process: one that dies ends no others."""
BATCH_SECONDS = 600
REFUSALS = (CheckpointError, ReplayLogError, RunError, ConfigError)
RUN_FILES = ("run.json", "config.json")
"""Files of the run folder, which have no hash."""
SHARES = {ARRAYS: 0.4, MANIFEST: 0.25, META: 0.2, DIGEST: 0.05, "run.json": 0.05, "config.json": 0.05}
"""File -> its share of the attempts."""
RESEALED = 0.9
"""Share of the forged checkpoints whose hashes are made valid."""
MODEL = {
    "model.latent_dim": 8, "model.hidden_dim": 8, "model.head_width": 8, "cost.bins": 5, "learning.batch_size": 8,
}  # fmt: skip
"""A smaller agent than in other benchmarks: its weights are not forged."""
TRUSTED = [TINY_ENV.partition(":")[0]]


class Target:
    """A run on the disk, and the agent that is restored from its forged files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.newest = newest_checkpoint(folder)
        self.run = Run.open(folder, trust_modules=TRUSTED)
        self.agent = joule.load(folder, trust_modules=TRUSTED)
        self.paths = {name: self.newest / name for name in (ARRAYS, MANIFEST, META, DIGEST)}
        self.paths |= {name: folder / name for name in RUN_FILES}
        self.content = {name: path.read_bytes() for name, path in self.paths.items()}

    def attempt(self, name: str, data: bytes, resealed: bool) -> str:
        """Loads the run with one forged file, and puts the valid files back.

        Args:
            name: the file.
            data: its forged content.
            resealed: whether the hashes are made valid.

        Returns:
            "loaded", "refused", or the fault.
        """
        changed = self._changed(name, data, resealed)
        for key, content in changed.items():
            self.paths[key].write_bytes(content)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._load(name)
        except REFUSALS:
            return "refused"
        except Exception as error:  # noqa: BLE001  any other exception is a fault, which is reported
            last = traceback.extract_tb(error.__traceback__)[-1]
            return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {str(error)[:100]}"
        finally:
            for key in changed:
                self.paths[key].write_bytes(self.content[key])
        return "loaded"

    def _changed(self, name: str, data: bytes, resealed: bool) -> dict[str, bytes]:
        """The files that change: the forged one, and where it is resealed, those with its hashes."""
        changed = {name: data}
        if resealed and name in (ARRAYS, META):
            manifest = json.loads(self.content[MANIFEST])
            manifest["members"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            changed[MANIFEST] = json.dumps(manifest).encode()
        if resealed and name != DIGEST and MANIFEST in changed:
            changed[DIGEST] = f"{hashlib.sha256(changed[MANIFEST]).hexdigest()}  {MANIFEST}\n".encode()
        return changed

    def _load(self, name: str) -> None:
        if name in RUN_FILES:
            Run.open(self.folder, trust_modules=TRUSTED).close()
            return
        checkpoint.kept_files(self.newest.parent)
        restore_checkpoint(self.agent, *named_checkpoint(self.agent, self.run, self.newest))


def run_batch(target: Target, count: int, seed: int) -> dict[str, Any]:
    """Attempts in this process: the outcomes, the faults, the memory that was added, and the longest time."""
    forger, rng = Forger(target.content, seed), random.Random(seed)
    outcomes: collections.Counter[str] = collections.Counter()
    faults: list[str] = []
    before, longest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0.0
    for _ in range(count):
        name = rng.choices(list(SHARES), list(SHARES.values()))[0]
        resealed = rng.random() < RESEALED
        data = forger.forged(name)
        start = time.process_time()
        outcome = target.attempt(name, data, resealed)
        longest = max(longest, time.process_time() - start)
        hashed = name not in RUN_FILES and (not resealed or name == DIGEST)
        if outcome == "loaded" and hashed and data != target.content[name]:
            outcome = "loaded although its hash is wrong"
        if outcome not in ("loaded", "refused"):
            faults.append(f"{name}: {outcome}")
            outcome = "fault"
        outcomes[f"{name} {outcome}"] += 1
    added = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"outcomes": outcomes, "faults": faults, "kib": added, "seconds": longest}


def run_batch_in_child(target: Target, count: int, seed: int) -> dict[str, Any]:
    """`run_batch` in a forked child; a child that dies is a fault."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        signal.alarm(BATCH_SECONDS)  # a reader that does not return is a fault too
        try:
            with os.fdopen(write, "w") as pipe:
                json.dump(run_batch(target, count, seed), pipe)
        except BaseException:  # noqa: BLE001  nothing else may run in the child
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if not text or status:
        return {"outcomes": {}, "faults": [f"batch {seed} died: {status}"], "kib": 0, "seconds": 0}
    found: dict[str, Any] = json.loads(text)
    return found


def run_all(target: Target, attempts: int) -> dict[str, Any]:
    """All attempts, in batches; the figures of the result file."""
    valid = {name: target.attempt(name, data, resealed=False) for name, data in target.content.items()}
    assert set(valid.values()) == {"loaded"}, valid
    outcomes: collections.Counter[str] = collections.Counter()
    faults: collections.Counter[str] = collections.Counter()
    kib, longest, done = 0, 0.0, 0
    while done < attempts:
        count = min(BATCH, attempts - done)
        found = run_batch_in_child(target, count, seed=done)
        done += count
        outcomes.update(found["outcomes"])
        faults.update(found["faults"])
        kib, longest = max(kib, found["kib"]), max(longest, found["seconds"])
        print(f"\r{done} attempts, {sum(faults.values())} faults", end="", flush=True)
    print()
    words = ("refused", "loaded")
    return {
        "attempts": done,
        **{word: sum(n for key, n in outcomes.items() if key.endswith(word)) for word in words},
        "faults": sum(faults.values()),
        "by_file": {name: {word: outcomes[f"{name} {word}"] for word in words} for name in SHARES},
        "longest_cpu_seconds": round(longest, 3),
        "most_memory_mib": round(kib / 1024, 1),
        "fault_descriptions": dict(faults.most_common(30)),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--attempts", type=int, default=100_000, metavar="N", help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=RESULT, help="the result (default: the committed one)")
    given = parser.parse_args()
    preload()
    if os.access("/dev/shm", os.W_OK):
        tempfile.tempdir = "/dev/shm"  # in memory: no disk needs a hundred thousand small writes
    sandbox = Sandbox()
    try:
        found = run_all(Target(sandbox.train(changes=MODEL).folder), given.attempts)
    finally:
        sandbox.close()
    command = shlex.join(["python", "benchmarks/reliability/fuzz.py", *sys.argv[1:]])
    text = json.dumps({"command": command, **found}, indent=2)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(text + "\n")
    print(text)
    return int(bool(found["faults"]))


if __name__ == "__main__":
    sys.exit(main())

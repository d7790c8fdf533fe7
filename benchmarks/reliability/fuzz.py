"""Feeds forged checkpoints, settings and results to what reads them, and counts the outcomes.

    python benchmarks/reliability/fuzz.py              -> benchmarks/results/fuzz.json
    python benchmarks/reliability/fuzz.py --add        goes on from the figures in that file, with the next seeds

Small runs are made once: of the world-model agent in an environment that is restored by a replay, in one with
MuJoCo under perturbations, and in two environments side by side; of SAC, PPO and the random agent. Then one file
is forged 200,000 times: the arrays of a checkpoint, its manifest and digest, its state in meta.json, its replay
rows, run.json and config.json of the run, the tables that a resume cuts back, and every file that `compare` reads. Bytes are flipped, cut, repeated or
replaced; entries of JSON, tables and arrays are replaced by hostile values, removed, renamed, reshaped or swapped.
Nine of ten forged checkpoints get valid hashes, as from an attacker who knows the format. Then only the schemas
can refuse them.

Each attempt must end in a load or in a refusal by one of Joule's own errors, within bounded time and memory. A
load is correct where the hashes are valid, because a forged number may be a valid one. Some of the agents that
load learn on for a moment, which may end in one of Joule's errors too. Without valid hashes a load is a fault.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import json
import logging
import os
import random
import resource
import shlex
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.refusals import exit_code
from benchmarks.reliability.fuzz_targets import (
    CheckpointTarget,
    CompareTarget,
    LogsTarget,
    RunFilesTarget,
    Target,
)
from benchmarks.reliability.sandbox import ROOT, TINY_ENV, Sandbox, preload
from joule_errors import Refused

RESULT = ROOT / "benchmarks" / "results" / "fuzz.json"
BATCH = 500
"""Attempts in one process: one that dies ends no others."""
BATCH_SECONDS, ATTEMPT_SECONDS, ATTEMPT_KIB = 1_800, 20.0, 1 << 20
"""Largest wall time of a batch, CPU time of an attempt, and memory that a batch adds."""
MODEL = {
    "model.latent_dim": 8, "model.hidden_dim": 8, "model.head_width": 8, "cost.bins": 5, "learning.batch_size": 8,
}  # fmt: skip
"""A smaller agent than in other benchmarks."""
TRUSTED = [TINY_ENV.partition(":")[0]]
SHARES = {
    "joule": 0.34, "mujoco": 0.18, "two environments": 0.08, "sac": 0.03, "ppo": 0.03, "random": 0.08,
    "settings": 0.08, "logs": 0.06, "compare": 0.12,
}  # fmt: skip
"""Target -> its share of the attempts."""

Targets = dict[str, Target]


def make_targets(sandbox: Sandbox) -> Targets:
    """Every target, each on a run of its own."""

    def run(**changes: Any) -> Path:
        result = sandbox.train(changes={**MODEL, **changes})
        assert result.code == 0, result.describe()
        return result.folder

    mujoco = {"env": "InvertedPendulum-v5", "perturb": "latency=1"}
    settings, compared = run(), run(seed=2)
    command = (settings / "command.txt").read_text()
    (compared / "command.txt").write_text(command)
    return {
        "joule": CheckpointTarget(run(), TRUSTED),
        "mujoco": CheckpointTarget(run(**mujoco), TRUSTED),
        "two environments": CheckpointTarget(run(num_envs=2), TRUSTED),
        "sac": CheckpointTarget(run(agent="sac"), TRUSTED),
        "ppo": CheckpointTarget(run(agent="ppo"), TRUSTED),
        "random": CheckpointTarget(run(agent="random"), TRUSTED),
        "settings": RunFilesTarget(settings, TRUSTED),
        "logs": LogsTarget(run(), TRUSTED),
        "compare": CompareTarget(compared, run(seed=3), sandbox.new_path().parent),
    }


def run_batch(targets: Targets, count: int, seed: int) -> dict[str, Any]:
    """Attempts in this process: the outcomes, the faults, the memory that was added, and the longest time."""
    rng = random.Random(seed)
    outcomes: collections.Counter[str] = collections.Counter()
    faults: list[str] = []
    before, longest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0.0
    for _ in range(count):
        name = rng.choices(list(SHARES), list(SHARES.values()))[0]
        start = time.process_time()
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            file, outcome = targets[name].attempt(rng)
        seconds = time.process_time() - start
        longest = max(longest, seconds)
        if seconds > ATTEMPT_SECONDS:
            outcome = f"took {seconds:.0f} s"
        if outcome not in ("loaded", "refused"):
            faults.append(f"{name}: {file}: {outcome}")
            outcome = "fault"
        outcomes[f"{file}|{outcome}"] += 1
    added = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    if added > ATTEMPT_KIB:
        faults.append(f"a batch took {added / 1024:.0f} MiB")
    return {"outcomes": outcomes, "faults": faults, "kib": added, "seconds": longest}


def in_child(call: Callable[[], dict[str, Any]], what: str) -> dict[str, Any]:
    """The result of a call in a forked child; a child that dies is a fault."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        signal.alarm(BATCH_SECONDS)  # a reader that does not return is a fault too
        try:
            with os.fdopen(write, "w") as pipe:
                json.dump(call(), pipe)
        except BaseException:  # noqa: BLE001  nothing else may run in the child
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if not text or status:
        return {"outcomes": {}, "faults": [f"{what} died: {status}"], "kib": 0, "seconds": 0}
    found: dict[str, Any] = json.loads(text)
    return found


class Figures:
    """The figures of the result file, added up over batches."""

    def __init__(self) -> None:
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.faults: collections.Counter[str] = collections.Counter()
        self.kib, self.longest, self.done = 0, 0.0, 0

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Figures:
        """The figures of a result file, from its content."""
        figures = cls()
        for file, counts in found["by_file"].items():
            figures.outcomes.update({f"{file}|{word}": count for word, count in counts.items()})
        figures.faults.update(found["fault_descriptions"])
        figures.done, figures.longest = found["attempts"], found["longest_cpu_seconds"]
        figures.kib = round(found["most_memory_mib"] * 1024)
        return figures

    def add(self, found: dict[str, Any], count: int) -> None:
        """Takes in the result of a batch."""
        self.done += count
        self.outcomes.update(found["outcomes"])
        for fault in found["faults"]:
            if fault not in self.faults:
                print(f"\n{fault}")
            self.faults[fault] += 1
        self.kib, self.longest = max(self.kib, found["kib"]), max(self.longest, found["seconds"])

    def values(self) -> dict[str, Any]:
        """As JSON values."""
        words = ("refused", "loaded")
        files = sorted({key.partition("|")[0] for key in self.outcomes})
        return {
            "attempts": self.done,
            **{
                word: sum(n for key, n in self.outcomes.items() if key.endswith(f"|{word}")) for word in words
            },
            "faults": sum(self.faults.values()),
            "by_file": {name: {word: self.outcomes[f"{name}|{word}"] for word in words} for name in files},
            "longest_cpu_seconds": round(self.longest, 3),
            "most_memory_mib": round(self.kib / 1024, 1),
            "fault_descriptions": dict(self.faults.most_common()),
        }


def continued(before: Mapping[str, Any], command: str) -> str:
    """The commands that made the figures: those of the file that is added to, and this one."""
    return f"{before['command']}; then {command}" if before else command


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--attempts",
        type=int,
        default=200_000,
        metavar="N",
        help="in all, those that --add goes on from included (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="of the first batch; a batch after N attempts has this seed plus N (default: 0)",
    )
    parser.add_argument("--out", type=Path, default=RESULT, help="the result (default: the committed one)")
    parser.add_argument("--add", action="store_true", help="go on from the figures in the result")
    given = parser.parse_args(arguments)
    before = json.loads(given.out.read_text()) if given.add and given.out.exists() else {}
    figures = Figures.of(before) if before else Figures()
    if figures.done >= given.attempts:
        raise Refused(
            f"--attempts: {given.out} has {figures.done:,} already; give a larger number to --add to them"
        )
    command = continued(before, shlex.join(["python", "benchmarks/reliability/fuzz.py", *sys.argv[1:]]))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    logging.disable(logging.CRITICAL)
    preload()
    if os.access("/dev/shm", os.W_OK):
        tempfile.tempdir = "/dev/shm"  # in memory: no disk needs so many small writes
    sandbox = Sandbox()
    try:
        targets = make_targets(sandbox)
        while figures.done < given.attempts:
            count, seed = min(BATCH, given.attempts - figures.done), given.seed + figures.done
            found = in_child(lambda c=count, s=seed: run_batch(targets, c, s), f"batch {seed}")  # type: ignore[misc]
            figures.add(found, count)
            print(f"\r{figures.done} attempts, {sum(figures.faults.values())} faults", end="", flush=True)
            text = json.dumps({**before, "command": command, **figures.values()}, indent=2)
            given.out.write_text(text + "\n")  # a fuzz that is stopped goes on by --add
    finally:
        sandbox.close()
        shutil.rmtree(sandbox.place, ignore_errors=True)
    print(f"\n{json.dumps(figures.values(), indent=2)}")
    return int(bool(figures.faults))


if __name__ == "__main__":
    sys.exit(exit_code(main))

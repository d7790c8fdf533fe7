"""Kills a run many times and compares the result with that of an uninterrupted run.

    python benchmarks/reliability/kill.py              -> benchmarks/results/kill.json

Three parts: SIGKILL inside each disk call of a save, with half of a write's bytes on the disk; SIGTERM and SIGINT
at random moments; SIGKILL at random moments. After each the run is resumed. A finished run must have the hashes
of the uninterrupted one: weights, optimisers, replay, random generators, metrics and evaluations.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import shlex
import signal
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.reliability.command_result import CommandResult
from benchmarks.reliability.run_fingerprint import checkpoint_frames, fingerprint
from benchmarks.reliability.sandbox import ROOT, Meanwhile, Patch, Sandbox, preload, wait_until
from joule.storage import checkpoint
from joule.storage.files import Disk

RESULT = ROOT / "benchmarks" / "results" / "kill.json"
INTERVAL = 25
"""Frames between checkpoints."""
LONGEST = 3.0
"""Seconds from the start of a run to a random kill, at most."""
RUN = {
    "env": "Hopper-v5",
    "steps": 300,
    "checkpoint_every_frames": INTERVAL,
    "eval_every_frames": 100,
    "explore.warmup_decisions": 60,
    "explore.plan_from_decisions": 0,
    "explore.plan_every_episodes": 1,
    "learning.pretrain_updates": 20,
}
SIGNALS = {"SIGTERM": 143, "SIGINT": 130}
"""Signal -> the exit code that it must lead to."""
DISK_CALLS = ("make", "names", "_write_at", "rename", "sync", "remove")


def last_logged_frame(folder: Path) -> int:
    """The last frame in metrics.csv; 0 without one."""
    path = folder / "metrics.csv"
    if not path.exists():
        return 0
    with path.open(newline="") as file:
        frames = [int(row["frames"]) for row in csv.DictReader(file) if row["frames"].isdecimal()]
    return max(frames, default=0)


def signal_after(seconds: float, number: int) -> Meanwhile:
    """Sends a signal after some seconds."""

    def meanwhile(child: int, folder: Path) -> None:
        time.sleep(seconds)
        os.kill(child, number)  # a child that has ended keeps its process id until it is waited for

    return meanwhile


def start_or_resume(sandbox: Sandbox, folder: Path, **more: Any) -> CommandResult:
    """Starts the run in a folder, or resumes it where it has begun."""
    if (folder / "run.json").exists():
        return sandbox.resume(folder, "--no-video", **more)
    return sandbox.train(folder=folder, changes=RUN, **more)


def random_kills(
    sandbox: Sandbox, expected: dict[str, str], kills: int, rng: random.Random
) -> dict[str, Any]:
    """SIGKILL at random moments, `kills` times; a run that finishes is compared, and a new one begins."""
    done = finished = different = unreadable = 0
    lost: list[int] = []
    folder = sandbox.new_path()
    while done < kills:
        meanwhile = signal_after(rng.uniform(0.1, LONGEST), signal.SIGKILL)
        result = start_or_resume(sandbox, folder, meanwhile=meanwhile)
        if result.code == -signal.SIGKILL:
            done += 1
            frames = last_logged_frame(folder)
            if not (folder / "run.json").exists():
                continue
            try:
                saved = checkpoint.newest(folder / "checkpoints")
                lost.append(frames - (saved.step if saved else 0))
                unreadable += bool(saved and saved.skipped)
            except checkpoint.CheckpointError:
                unreadable += 1
        elif result.code == 0:
            finished += 1
            different += fingerprint(folder) != expected
            folder = sandbox.new_path()
        else:
            raise SystemExit(f"a resumed run ended with {result.describe()}")
        print(f"\r{done} kills, {finished} finished, {different} differ", end="", flush=True)
    result = start_or_resume(sandbox, folder)
    different += result.code != 0 or fingerprint(folder) != expected
    print()
    return {
        "random_kills": done,
        "runs_finished": finished + 1,
        "hash_differs": different,
        "unreadable_checkpoints": unreadable,
        "most_frames_lost": max(lost, default=0),
        "interval": INTERVAL,
    }


def kill_at_call(k: int, note: Path) -> Patch:
    """SIGKILL inside the k-th disk call of the third save, after half of its bytes where it writes.

    Args:
        k: number of the call, from 1.
        note: file that gets the name of the call, or that the save was over before.
    """

    def patch() -> None:
        from joule.training.trainer import Trainer

        saves, calls = [0], [0]
        real_save = Trainer.save

        def save(self: Trainer, *given: Any, **named: Any) -> None:
            saves[0] += 1
            real_save(self, *given, **named)
            if saves[0] == 3:
                note.write_text("the save was over")

        def replace(name: str) -> None:
            real = getattr(Disk, name)

            def call(self: Disk, path: Path, *given: Any, **named: Any) -> Any:
                calls[0] += saves[0] == 3
                if saves[0] == 3 and calls[0] == k:
                    note.write_text(f"{name.strip('_')} {path.name}")
                    if name == "_write_at":
                        data, *rest = given
                        real(self, path, memoryview(data).cast("B")[: len(data) // 2], *rest, **named)
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(self, path, *given, **named)

            setattr(Disk, name, call)

        for name in DISK_CALLS:
            replace(name)
        Trainer.save = save  # type: ignore[method-assign]

    return patch


def kills_in_a_save(sandbox: Sandbox, expected: dict[str, str]) -> dict[str, Any]:
    """One kill at each disk call of a save, until a save ends before the kill."""
    points: dict[str, str] = {}
    for k in range(1, 100):
        note, folder = sandbox.place / f"point-{k}", sandbox.new_path()
        result = start_or_resume(sandbox, folder, patch=kill_at_call(k, note))
        label = note.read_text()
        if result.code == 0:
            break
        saved = checkpoint.newest(folder / "checkpoints")
        again = start_or_resume(sandbox, folder)
        same = again.code == 0 and fingerprint(folder) == expected
        kept = saved.step if saved else 0
        intact = saved is not None and not saved.skipped and kept in (2 * INTERVAL, 3 * INTERVAL)
        points[f"{k} {label}"] = f"{'ok' if same and intact else 'short'}: {kept} kept"
        print(f"{k} {label}: {points[f'{k} {label}']}", flush=True)
    short = sum(text.startswith("short") for text in points.values())
    return {"points_of_a_save": len(points), "short": short, "points": points}


def send_signals(
    sandbox: Sandbox, expected: dict[str, str], name: str, count: int, rng: random.Random
) -> dict[str, Any]:
    """A signal at a random moment of training, `count` times; the run is then resumed to its end."""
    number, code = getattr(signal, name), SIGNALS[name]
    seconds, wrong, different = [], 0, 0
    for _ in range(count):
        folder, sent = sandbox.new_path(), [0.0]
        start = rng.choice(range(0, RUN["steps"] - INTERVAL + 1, INTERVAL))  # type: ignore[call-overload, operator]

        def meanwhile(child: int, folder: Path, start: int = start, sent: list[float] = sent) -> None:
            wait_until(lambda: last_logged_frame(folder) > start)
            time.sleep(rng.uniform(0.0, 0.3))
            sent[0] = time.monotonic()
            os.kill(child, number)

        result = start_or_resume(sandbox, folder, meanwhile=meanwhile)
        seconds.append(time.monotonic() - sent[0])
        if result.code != 0:  # otherwise it had finished before
            saved = checkpoint_frames(folder)
            wrong += result.code != code or not saved or not result.no_traceback
        again = start_or_resume(sandbox, folder)
        different += again.code != 0 or fingerprint(folder) != expected
        print(f"\r{name}: {len(seconds)}", end="", flush=True)
    print()
    return {
        "sent": count,
        "exit_code": code,
        "wrong": wrong,
        "hash_differs": different,
        "most_seconds": round(max(seconds), 2),
    }


def failures(found: dict[str, Any]) -> int:
    """How many outcomes of the three parts are not the expected ones.

    Args:
        found: the content of the result file.
    """
    of_signals = sum(found[name]["wrong"] + found[name]["hash_differs"] for name in SIGNALS)
    of_kills = found["short"] + found["hash_differs"] + found["unreadable_checkpoints"]
    return int(of_signals + of_kills + (found["most_frames_lost"] > found["interval"]))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--signals", type=int, default=20, metavar="N", help="of each kind (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the random moments (default: 1)")
    parser.add_argument("--out", type=Path, default=RESULT, help="the result (default: the committed one)")
    given = parser.parse_args()
    preload()
    sandbox, rng = Sandbox(), random.Random(given.seed)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    try:
        uninterrupted = sandbox.train(changes=RUN)
        assert uninterrupted.code == 0, uninterrupted.describe()
        expected = fingerprint(uninterrupted.folder)
        found: dict[str, Any] = {
            "command": shlex.join(["python", "benchmarks/reliability/kill.py", *sys.argv[1:]]),
            "run": RUN,
            "uninterrupted": expected,
            **kills_in_a_save(sandbox, expected),
        }
        for name in SIGNALS:
            found[name] = send_signals(sandbox, expected, name, given.signals, rng)
            given.out.write_text(json.dumps(found, indent=2) + "\n")
        found |= random_kills(sandbox, expected, given.kills, rng)
        given.out.write_text(json.dumps(found, indent=2) + "\n")
    finally:
        sandbox.close()
    print(json.dumps({name: v for name, v in found.items() if name not in ("points", "run")}, indent=2))
    return int(failures(found) > 0)


if __name__ == "__main__":
    sys.exit(main())

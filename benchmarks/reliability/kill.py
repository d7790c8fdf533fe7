"""Kills a run again and again and compares what comes out with the run that was left alone.

    python benchmarks/kill.py              -> benchmarks/results/kill.json

Three parts: SIGKILL at random moments of a MuJoCo run; SIGKILL inside each call to the disk of a save,
half of a write's bytes on the disk; SIGTERM and SIGINT at random moments. After each the run is resumed.
A finished run must have the hashes of the uninterrupted one: weights, optimisers, replay, generators,
metrics and evaluations.
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.reliability.arena import Arena, Ended, fingerprint, steps_of, wait_for, warm_up

from joule.storage import checkpoint
from joule.storage.files import Disk

RESULT = Path(__file__).parents[1] / "results" / "kill.json"
RUN = {
    "env": "Hopper-v5",
    "steps": 300,
    "checkpoint-every-frames": 25,
    "eval-every-frames": 100,
    "explore.warmup-decisions": 60,
    "explore.plan_from_decisions": 0,
    "explore.plan-every-episodes": 1,
    "learning.pretrain-updates": 20,
}
INTERVAL, LONGEST = 25, 3.0  # frames between checkpoints, seconds until a kill


def logged(folder: Path) -> int:
    """The last frame that the run logged."""
    path = folder / "metrics.csv"
    if not path.exists():
        return 0
    with path.open(newline="") as file:
        return max(
            (int(row["frames"]) for row in csv.DictReader(file) if row["frames"].isdecimal()), default=0
        )


def after(seconds: float, number: int) -> Callable[[int, Path], None]:
    """Sends a signal after some time, if the process is still there."""

    def meanwhile(child: int, folder: Path) -> None:
        time.sleep(seconds)
        os.kill(child, number)  # an ended child is not yet waited for, so its number is still its own

    return meanwhile


def lived(arena: Arena, folder: Path, **more: Any) -> Ended:
    """A run's beginning, or what follows of it."""
    if (folder / "run.json").exists():
        return arena.resume(folder, "--no-video", **more)
    return arena.train(folder=folder, changes=RUN, **more)


def random_kills(arena: Arena, whole: dict[str, str], kills: int, rng: random.Random) -> dict[str, Any]:
    """SIGKILL at random moments, `kills` times; a run that comes to its end is compared, and begun anew."""
    done = finished = differing = unreadable = 0
    lost: list[int] = []
    folder = arena.fresh()
    while done < kills:
        found = lived(arena, folder, meanwhile=after(rng.uniform(0.1, LONGEST), signal.SIGKILL))
        if found.code == -signal.SIGKILL:
            done += 1
            at = logged(folder)
            if not (folder / "run.json").exists():
                continue
            try:
                saved = checkpoint.newest(folder / "checkpoints")
                lost.append(at - (saved.step if saved else 0))
                unreadable += bool(saved and saved.skipped)
            except checkpoint.CheckpointError:
                unreadable += 1
        elif found.code == 0:
            finished += 1
            differing += fingerprint(folder) != whole
            folder = arena.fresh()
        else:
            raise SystemExit(f"a resumed run ended with {found.told()}")
        print(f"\r{done} kills, {finished} finished, {differing} differ", end="", flush=True)
    found = lived(arena, folder)
    differing += found.code != 0 or fingerprint(folder) != whole
    print()
    return {
        "random_kills": done,
        "runs_finished": finished + 1,
        "hash_differs": differing,
        "unreadable_checkpoints": unreadable,
        "most_frames_lost": max(lost, default=0),
        "interval": INTERVAL,
    }


def at_call(k: int, told: Path) -> Callable[[], None]:
    """SIGKILL inside the k-th call to the disk of the third save, after half of its bytes if it writes."""

    def tamper() -> None:
        from joule.training.trainer import Trainer

        saves, calls = [0], [0]
        save = Trainer.save

        def counted(self: Trainer, *given: Any, **named: Any) -> None:
            saves[0] += 1
            save(self, *given, **named)
            if saves[0] == 3:
                told.write_text("the save was over")

        def deadly(name: str) -> None:
            real = getattr(Disk, name)

            def call(self: Disk, path: Path, *given: Any, **named: Any) -> Any:
                if saves[0] == 3:
                    calls[0] += 1
                    if calls[0] == k:
                        told.write_text(f"{name} {path.name}")
                        if name == "_put":
                            data, *rest = given
                            real(self, path, memoryview(data).cast("B")[: len(data) // 2], *rest, **named)
                        os.kill(os.getpid(), signal.SIGKILL)
                return real(self, path, *given, **named)

            setattr(Disk, name, call)

        for name in ("make", "names", "_put", "rename", "sync", "remove"):
            deadly(name)
        Trainer.save = counted  # type: ignore[method-assign]

    return tamper


def kills_in_a_save(arena: Arena, whole: dict[str, str]) -> dict[str, Any]:
    """One kill at each call of a save, until a save passes untouched."""
    points: dict[str, str] = {}
    for k in range(1, 100):
        told, folder = arena.place / f"point-{k}", arena.fresh()
        found = lived(arena, folder, tamper=at_call(k, told))
        label = told.read_text()
        if found.code == 0:
            break
        saved = checkpoint.newest(folder / "checkpoints")
        again = lived(arena, folder)
        same = again.code == 0 and fingerprint(folder) == whole
        kept = saved.step if saved else 0
        sound = same and saved is not None and not saved.skipped and kept in (2 * INTERVAL, 3 * INTERVAL)
        points[f"{k} {label}"] = f"{'ok' if sound else 'short'}: {kept} kept"
        print(f"{k} {label}: {points[f'{k} {label}']}", flush=True)
    return {
        "points_of_a_save": len(points),
        "short": sum(v.startswith("short") for v in points.values()),
        "points": points,
    }


def signals(
    arena: Arena, whole: dict[str, str], number: int, code: int, count: int, rng: random.Random
) -> dict[str, Any]:
    """A signal at a random moment of training; the run is then resumed to its end."""
    seconds, wrong, differing = [], 0, 0
    for _ in range(count):
        folder, began = arena.fresh(), [0.0]
        start = rng.choice(range(0, 276, INTERVAL))

        def meanwhile(child: int, folder: Path, start: int = start, began: list[float] = began) -> None:
            wait_for(lambda: logged(folder) > start)
            time.sleep(rng.uniform(0.0, 0.3))
            began[0] = time.monotonic()
            os.kill(child, number)

        found = lived(arena, folder, meanwhile=meanwhile)
        seconds.append(time.monotonic() - began[0])
        if found.code != 0:  # else it had ended by itself
            saved = steps_of(folder)
            wrong += found.code != code or not saved or not found.orderly
        again = lived(arena, folder)
        differing += again.code != 0 or fingerprint(folder) != whole
        print(f"\r{signal.Signals(number).name}: {len(seconds)}", end="", flush=True)
    print()
    return {"sent": count, "exit_code": code, "wrong": wrong, "hash_differs": differing,
            "most_seconds": round(max(seconds), 2)}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50, metavar="N")
    parser.add_argument("--signals", type=int, default=20, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    given = parser.parse_args()
    warm_up()
    arena, rng = Arena(), random.Random(given.seed)
    try:
        alone = arena.train(changes=RUN)
        assert alone.code == 0, alone.told()
        whole = fingerprint(alone.folder)
        found: dict[str, Any] = {
            "command": shlex.join(["python", "benchmarks/kill.py", *sys.argv[1:]]),
            "run": RUN,
            "uninterrupted": whole,
            **kills_in_a_save(arena, whole),
        }
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        for name, code in (("SIGTERM", 143), ("SIGINT", 130)):
            found[name] = signals(arena, whole, getattr(signal, name), code, given.signals, rng)
            RESULT.write_text(json.dumps(found, indent=2) + "\n")
        found |= random_kills(arena, whole, given.kills, rng)
        RESULT.write_text(json.dumps(found, indent=2) + "\n")
    finally:
        arena.close()
    wrong = (
        found["short"]
        + found["hash_differs"]
        + found["unreadable_checkpoints"]
        + (found["most_frames_lost"] > INTERVAL)
    )
    print(json.dumps({k: v for k, v in found.items() if k not in ("points", "run")}, indent=2))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())

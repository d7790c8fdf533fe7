"""Stops a run at five kinds of moments in every body, resumes it, and compares it with the run left alone.

    python benchmarks/resume.py            -> benchmarks/results/resume.csv

exact is yes when the last checkpoint (weights, optimisers, replay, generators, counters), the metrics and the
evaluations are the same to the last bit. Each stopped run is resumed in a new process.
"""

from __future__ import annotations

import argparse
import csv
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from arena import Arena, fingerprint, steps_of, warm_up

RESULT = Path(__file__).parent / "results" / "resume.csv"
COLUMNS = ("body", "agent", "moment", "stopped_at", "exact", "differs", "hash")
GYMNASIUM = (
    "Ant-v5",
    "HalfCheetah-v5",
    "Hopper-v5",
    "Humanoid-v5",
    "HumanoidStandup-v5",
    "InvertedDoublePendulum-v5",
    "InvertedPendulum-v5",
    "Pusher-v5",
    "Reacher-v5",
    "Swimmer-v5",
    "Walker2d-v5",
)
OWN = ("joule/Reach-v0", "joule/Push-v0", "joule/Cup-v0", "joule/Maze-v0")
SETTINGS = {
    "steps": 120,
    "max-episode-steps": 40,
    "eval-every": 70,
    "checkpoint-every": 500,
    "learner.buffer": 60,
    "learner.warmup": 30,
}
"""The ring of 60 rows wraps at about the sixtieth decision."""

MOMENTS: dict[str, Callable[[Any], bool]] = {
    "warm-up": lambda agent: agent.decisions == 20,
    "mid-episode": lambda agent: agent.decisions >= 50 and agent.obs is not None,
    "episode end": lambda agent: agent.decisions >= 55 and agent.obs is None,
    "wrapped replay": lambda agent: agent.memory.rows > agent.memory.capacity + 30,
}


def stop_when(reached: Callable[[Any], bool]) -> Callable[[], None]:
    """The run sends itself SIGTERM after the first decision for which `reached`."""

    def tamper() -> None:
        from agent.trainer import Trainer

        real = Trainer.on_step

        def on_step(self: Trainer, agent: Any) -> bool:
            if reached(agent):
                os.kill(os.getpid(), signal.SIGTERM)
            return real(self, agent)

        Trainer.on_step = on_step  # type: ignore[method-assign]

    return tamper


def stop_after_evaluation() -> None:
    """The run sends itself SIGTERM when its first evaluation is done and logged."""
    from agent.trainer import Trainer

    real = Trainer.score

    def score(self: Trainer) -> None:
        real(self)
        os.kill(os.getpid(), signal.SIGTERM)

    Trainer.score = score  # type: ignore[method-assign]


def tried(arena: Arena, body: str) -> list[dict[str, str]]:
    """A line for each moment in one body."""
    changes = {**SETTINGS, "env": body}
    alone = arena.train(changes=changes)
    if alone.code != 0:
        return [dict(zip(COLUMNS, (body, "joule", "uninterrupted", "", "no", alone.told(), ""), strict=True))]
    whole, lines = fingerprint(alone.folder), []
    tampers = {name: stop_when(reached) for name, reached in MOMENTS.items()} | {
        "after evaluation": stop_after_evaluation
    }
    for moment, tamper in tampers.items():
        stopped = arena.train(changes=changes, tamper=tamper)
        at = steps_of(stopped.folder)
        again = arena.resume(stopped.folder)
        if stopped.code == 143 and again.code == 0:
            found = fingerprint(again.folder)
            differs = " ".join(name for name in whole if found[name] != whole[name])
        else:
            differs = f"{stopped.told()}; {again.told()}"
        exact = "no" if differs else "yes"
        line = (body, "joule", moment, " ".join(map(str, at)), exact, differs, whole["arrays"])
        lines.append(dict(zip(COLUMNS, line, strict=True)))
    print(f"{body}: {sum(line['exact'] == 'yes' for line in lines)} of {len(lines)} exact", flush=True)
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bodies", nargs="+", default=[*GYMNASIUM, *OWN], metavar="ID")
    bodies = parser.parse_args().bodies
    warm_up()
    lines: list[dict[str, str]] = []
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    for body in bodies:
        arena = Arena()
        try:
            lines += tried(arena, body)
        finally:
            arena.close()
        with RESULT.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(lines)
    exact = sum(line["exact"] == "yes" for line in lines)
    print(f"{exact} of {len(lines)} exact")
    return int(exact != len(lines))


if __name__ == "__main__":
    sys.exit(main())

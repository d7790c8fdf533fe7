"""Watches one long training run from outside: its memory, its open descriptors, what it leaves lying about.

    python benchmarks/soak.py --hours 2    -> benchmarks/results/soak.csv and soak.json
    python benchmarks/soak.py --judge      -> soak.json again, from the soak.csv that is there

The run is small, so that its replay is full at once and episodes, evaluations and checkpoints come by the
hundred. It has a temporary folder, a working folder and a home of its own. A row is written at every look, so
a soak that is cut short is a shorter soak: soak.json says how long it was.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.reliability.arena import ROOT, steps_of

RESULTS = Path(__file__).parents[1] / "results"
TABLE, VERDICT = RESULTS / "soak.csv", RESULTS / "soak.json"
COLUMNS = ("seconds", "cpu_seconds", "steps", "rss_kib", "descriptors", "files", "strays")
RUN: dict[str, Any] = {
    "env": "Hopper-v5",
    "steps": 10_000_000_000,
    "max-episode-frames": 200,
    "eval-every-frames": 500,
    "eval-episodes": 1,
    "checkpoint-every-frames": 250,
    "model.latent-dim": 32,
    "model.hidden_dim": 64,
    "model.head-width": 32,
    "learning.batch_size": 32,
    "learning.replay-capacity-transitions": 500,
    "explore.warmup-decisions": 100,
    "learning.pretrain-updates": 10,
    "learning.utd": 0.25,
    "explore.plan_from_decisions": 0,
    "explore.plan-every-episodes": 1,
    "planner.horizon-decisions": 2,
    "planner.samples": 16,
    "planner.iterations": 1,
    "planner.elites": 4,
    "actor.proposals": 4,
}
SETTLED = 3 * RUN["learning.replay-capacity-transitions"]
"""Steps after which everything has happened that happens once: the replay is full, and a checkpoint retired."""
MOST_PER_HOUR = 1.0  # per cent by which memory may grow

EXPECTED = re.compile(
    r"(config|versions|run|summary)\.json|command\.txt|(metrics|evaluations|forecasts)\.csv|run\.lock"
    r"|tensorboard/events\.out\.tfevents\.[0-9.]+|replay/segment-[0-9]{8}\.rows"
    r"|checkpoints/step-[0-9]+/(arrays\.safetensors|meta\.json|MANIFEST\.json|MANIFEST\.sha256)"
    r"|tmp/torchinductor_[a-z0-9_-]+"
)
"""The last is an empty folder that torch makes once for each user, when it is imported."""


class Soak:
    """A training run in a place of its own, and what can be seen of it from outside."""

    def __init__(self) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="joule-soak-"))
        for name in ("tmp", "cwd", "home"):
            (self.place / name).mkdir()
        self.folder = self.place / "run"
        words = [word for name, value in RUN.items() for word in (f"--{name}", str(value))]
        command = [sys.executable, str(ROOT / "train.py"), *words, "--no-video", "--out", str(self.folder)]
        given = {"TMPDIR": str(self.place / "tmp"), "HOME": str(self.place / "home"), "OMP_NUM_THREADS": "1"}
        self.log = (self.place / "log").open("wb")
        self.process = subprocess.Popen(
            command,
            cwd=self.place / "cwd",
            env={**os.environ, **given, "PYTHONPATH": str(ROOT)},
            stdout=self.log,
            stderr=self.log,
        )
        self.began = time.monotonic()
        self._odd: set[str] = set()

    def look(self) -> dict[str, Any]:
        """A row of the table. Raises OSError when the process is gone."""
        of = Path(f"/proc/{self.process.pid}")
        status = dict(line.split(":", 1) for line in (of / "status").read_text().splitlines())
        ticks = (of / "stat").read_text().rpartition(")")[2].split()
        paths = list(self.paths())
        odd = {path for path in paths if not EXPECTED.fullmatch(path)}
        lasting, self._odd = odd & self._odd, odd  # a save's own temporary folder is gone at the next look
        row = (
            round(time.monotonic() - self.began, 1),
            (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK"),
            max(steps_of(self.folder), default=0),
            int(status["VmRSS"].split()[0]),
            len(os.listdir(of / "fd")),
            len(paths),
            " ".join(sorted(lasting)),
        )
        return dict(zip(COLUMNS, row, strict=True))

    def paths(self) -> Iterator[str]:
        """Every file of the run folder by its path there; every file and folder in the places for strays."""
        for root in (self.folder, self.place / "tmp", self.place / "cwd"):
            for folder, folders, names in os.walk(root):
                for name in names if root == self.folder else [*names, *folders]:
                    inside = Path(folder, name).relative_to(root)
                    yield str(inside) if root == self.folder else f"{root.name}/{inside}"

    def end(self) -> dict[str, Any]:
        """Ends the run as a user would, and says how it ended and what it left that it should not."""
        asked = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(1800)  # a run of low priority may wait long for its turn
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        left = sorted(path for path in self.paths() if not EXPECTED.fullmatch(path))
        self.log.close()
        return {"exit_code": code, "seconds_to_end": round(time.monotonic() - asked, 1), "left": left}

    def said(self) -> str:
        return (self.place / "log").read_text(errors="replace")


def watch(hours: float, every: float) -> dict[str, Any]:
    """Runs and looks until the time is over, the run ends, or a signal comes; how the run ended."""
    soak = Soak()
    print(f"training in {soak.folder}, process {soak.process.pid}; rows go to {TABLE}", flush=True)
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: asked.append(number))
    RESULTS.mkdir(parents=True, exist_ok=True)
    with TABLE.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        while not asked and time.monotonic() - soak.began < hours * 3600 and soak.process.poll() is None:
            try:
                writer.writerow(soak.look())
            except OSError:
                break  # it ended between the question and the look
            file.flush()
            time.sleep(every)
    ended = soak.end()
    if ended["exit_code"] == 143:
        shutil.rmtree(soak.place)
    else:
        print(soak.said()[-2000:], flush=True)
    return ended


def task_cost(rows: Sequence[dict[str, str]], ended: dict[str, Any] | None) -> dict[str, Any]:
    """The verdict on a table. Memory's slope is Theil and Sen's: the median of the slopes of all pairs of
    rows since the run had settled, with its interval of 95 %, in per cent of the median memory."""
    from scipy.stats import theilslopes

    settled = [row for row in rows if int(row["steps"]) >= SETTLED]
    if len(settled) < 10:
        raise SystemExit(f"only {len(settled)} rows since step {SETTLED}: too short a soak to judge")
    hours = [float(row["seconds"]) / 3600 for row in settled]
    memory = [int(row["rss_kib"]) for row in settled]
    middle = sorted(memory)[len(memory) // 2]
    slope, _, low, high = (100 * float(figure) / middle for figure in theilslopes(memory, hours))
    descriptors = [int(row["descriptors"]) for row in settled]
    tenth = max(1, len(settled) // 10)
    # A look may fall into a write, when one more is open: what counts is how few there are between writes.
    early, late = min(descriptors[:tenth]), min(descriptors[-tenth:])
    strays = sorted(
        {path for row in rows for path in row["strays"].split()} | set((ended or {}).get("left", []))
    )
    found = {
        "command": shlex.join(["python", "benchmarks/soak.py", *sys.argv[1:]]),
        "run": RUN,
        "hours": round(float(rows[-1]["seconds"]) / 3600, 3),
        "hours_settled": round(hours[-1] - hours[0], 3),
        "cpu_seconds": float(rows[-1]["cpu_seconds"]),
        "steps": int(rows[-1]["steps"]),
        "checkpoints": int(rows[-1]["steps"]) // RUN["checkpoint-every"],
        "evaluations": int(rows[-1]["steps"]) // RUN["eval-every"],
        "looks": len(rows),
        "rss_mib": round(middle / 1024, 1),
        "rss_mib_range": [round(min(memory) / 1024, 1), round(max(memory) / 1024, 1)],
        "slope_percent_per_hour": round(slope, 3),
        "slope_interval": [round(low, 3), round(high, 3)],
        "descriptors": [early, late],
        "descriptors_most": max(descriptors),
        "files_most": max(int(row["files"]) for row in settled),
        "strays": strays,
        "ended": ended,
    }
    sound = slope < MOST_PER_HOUR and early == late and not strays
    return {**found, "as_it_must": sound and (ended is None or ended["exit_code"] == 143)}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=2.0, metavar="N")
    parser.add_argument("--every", type=float, default=10.0, metavar="SECONDS", help="between two looks")
    parser.add_argument("--judge", action="store_true", help="only judge the table that is there")
    given = parser.parse_args()
    ended = None if given.modules.task_cost else watch(given.hours, given.every)
    with TABLE.open(newline="") as file:
        # The last line of a soak that was killed may be cut.
        rows = [row for row in csv.DictReader(file) if row["strays"] is not None]
    found = task_cost(rows, ended)
    VERDICT.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))
    return int(not found["as_it_must"])


if __name__ == "__main__":
    sys.exit(main())

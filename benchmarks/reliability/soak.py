"""Watches one long training run from outside: its memory, its open file descriptors, and the files it leaves.

    python benchmarks/reliability/soak.py --hours 2         -> benchmarks/results/soak.csv and soak.json
    python benchmarks/reliability/soak.py --judge-only      -> the verdict again, from the soak.csv and soak.json that are there

The run is small: its replay buffer is full after minutes, and it makes hundreds of episodes, evaluations and
checkpoints. It has a temporary folder, a working folder and a home folder of its own. Every sample adds a row to
the table, so that a soak that is ended early is valid; soak.json states its length. Only a run that ended by SIGTERM, as
it was told to, passes.
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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import raw_rows
from benchmarks.refusals import exit_code
from benchmarks.reliability.run_fingerprint import checkpoint_frames
from benchmarks.reliability.sandbox import ROOT, words_of
from joule.storage.files import replace_file
from joule_errors import Refused

RESULTS = ROOT / "benchmarks" / "results"
COLUMNS = ("seconds", "cpu_seconds", "steps", "rss_kib", "descriptors", "files", "stray_files")
CAPACITY, EVAL_EVERY, CHECKPOINT_EVERY = 500, 500, 250
RUN: dict[str, Any] = {
    "env": "Hopper-v5",
    "steps": 10_000_000_000,
    "max_episode_frames": 200,
    "eval_every_frames": EVAL_EVERY,
    "eval_episodes": 1,
    "checkpoint_every_frames": CHECKPOINT_EVERY,
    "model.latent_dim": 32,
    "model.hidden_dim": 64,
    "model.head_width": 32,
    "learning.batch_size": 32,
    "learning.replay_capacity_transitions": CAPACITY,
    "explore.warmup_decisions": 100,
    "learning.pretrain_updates": 10,
    "learning.utd": 0.25,
    "learning.initial_utd": 1.0,
    "explore.plan_from_decisions": 0,
    "explore.plan_every_episodes": 1,
    "planner.horizon_decisions": 2,
    "planner.samples": 16,
    "planner.iterations": 1,
    "planner.elites": 4,
    "actor.proposals": 4,
}
SETTLED = 3 * CAPACITY
"""Steps until the replay buffer is full and a checkpoint was removed; earlier rows are not judged."""
LARGEST_SLOPE = 1.0
"""Growth of memory that is allowed, in per cent per hour."""
STOPPED = 143
"""Exit code of a run that SIGTERM ended."""
END_SECONDS = 1800
"""A run of low priority may wait long for the processor."""
EXPECTED = re.compile(
    r"(config|versions|run|summary)\.json|command\.txt|(metrics|evaluations|forecasts|readouts|episodes)\.csv|run\.lock"
    r"|tensorboard/events\.out\.tfevents\.[0-9.]+|replay/(stream-[0-9]+/)?segment-[0-9]{8}\.rows"
    r"|checkpoints/step-[0-9]+/(arrays\.safetensors|meta\.json|MANIFEST\.json|MANIFEST\.sha256)"
    r"|tmp/torchinductor_[a-z0-9_-]+"
)
"""Files that a run may have. The last is an empty folder that torch makes for each user when it is imported."""


class Soak:
    """A training run in folders of its own."""

    def __init__(self) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="joule-soak-"))
        for name in ("tmp", "cwd", "home"):
            (self.place / name).mkdir()
        self.folder = self.place / "run"
        words = [*words_of(RUN), "--no-video", "--out", str(self.folder)]
        variables = {
            "TMPDIR": str(self.place / "tmp"),
            "HOME": str(self.place / "home"),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
        }
        self.log = (self.place / "log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *words],
            cwd=self.place / "cwd", env={**os.environ, **variables}, stdout=self.log, stderr=self.log,
            start_new_session=True,  # Ctrl-C is for this process, which then ends the run
        )  # fmt: skip
        self.start = time.monotonic()
        self._unexpected: set[str] = set()

    def sample(self) -> dict[str, Any]:
        """A row of the table. Raises OSError when the process is gone."""
        process = Path(f"/proc/{self.process.pid}")
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        ticks = (process / "stat").read_text().rpartition(")")[2].split()
        paths = list(self.paths())
        unexpected = {path for path in paths if not EXPECTED.fullmatch(path)}
        # The temporary folder of a save is gone at the next sample.
        stray, self._unexpected = unexpected & self._unexpected, unexpected
        values = (
            round(time.monotonic() - self.start, 1),
            (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK"),
            max(checkpoint_frames(self.folder), default=0),
            int(status["VmRSS"].split()[0]),
            len(os.listdir(process / "fd")),
            len(paths),
            " ".join(sorted(stray)),
        )
        return dict(zip(COLUMNS, values, strict=True))

    def paths(self) -> Iterator[str]:
        """Every file of the run folder, and every file and folder of the temporary and the working folder."""
        for root in (self.folder, self.place / "tmp", self.place / "cwd"):
            for folder, folders, names in os.walk(root):
                for name in names if root == self.folder else [*names, *folders]:
                    inside = Path(folder, name).relative_to(root)
                    yield str(inside) if root == self.folder else f"{root.name}/{inside}"

    def end(self) -> dict[str, Any]:
        """Ends the run by SIGTERM: its exit code, the seconds that it took, and the stray files that it left."""
        asked = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        left = sorted(path for path in self.paths() if not EXPECTED.fullmatch(path))
        self.log.close()
        return {"exit_code": code, "seconds_to_end": round(time.monotonic() - asked, 1), "left": left}

    def evaluations(self) -> int:
        """How many evaluations the run has made."""
        return len(raw_rows.read(self.folder / "evaluations.csv"))

    def output(self) -> str:
        """What the run printed."""
        return (self.place / "log").read_text(errors="replace")


def watch(table: Path, hours: float, every: float) -> dict[str, Any]:
    """Trains and samples until the time is over, the run ends, or a signal comes.

    Args:
        table: the CSV file of samples.
        hours: how long.
        every: seconds between two samples.

    Returns:
        How the run ended (see `Soak.end`), and how many evaluations it has made.
    """
    soak = Soak()
    print(f"training in {soak.folder}, process {soak.process.pid}; rows go to {table}", flush=True)
    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: signals.append(number))
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        while not signals and time.monotonic() - soak.start < hours * 3600 and soak.process.poll() is None:
            try:
                writer.writerow(soak.sample())
            except OSError:
                break  # it ended after `poll`
            file.flush()
            time.sleep(every)
    ended, evaluations = soak.end(), soak.evaluations()
    if ended["exit_code"] == STOPPED:
        shutil.rmtree(soak.place)
    else:
        print(soak.output()[-2000:], flush=True)
    return {"ended": ended, "evaluations": evaluations}


def write(path: Path, record: Mapping[str, Any]) -> None:
    """Writes the JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, (json.dumps(record, indent=2) + "\n").encode())


def judge(rows: Sequence[dict[str, str]], record: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict on a table.

    A checkpoint counts where a sample saw it as the newest one. The slope of the memory is the Theil-Sen estimate over the settled rows, with its 95 % interval, in per cent
    of the median memory per hour.

    Args:
        rows: the samples.
        record: what the table does not have: `command`, `run`, `evaluations`, and how the run `ended`; None where
            that is not known.
    """
    from scipy.stats import theilslopes

    settled = [row for row in rows if int(row["steps"]) >= SETTLED]
    if len(settled) < 10:
        raise SystemExit(f"only {len(settled)} rows since step {SETTLED}: the soak is too short to judge")
    hours = [float(row["seconds"]) / 3600 for row in settled]
    memory = [int(row["rss_kib"]) for row in settled]
    median = float(np.median(memory))
    slope, _, low, high = (100 * float(figure) / median for figure in theilslopes(memory, hours))
    descriptors = [int(row["descriptors"]) for row in settled]
    tenth = max(1, len(settled) // 10)
    # A sample during a write counts one more; the minimum is the number between writes.
    early, late = min(descriptors[:tenth]), min(descriptors[-tenth:])
    ended: Mapping[str, Any] = record["ended"] or {}
    stray = {path for row in rows for path in row["stray_files"].split()} | set(ended.get("left", []))
    found = {
        "command": record["command"],
        "run": record["run"],
        "hours": round(float(rows[-1]["seconds"]) / 3600, 3),
        "hours_settled": round(hours[-1] - hours[0], 3),
        "cpu_seconds": float(rows[-1]["cpu_seconds"]),
        "steps": int(rows[-1]["steps"]),
        "checkpoints": len({int(row["steps"]) for row in rows} - {0}),
        "evaluations": record["evaluations"],
        "samples": len(rows),
        "rss_mib": round(median / 1024, 1),
        "rss_mib_range": [round(min(memory) / 1024, 1), round(max(memory) / 1024, 1)],
        "slope_percent_per_hour": round(slope, 3),
        "slope_interval": [round(low, 3), round(high, 3)],
        "descriptors": [early, late],
        "descriptors_most": max(descriptors),
        "files_most": max(int(row["files"]) for row in settled),
        "stray_files": sorted(stray),
        "ended": record["ended"],
    }
    clean = slope < LARGEST_SLOPE and early == late and not stray
    return {**found, "passed": clean and ended.get("exit_code") == STOPPED}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=2.0, metavar="N", help="default: %(default)s")
    parser.add_argument("--every", type=float, default=10.0, metavar="SECONDS", help="between two samples")
    parser.add_argument("--judge-only", action="store_true", help="judge the table that is there")
    parser.add_argument(
        "--out", type=Path, default=RESULTS / "soak.csv",
        help="the table; the verdict is beside it (default: the committed one)",
    )  # fmt: skip
    given = parser.parse_args(arguments)
    verdict = given.out.with_suffix(".json")
    if given.judge_only:
        if not (given.out.exists() and verdict.exists()):
            raise Refused(f"--judge-only: needs {given.out} and {verdict}, which a soak writes")
        record = json.loads(verdict.read_text())
    else:
        command = shlex.join(["python", "benchmarks/reliability/soak.py", *sys.argv[1:]])
        record = {"command": command, "run": RUN, "evaluations": None, "ended": None}
        write(verdict, record)  # in place of that of another soak
        record |= watch(given.out, given.hours, given.every)
        write(verdict, record)
    with given.out.open(newline="") as file:
        # The last line of a soak that was killed may be incomplete.
        rows = [row for row in csv.DictReader(file) if row["stray_files"] is not None]
    found = judge(rows, record)
    write(verdict, found)
    print(json.dumps(found, indent=2))
    return int(not found["passed"])


if __name__ == "__main__":
    sys.exit(exit_code(main))

"""A trial that trains nothing: it writes what a run writes, in milliseconds, and ends as the command `train` does.

It is started in place of `joule.sweeping.trial_process`. Its environment says what it does:

| environment | what the trial does |
| --- | --- |
| `refused-v0` | ends with exit code 2 and a sentence |
| `stopped-v0` | ends with exit code 1 and a sentence |
| `slow-v0` | waits in each evaluation after the first, until a file `go` is in the storage |
| `steady-v0` | takes half a second for an evaluation |
| `late-v0` | has one evaluation, at its end, and waits for seconds before its summary |
| any other | has ten evaluations; the return is frames * (batch size or 1) + seed |
"""

from __future__ import annotations

import csv
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

COLUMNS = (
    "agent", "env", "seed", "frames", "decisions", "return_mean", "return_std", "episodes",
    "cpu_seconds", "wall_seconds", "threads", "device", "version",
)  # fmt: skip
EVALUATIONS = 10


def option(words: list[str], name: str, default: str) -> str:
    """The value of the option `--name=value` among the words of a command."""
    flag = f"--{name}="
    return next((word.removeprefix(flag) for word in words if word.startswith(flag)), default)


def end(number: int) -> NoReturn:
    """As a command that a signal ends, after its checkpoint."""
    print("stopped; continue with: joule train --resume", flush=True)
    os._exit(128 + number)


def end_with_parent() -> None:
    """Ends this process once its parent is gone."""
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> int:
    """Writes the run folder; a second process in it continues after the rows that are there."""
    signal.signal(signal.SIGTERM, lambda number, frame: end(number))
    threading.Thread(target=end_with_parent, daemon=True).start()
    job = json.loads(sys.argv[1])
    folder, words = Path(job["folder"]), job["new"]
    env, steps = option(words, "env", ""), int(option(words, "steps", "100"))
    print(f"{'resumed' if folder.exists() else 'new'}: {env}", flush=True)
    if env == "refused-v0":
        print("error: unknown environment id 'refused-v0'", flush=True)
        return 2
    if env == "stopped-v0":
        print("stopped: a loss is not finite", flush=True)
        return 1
    folder.mkdir(exist_ok=True)
    (folder / "run.json").write_text("{}")
    path = folder / "evaluations.csv"
    before = path.read_text().count("\n") - 1 if path.exists() else 0
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if not before:
            writer.writeheader()
        for index in range(EVALUATIONS - 1 if env == "late-v0" else before, EVALUATIONS):
            while env == "slow-v0" and index and not (folder.parents[1] / "go").exists():
                time.sleep(0.05)
            time.sleep(0.5 * (env == "steady-v0"))
            frames = steps * (index + 1) // EVALUATIONS
            seed, size = int(option(words, "seed", "1")), int(option(words, "learning.batch-size", "1"))
            row = dict.fromkeys(COLUMNS, "1") | {
                "agent": option(words, "agent", ""),
                "env": env,
                "seed": seed,
            }
            writer.writerow(row | {"frames": frames, "return_mean": frames * size + seed})
            file.flush()
    time.sleep(4.0 * (env == "late-v0"))
    (folder / "summary.json").write_text(json.dumps({"frames": steps}))
    (folder / "curve.png").write_bytes(b"")
    return 0


if __name__ == "__main__":
    sys.exit(main())
